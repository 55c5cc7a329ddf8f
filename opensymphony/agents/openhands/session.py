"""One turn: the message we sent goes in by its key, the end of the agent's run comes out, whatever was cut in between.

A turn has ended when, behind our message, the log has a status that is not running *and* the server published its snapshot
after the run (or stayed silent behind such a status for half a second after an attach). A status alone is not the end:
figures and errors follow it, and a hook may set the agent to work again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from opensymphony.agents.openhands.asking import approval_of, question_of
from opensymphony.agents.openhands.client import Client, ConversationGone, Unanswered, Unreached
from opensymphony.agents.openhands.delivery import reject
from opensymphony.agents.openhands.failures import OVERFLOW
from opensymphony.agents.openhands.messages import Event, FullStateValue, to_status
from opensymphony.agents.openhands.mirror import Change, Mirror
from opensymphony.agents.openhands.stream import Attached, CaughtUp, FullState, Item, Logged, Replaced, Stream
from opensymphony.clock import Clock
from opensymphony.errors import AgentServerError
from opensymphony.interfaces import ReportProgress
from opensymphony.model import AgentFailure, AgentStatus, Asked, TurnEnd, TurnProgress

_SETTLE_S = 0.5
"""Silence behind a terminal status after which nothing belated comes any more; measured on the server."""
_START_S = 5.0
"""Between two reminders of an agent that has our message and does not run."""
_REMINDERS_MAX = 6
_LOOK_S = 30.0
"""Silence after which we ask whether the conversation is still there: its deletion sends nothing."""
_REPORT_MS = 10_000
_REPORT_ACTIONS = 10
_CONDENSATIONS_MAX = 3
_REPORT_REPEATS = 4
"""From here on every repetition is told at once: a limit on them cannot wait."""


class Turn:
    """Waits for one turn to end."""

    def __init__(
        self,
        *,
        client: Client,
        stream: Stream,
        mirror: Mirror,
        conversation_id: str,
        key: str,
        tools: tuple[str, ...],
        report: ReportProgress,
        clock: Clock,
        resume: bool,
        boot: int | None,
        may_resume: Callable[[], bool],
        granted: Sequence[str] = (),
    ) -> None:
        """`resume`: an agent that was stopped by a restart is told to go on, unless `may_resume` says no meanwhile.

        `boot`: of the server that took the message, where that is known; a later one has cut the agent short, too.
        """
        self._client = client
        self._stream = stream
        self._mirror = mirror
        self._conversation_id = conversation_id
        self._key = key
        self._tools = tools
        self._report = report
        self._clock = clock
        self._may_resume = may_resume
        self._granted = set(granted)
        """Digests of what a person has approved and that was not carried out since; each is good for once."""
        self._live = False
        """Whether what comes now happened in the server that runs; what comes behind an attach may be older."""
        self._waiting: Asked | None = None
        """What waits for a confirmation, as far as the log goes."""
        self._waits_here = False
        """Whether it began to wait in the server that runs, which then can carry it out."""
        self._resumes = int(resume)
        self._boot = boot
        self._begun_at = -1
        """Statuses up to here belong to an earlier run."""
        self._settling_s: float | None = None
        """While set: this much silence decides."""
        self._attach_state: FullStateValue | None = None
        self._contradiction: tuple[int, str] | None = None
        self._logged_at = anyio.current_time()
        self._reminders = 0
        self._reported_ms = 0
        self._told_tool_open = False
        self._told_actions = 0
        self._told_repeats = 0
        self._condensed = 0
        """Summaries of the history since the agent's last step."""

    async def wait(self) -> TurnEnd:
        """Wait for the end. Raises `AgentServerError` when the conversation is gone or never got our message."""
        while True:
            item = await self._stream.receive(self._settling_s or _LOOK_S)
            end = await self._on_silence() if item is None else await self._on_item(item)
            if end is not None:
                return end

    async def go_on(self) -> None:
        """Let the agent go on in the same turn, after what ended it was mended; `wait` waits for the end of that."""
        self._begun_at = self._mirror.last_seq
        self._reminders = 0
        await self._remind()

    async def _on_item(self, item: Item) -> TurnEnd | None:
        match item:
            case Attached():
                if self._boot is not None and item.boot != self._boot:
                    self._resumes = 1
                if item.boot == self._boot:
                    self._live = True  # it has taken our message: what came since then it has in memory
                else:
                    self._live = self._waits_here = False
                self._boot = item.boot
            case Replaced():
                raise ConversationGone(
                    f"agent-server: conversation {self._conversation_id} was made anew by somebody else"
                )
            case Logged():
                self._logged_at = anyio.current_time()
                await self._tell(self._mirror.fold(item.seq, item.event))
                if item.event.kind == "SystemPromptEvent":
                    return await self._check_tools()
                if item.event.kind == "ActionEvent" and not self._is_old():
                    question = question_of(item.event)
                    if question is not None:
                        return self._end("paused", None, question)
                if item.event.key == "execution_status":
                    self._follow_confirmation()
                return await self._check_condensing(item.event)
            case CaughtUp():
                # Perhaps no socket can be had at all, and no silence on one: then the time without news decides.
                if self._mirror.status != "running" and anyio.current_time() - self._logged_at >= _SETTLE_S:
                    return await self._judge()
            case FullState():
                self._live = True
                await self._tell(self._mirror.adopt(item.value, with_status=not item.on_attach))
                if not item.on_attach:
                    return await self._judge()
                self._settling_s = _SETTLE_S
                self._attach_state = item.value
        return None

    async def _on_silence(self) -> TurnEnd | None:
        if self._settling_s is not None:
            self._settling_s = None
            return await self._judge_attached()
        try:
            found = await self._client.get(self._conversation_id)
        except (Unreached, Unanswered):
            return None
        if found is None:
            raise ConversationGone(f"agent-server: conversation {self._conversation_id} is gone")
        if found.execution_status != "running" and not self._mirror.tool_open:
            await self._stream.reattach()
        return None

    async def _judge_attached(self) -> TurnEnd | None:
        """Nothing came behind the snapshot of an attach. If it contradicts the log, a second one has to agree."""
        state, self._attach_state = self._attach_state, None
        if state is not None and to_status(state.execution_status) != self._mirror.status:
            contradiction = (self._mirror.last_seq, state.execution_status)
            if contradiction != self._contradiction:
                self._contradiction = contradiction
                await self._stream.reattach()
                return None
            await self._tell(self._mirror.adopt(state, with_status=True))
        return await self._judge()

    async def _judge(self) -> TurnEnd | None:
        """The log is complete up to now: has the turn ended?"""
        mirror = self._mirror
        sent_at = mirror.position_of(self._key)
        if sent_at is None:
            raise AgentServerError(f"agent-server: conversation {self._conversation_id} has no message {self._key}")
        if mirror.status == "running":
            return None
        if mirror.status == "waiting_for_confirmation" and mirror.status_seq > sent_at:
            return await self._on_confirmation()  # never told to go on: that would carry out what waits
        if mirror.status == "idle" or mirror.status_seq <= max(sent_at, self._begun_at):
            return await self._remind()
        cut_short = mirror.status == "paused" or (mirror.status == "error" and mirror.failure is None)
        if cut_short and self._resumes > 0 and self._may_resume():
            self._resumes -= 1
            self._begun_at = mirror.last_seq
            return await self._remind()
        return self._end(mirror.status, mirror.failure)

    def _follow_confirmation(self) -> None:
        """Remember what waits; what an earlier look of ours has approved, and went on, is used up."""
        if self._is_old():
            return
        if self._mirror.status == "waiting_for_confirmation":
            self._waiting, self._waits_here = approval_of(self._mirror.open_calls), self._live
        elif self._waiting is not None:
            if self._mirror.status == "running":
                self._granted.discard(self._waiting.digest)
            self._waiting = None

    async def _on_confirmation(self) -> TurnEnd | None:
        """Carry out what a person has approved; ask for anything else."""
        asked = self._waiting or approval_of(self._mirror.open_calls)
        if asked.digest not in self._granted:
            return self._end("waiting_for_confirmation", None, asked)
        self._begun_at = self._mirror.last_seq
        self._settling_s = _START_S
        if self._waits_here:
            await self._client.respond(self._conversation_id, accept=True)
            return None
        # The server may have loaded the conversation anew, and could not carry it out: the agent has to want it once more.
        await reject(self._client, self._conversation_id, "approved: do exactly this once more")
        return await self._remind()

    async def _remind(self) -> TurnEnd | None:
        """The agent has our message and does not run: tell it to go on; a run that is there already is left alone."""
        if not self._may_resume():
            return self._end("paused", None)
        if self._reminders >= _REMINDERS_MAX:
            detail = f"the agent did not start to work after {_REMINDERS_MAX} reminders"
            return self._end("error", AgentFailure(code="not_started", detail=detail))
        self._settling_s = _START_S
        try:
            if await self._client.run(self._conversation_id) != "full":
                self._reminders += 1
        except (Unreached, Unanswered):
            self._reminders += 1
        return None

    async def _check_tools(self) -> TurnEnd | None:
        # A set of tools announces itself by its members' names, which only the server knows.
        wanted = {tool for tool in self._tools if not tool.endswith("_tool_set")}
        missing = sorted(wanted - set(self._mirror.tools or ()))
        if not missing:
            return None
        await self._client.interrupt(self._conversation_id)
        detail = f"the agent has no {', '.join(missing)}: see the server's log, and openhands.conversation.agent.tools"
        return self._end("error", AgentFailure(code="tools_missing", detail=detail, kind="config", retryable=False))

    async def _check_condensing(self, event: Event) -> TurnEnd | None:
        """A history that stays too long however often it is summarised: the server would go on until `max_iterations`."""
        if event.kind == "ActionEvent" or event.kind == "MessageEvent":
            self._condensed = 0
        self._condensed += event.kind == "Condensation"
        if self._condensed < _CONDENSATIONS_MAX or self._mirror.status != "running" or self._is_old():
            return None
        await self._client.interrupt(self._conversation_id)
        detail = f"its history was summarised {self._condensed} times in a row and is still too long for the model"
        return self._end("error", AgentFailure(code=OVERFLOW, detail=detail, retryable=False))

    def _is_old(self) -> bool:
        """Whether the log up to here was there before our message."""
        return self._mirror.position_of(self._key) is None

    async def _tell(self, change: Change) -> None:
        mirror = self._mirror
        if mirror.status == "running":
            self._reminders = 0
        # An open tool excuses silence: whoever counts the silence has to know of it at once, and of its end.
        tool_changed = mirror.tool_open != self._told_tool_open
        if (change == "nothing" and not tool_changed) or mirror.position_of(self._key) is None:
            return  # what happened before our message is no sign of life
        now_ms = self._clock.now_ms()
        recently = now_ms - self._reported_ms < _REPORT_MS
        if change == "activity" and not tool_changed and recently and not self._is_worth_telling():
            return
        self._reported_ms = now_ms
        self._told_tool_open = mirror.tool_open
        self._told_actions, self._told_repeats = mirror.progress.actions, mirror.progress.repeats
        await self._report(
            TurnProgress(
                status=mirror.status,
                usage=mirror.usage if change == "usage" else None,
                tool_open=mirror.tool_open,
                summary=mirror.activity,
                last_seq=mirror.last_seq,
                actions=mirror.progress.actions,
                changes=mirror.progress.changes,
                repeats=mirror.progress.repeats,
            )
        )

    def _is_worth_telling(self) -> bool:
        """Whether the agent's steps have come so far that a limit on them may be reached."""
        progress = self._mirror.progress
        repeated = progress.repeats >= _REPORT_REPEATS and progress.repeats != self._told_repeats
        return repeated or progress.actions - self._told_actions >= _REPORT_ACTIONS

    def _end(self, status: AgentStatus, failure: AgentFailure | None, asked: Asked | None = None) -> TurnEnd:
        if status == "error" and failure is None:
            failure = AgentFailure(
                code="unknown", detail="the server gave no reason; a restart leaves none", kind="transient"
            )
        return TurnEnd(
            status=status,
            final_text=self._mirror.final_text,
            failure=failure,
            usage=self._mirror.usage,
            last_seq=self._mirror.last_seq,
            last_event_id=self._mirror.last_event_id,
            asked=asked,
        )
