"""Agents on an OpenHands agent-server: the `AgentRuntime` of the interfaces, over one server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import anyio
from msgspec import structs

from opensymphony.agents.openhands import failures
from opensymphony.agents.openhands.client import Client, ConversationGone
from opensymphony.agents.openhands.delivery import deliver
from opensymphony.agents.openhands.handover import hand_over
from opensymphony.agents.openhands.known import Conversations, Known
from opensymphony.agents.openhands.launch import creation_body, launch_of, to_conversation
from opensymphony.agents.openhands.liveness import look_for_work
from opensymphony.agents.openhands.messages import to_usage
from opensymphony.agents.openhands.mirror import Mirror
from opensymphony.agents.openhands.opening import give_model, open_conversation
from opensymphony.agents.openhands.server import Server
from opensymphony.agents.openhands.session import Turn
from opensymphony.agents.openhands.stopping import interrupt
from opensymphony.agents.openhands.stream import Stream
from opensymphony.clock import Clock
from opensymphony.errors import AgentServerError, OpenSymphonyError
from opensymphony.interfaces import ConversationRequest, ReportProgress
from opensymphony.logs import get_logger
from opensymphony.model import (
    CommandKey,
    Conversation,
    ConversationId,
    Liveness,
    LogPosition,
    ServerState,
    TurnEnd,
    Usage,
)
from opensymphony.workflow.policy import ConversationPolicy, LlmPolicy

log = get_logger(__name__)

ReadEnvironment = Callable[[], Awaitable[Mapping[str, str]]]
"""Reads the model's key and address again, wherever they come from. Raises `OpenSymphonyError` when it cannot."""

_ATTACHES_MAX = 8
"""Each attach that waits behind a running tool holds a thread of the server's only pool."""
_KEY_CHARS_MIN = 4
"""A shorter one is a word like another; replaced everywhere it would make a text unreadable."""


