"""Agents without a server and without a model: a script says what each does in its workspace and how its turn ends.

`ScriptedAgents` is the world outside the daemon: it outlives any daemon that opens a runtime on it, as an agent-server would.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus
from msgspec import Struct, field

from opensymphony.agents import Runtime
from opensymphony.errors import AgentServerError
from opensymphony.interfaces import ConversationRequest, ReportProgress
from opensymphony.model import (
    AgentFailure,
    AgentStatus,
    Asked,
    CommandKey,
    Conversation,
    ConversationId,
    Liveness,
    LogPosition,
    ServerState,
    TurnEnd,
    TurnProgress,
    Usage,
)

_ACTION_S = 0.01


class Step(Struct, frozen=True, kw_only=True):
    """What an agent does in one turn."""

    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path in the workspace to content, written anew."""
    commit: str | None = None
    """Subject; None commits nothing."""
    status: AgentStatus = "finished"
    failure: AgentFailure | None = None
    says: str = "Done."
    holds: bool = False
    """Works on until it is stopped."""
    tool_open: bool = False
    """Says that a tool call is open, and then nothing."""
    asked: Asked | None = None
    busy: bool = False
    """With `holds`: reports one action after another, and no change."""


class Talk:
    """One conversation."""

    def __init__(self, request: ConversationRequest) -> None:
        self.ticket = request.title.split(":", 1)[0]
        self.workspace = Path(request.working_dir)
        self.messages: dict[CommandKey, str] = {}
        """Delivered, in order."""
        self.ends: dict[CommandKey, TurnEnd] = {}
        self.stopped: set[CommandKey] = set()
        self.interrupted = anyio.Event()
        self.running = False


class ScriptedAgents:
    """Every conversation there is, and what was asked of it."""

    def __init__(self, scripts: Mapping[str, Sequence[Step]]) -> None:
        self.scripts = scripts
        self.talks: dict[ConversationId, Talk] = {}
        self.sends: Counter[CommandKey] = Counter()
        """How often each message was handed over; delivered it is once."""
        self.resumed: list[CommandKey] = []
        """Turns that were waited for after an absence of ours."""
        self.stops = 0
        self.unreachable = False
        self.liveness = Liveness(alive=False, detail="nothing works")
        self.boots = 0
        self.closed = 0

    def open_runtime(self, policy: object, **given: Any) -> Runtime:
        """In place of `agents.open_runtime`."""
        return Runtime(agents=ScriptedRuntime(self), server=ScriptedServer(self))

    def talk(self, ticket: str) -> Talk:
        """The only conversation about a ticket."""
        found = [talk for talk in self.talks.values() if talk.ticket == ticket]
        assert len(found) == 1, f"{len(found)} conversations about {ticket}"
        return found[0]


class ScriptedServer:
    """Satisfies `agents.AgentServer`."""

    def __init__(self, world: ScriptedAgents) -> None:
        self._world = world

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        self._world.boots += 1
        task_status.started()
        await anyio.sleep_forever()

    def state(self) -> ServerState:
        return ServerState(status="ready", base_url="http://127.0.0.1:1", version="scripted")


class ScriptedRuntime:
    """Satisfies `interfaces.AgentRuntime`."""

    def __init__(self, world: ScriptedAgents) -> None:
        self._world = world

    def _reach(self) -> None:
        if self._world.unreachable:
            raise AgentServerError("agent-server: nobody answers")

    async def open(self, request: ConversationRequest) -> Conversation:
        self._reach()
        created = request.conversation_id not in self._world.talks
        if created:
            self._world.talks[request.conversation_id] = Talk(request)
        talk = self._world.talks[request.conversation_id]
        return Conversation(
            id=request.conversation_id,
            created=created,
            status="idle",
            usage=_usage(len(talk.ends)),
            tools=("terminal",),
        )

    async def send(self, conversation_id: ConversationId, key: CommandKey, text: str) -> None:
        self._reach()
        self._world.sends[key] += 1
        self._world.talks[conversation_id].messages.setdefault(key, text)

    async def await_turn(
        self,
        conversation_id: ConversationId,
        key: CommandKey,
        report: ReportProgress,
        *,
        resume: bool,
        granted: Sequence[str] = (),
        after: LogPosition | None = None,
    ) -> TurnEnd:
        self._reach()
        talk = self._world.talks[conversation_id]
        assert key in talk.messages, f"a turn is awaited that no message began: {key}"
        if resume:
            self._world.resumed.append(key)
        number = list(talk.messages).index(key)
        script = self._world.scripts[talk.ticket]
        step = script[min(number, len(script) - 1)]
        if key not in talk.ends:
            talk.running = True
            await report(TurnProgress(status="running", summary="works", tool_open=step.tool_open))
            if step.holds:
                await self._hold(talk, step, report)
            await self._finish(talk, key, step, number)
        return talk.ends[key]

    async def _hold(self, talk: Talk, step: Step, report: ReportProgress) -> None:
        interrupted, actions = talk.interrupted, 0
        while not interrupted.is_set():
            with anyio.move_on_after(_ACTION_S if step.busy else None):
                await interrupted.wait()
                return
            actions += 1
            await report(TurnProgress(status="running", summary="looks again", actions=actions))

    async def _finish(self, talk: Talk, key: CommandKey, step: Step, number: int) -> None:
        # Whole or not at all, as the agent works on whether or not we look.
        with anyio.CancelScope(shield=True):
            if key not in talk.stopped:
                await anyio.to_thread.run_sync(_work, talk.workspace, step)
            status = "paused" if key in talk.stopped else step.status
            talk.ends[key] = TurnEnd(
                status=status,
                final_text=step.says,
                failure=step.failure,
                usage=_usage(number + 1),
                last_seq=number,
                asked=step.asked if status == step.status else None,
            )
            talk.running = False

    async def probe(self, conversation_id: ConversationId, working_dir: str) -> Liveness:
        self._reach()
        return self._world.liveness

    async def stop(self, conversation_id: ConversationId) -> Usage | None:
        self._reach()
        self._world.stops += 1
        talk = self._world.talks.get(conversation_id)
        if talk is not None:
            talk.stopped.update(key for key in talk.messages if key not in talk.ends)
            talk.interrupted.set()
            talk.interrupted = anyio.Event()
            talk.running = False
            return _usage(len(talk.ends))
        return None

    def state(self) -> ServerState:
        return ScriptedServer(self._world).state()

    async def close(self) -> None:
        self._world.closed += 1


def _usage(turns: int) -> Usage:
    """Totals of a conversation after so many turns."""
    return Usage(prompt_tokens=100 * turns, completion_tokens=10 * turns, model_calls=2 * turns)


def _work(workspace: Path, step: Step) -> None:
    for name, text in step.files.items():
        (workspace / name).write_text(text)
    if step.commit is not None:
        for arguments in (["add", "-A"], ["commit", "-q", "-m", step.commit]):
            subprocess.run(["git", *arguments], cwd=workspace, env=dict(os.environ), check=True, capture_output=True)