class OpenHandsRuntime:
    """See `interfaces.AgentRuntime`."""

    def __init__(
        self,
        server: Server,
        *,
        policy: Callable[[], ConversationPolicy],
        environment: Mapping[str, str],
        clock: Clock,
        prices: Callable[[], LlmPolicy] | None = None,
        read_environment: ReadEnvironment | None = None,
    ) -> None:
        """`environment` is where the names in the policy's `llm` section are looked up; `read_environment` brings it up to
        date, at each `open`, when the policy's `llm` section was changed, and when a key was refused.

        `prices` is the model with its prices, for what a server that does not know them calls free.
        """
        self._server = server
        self._policy = policy
        self._environment = environment
        self._read_environment = read_environment
        self._llm_read: LlmPolicy | None = None
        """The policy's section when the environment was read last."""
        self._clock = clock
        self._prices: Callable[[], LlmPolicy] = prices or LlmPolicy
        self._client = Client(server.endpoint, renew=server.renew_key, tls=server.tls)
        self._attaches = anyio.CapacityLimiter(_ATTACHES_MAX)
        self._conversations = Conversations(lambda: Mirror(self._prices))

    async def close(self) -> None:
        """Give back every connection; the server goes on."""
        await self._client.close()

    def state(self) -> ServerState:
        """The server right now, without asking it."""
        return self._server.state()

    async def open(self, request: ConversationRequest) -> Conversation:
        """Make the conversation, or find the one with this id. A half-made one is inspected, never trusted."""
        conversation_id = request.conversation_id
        summary, spent = await self._hand_over(request.predecessor) if request.predecessor is not None else ("", None)
        await self._refresh()
        policy = self._policy()
        body = creation_body(request, policy, self._environment)
        opened = await open_conversation(self._server, self._client, request, body)
        if opened.created:
            # An older one of this id was archived: its log is not this one's.
            self._conversations.forget(conversation_id)
        known = self._conversations.of(conversation_id)
        if opened.created:
            known.is_certain = True
        if not opened.unfit:
            known.body = body
        known.tools = () if opened.unfit else tuple(str(one["name"]) for one in body["agent"]["tools"])
        version = (await self._client.server_info()).version
        found = to_conversation(opened.info, created=opened.created, server_version=version, prices=self._prices())
        return structs.replace(
            found,
            prompted=opened.prompted,
            unfit=opened.unfit,
            summary=summary,
            predecessor_usage=spent,
            server=self._server.endpoint().base_url,
            launch=None if opened.unfit else launch_of(body, policy),
        )

    async def _hand_over(self, predecessor: ConversationId) -> tuple[str, Usage | None]:
        """Stop a conversation that another one stands in for; what was done in it, and its totals. It stays where it is."""
        spent: Usage | None = None
        try:
            spent = await self.stop(predecessor)
            return await hand_over(self._client, predecessor), spent
        except AgentServerError as error:
            # It may be the very reason why there is a new one: that begins without what it cannot have.
            log.warning("a conversation cannot be read", conversation=predecessor, error=str(error))
            return "", spent

    async def _refresh(self) -> None:
        """Read key and address again. Where that fails, those that are known are used."""
        if self._read_environment is None:
            return
        try:
            self._environment = await self._read_environment()
            self._llm_read = self._policy().agent.llm
        except OpenSymphonyError as error:
            if self._llm_read not in (None, self._policy().agent.llm):
                raise
            log.warning("the model's key cannot be read again; the one that is known is used", error=str(error))

    async def _bring_up_to_date(self, conversation_id: ConversationId, known: Known, *, force: bool = False) -> bool:
        """Switch the conversation to the model of now, if that is another one; whether it was switched.

        `force`: also to the same one, which a server that lost its key needs. Raises `AgentServerError` when it cannot be.
        """
        before = known.body
        if before is None:
            return False
        policy = self._policy()
        request = ConversationRequest(
            conversation_id=conversation_id, working_dir=before["workspace"]["working_dir"], title=""
        )
        now = creation_body(request, policy, self._environment)
        if not force and now["agent"]["llm"] == before["agent"]["llm"]:
            return False
        failure = await give_model(self._client, conversation_id, now)
        if failure:
            raise AgentServerError(f"agent-server: conversation {conversation_id}: {failure}")
        log.info(
            "conversation switched to another model or key",
            conversation=conversation_id,
            model=now["agent"]["llm"]["model"],
        )
        known.body = {
            **before,
            "agent": {**before["agent"], "llm": now["agent"]["llm"]},
            "tags": now["tags"],
        }
        return True

    async def send(self, conversation_id: ConversationId, key: CommandKey, text: str) -> None:
        """Deliver one message and let the agent run; a message with this key that is there already is not sent again."""
        known = self._conversations.of(conversation_id)
        known.is_stopped = False
        if known.body is not None:
            if self._llm_read is not None and self._llm_read != self._policy().agent.llm:
                await self._refresh()
            await self._bring_up_to_date(conversation_id, known)
        is_at_work = partial(self._is_at_work, conversation_id)
        await deliver(self._server, self._client, conversation_id, key, text, known=known, is_at_work=is_at_work)

    async def _is_at_work(self, conversation_id: ConversationId) -> bool:
        body = self._conversations.of(conversation_id).body
        if body is None:
            return await self._client.alive()
        return (await self.probe(conversation_id, body["workspace"]["working_dir"])).alive

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
        """Wait until the turn that the message `key` began has ended, by the server's own end marker."""
        known = self._conversations.of(conversation_id)
        mirror = known.mirror
        if after is not None and mirror.last_seq < 0:
            mirror.begin_at(after)
        stream = self._stream(conversation_id, after_seq=mirror.last_seq, last_event_id=mirror.last_event_id)
        turn = Turn(
            client=self._client,
            stream=stream,
            mirror=mirror,
            conversation_id=conversation_id,
            key=key,
            tools=known.tools,
            report=report,
            clock=self._clock,
            resume=resume,
            boot=known.boot,
            may_resume=lambda: not known.is_stopped,
            granted=granted,
        )
        try:
            end = self._assessed(known, await turn.wait())
            if await self._mended(conversation_id, known, end):
                await turn.go_on()
                end = self._assessed(known, await turn.wait())
            if end.asked is not None and end.asked.kind == "question":
                # The server tells the agent that its question is on its way, and lets it go on: it is stopped until the answer.
                usage = await self.stop(conversation_id)
                end = structs.replace(end, usage=usage or end.usage)
            return end
        except ConversationGone:
            self._conversations.forget(conversation_id)
            raise
        finally:
            await stream.close()

    def _assessed(self, known: Known, end: TurnEnd) -> TurnEnd:
        if end.failure is None:
            return end
        failure = failures.assess(end.failure, self._policy().agent.llm)
        key = str((known.body or {}).get("agent", {}).get("llm", {}).get("api_key", ""))
        if len(key) >= _KEY_CHARS_MIN:  # some providers repeat what they refuse
            failure = structs.replace(failure, detail=failure.detail.replace(key, "***"))
        return structs.replace(end, failure=failure)

    async def _mended(self, conversation_id: ConversationId, known: Known, end: TurnEnd) -> bool:
        """Whether a turn that failed for its key can go on, since there is another one now, or the server had lost it."""
        failure = end.failure
        if end.status != "error" or failure is None or not failures.is_about_the_key(failure):
            return False
        try:
            await self._refresh()
            return await self._bring_up_to_date(conversation_id, known, force=failure.rule == "missing_key")
        except OpenSymphonyError as error:
            log.warning("the model's key could not be given anew", conversation=conversation_id, error=str(error))
            return False

    async def stop(self, conversation_id: ConversationId) -> Usage | None:
        """Interrupt, and return only when the server says that nothing runs. A conversation that is gone is stopped.

        Returns the totals over all usage ids as of the end; where the server cannot tell them any more, what its events told.
        """
        known = self._conversations.of(conversation_id)
        known.is_stopped = True
        live = partial(self._stream, conversation_id, after_seq=None)
        end = await interrupt(self._server, self._client, conversation_id, live)
        known.stands_still = end is not None
        mirror = known.mirror
        if mirror.last_seq < 0:
            return to_usage(end.stats, self._prices()) if end is not None and end.stats is not None else None
        if end is not None:
            mirror.adopt(end, with_status=False)
        return mirror.usage

    async def probe(self, conversation_id: ConversationId, working_dir: str) -> Liveness:
        """Whether anything works behind a silent tool call: the server answers, and a process of the call does something."""
        if not await self._client.alive():
            return Liveness(alive=False, detail="the agent-server does not answer")
        return await look_for_work(self._server.state().pid, working_dir)

    def _stream(self, conversation_id: str, *, after_seq: int | None, last_event_id: str = "") -> Stream:
        return Stream(
            self._server,
            self._client,
            conversation_id,
            clock=self._clock,
            attaches=self._attaches,
            after_seq=after_seq,
            last_event_id=last_event_id,
        )
