"""Agents on an OpenHands agent-server: the `AgentRuntime` of the interfaces, over one server."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import anyio

from opensymphony.agents.openhands.client import (
    Client,
    ConversationGone,
    Endpoint,
    ServerRefused,
    Unanswered,
    Unreached,
)
from opensymphony.agents.openhands.launch import creation_body, is_as_asked, to_conversation, works_in
from opensymphony.agents.openhands.liveness import look_for_work
from opensymphony.agents.openhands.messages import ConversationInfo, Event, FullStateValue, read, to_status, to_usage
from opensymphony.agents.openhands.mirror import Mirror, marker
from opensymphony.agents.openhands.session import Turn
from opensymphony.agents.openhands.stream import FullState, Logged, Stream
from opensymphony.clock import Clock
from opensymphony.errors import AgentServerError
from opensymphony.interfaces import ConversationRequest, ReportProgress
from opensymphony.model import CommandKey, Conversation, ConversationId, Liveness, ServerState, TurnEnd, Usage
from opensymphony.workflow.policy import ConversationPolicy, LlmPolicy

_ATTACHES_MAX = 8
"""Each attach that waits behind a running tool holds a thread of the server's only pool."""
_MIRRORS_MAX = 256
_CREATE_ATTEMPTS = 2
_OPEN_ATTEMPTS = 3
_SEND_ATTEMPTS = 3
_TOOL_WAIT_S = 600
_LOOK_AGAIN_S = 1.0
_STOP_S = 60
_STOPPED_S = 2.0
"""How long one interruption may take to show before it is repeated."""
_GENTLE_S = 5
_EARLIER_LIFE = 0
"""The boot of a server that an earlier daemon started; ours count from 1."""


class Server(Protocol):
    """The agent-server that a runtime works on; the supervisor of a managed one is such."""

    async def wait_ready(self) -> Endpoint:
        """The address once the server answers; raises `AgentServerError` when nobody starts it any more."""
        ...

    async def wait_cleared(self) -> None:
        """Return when no server of an earlier daemon, and nothing it started, is left."""
        ...

    def endpoint(self) -> Endpoint:
        """The newest address, whether or not somebody listens; raises `AgentServerError` before the first start."""
        ...

    def state(self) -> ServerState:
        """How it is, without asking it."""
        ...


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
    ) -> None:
        """`environment` is where the names in the policy's `llm` section are looked up, at each `open`.

        `prices` is the model with its prices, for what a server that does not know them calls free.
        """
        self._server = server
        self._policy = policy
        self._environment = environment
        self._clock = clock
        self._prices: Callable[[], LlmPolicy] = prices or LlmPolicy
        self._client = Client(server.endpoint)
        self._attaches = anyio.CapacityLimiter(_ATTACHES_MAX)
        self._mirrors: OrderedDict[str, Mirror] = OrderedDict()
        self._sent_at_boot: dict[str, int] = {}
        self._stopped: set[str] = set()
        self._tools: dict[str, tuple[str, ...]] = {}
        """Of conversations that were made as the policy asks; one of an earlier policy keeps the tools it has."""

    async def close(self) -> None:
        """Give back every connection; the server goes on."""
        await self._client.close()

    def state(self) -> ServerState:
        """The server right now, without asking it."""
        return self._server.state()

    async def open(self, request: ConversationRequest) -> Conversation:
        """Make the conversation, or find the one with this id. A half-made one is inspected, never trusted."""
        body = creation_body(request, self._policy(), self._environment)
        for _ in range(_OPEN_ATTEMPTS - 1):
            await self._server.wait_ready()
            try:
                return await self._open(request, body)
            except Unreached:
                await anyio.sleep(_LOOK_AGAIN_S)  # it died a moment ago: that is no failure of the ticket
        await self._server.wait_ready()
        return await self._open(request, body)

    async def send(self, conversation_id: ConversationId, key: CommandKey, text: str) -> None:
        """Deliver one message and let the agent run; a message with this key that is there already is not sent again."""
        self._stopped.discard(conversation_id)
        mark = marker(key)
        for _ in range(_SEND_ATTEMPTS):
            boot = (await self._server.wait_ready()).boot
            try:
                found = await self._client.find_message(conversation_id, mark)
                if found is not None:
                    # Sent before we were started: whatever ended that life may have cut the agent short.
                    self._sent_at_boot.setdefault(conversation_id, _EARLIER_LIFE)
                    await self._run_if_unheard(conversation_id, found)
                    return
                self._sent_at_boot[conversation_id] = boot
                if await self._client.send(conversation_id, f"{text}\n\n{mark}") == "saved":
                    await self._client.run(conversation_id)
                return
            except Unreached:
                await anyio.sleep(_LOOK_AGAIN_S)
            except Unanswered:
                await self._wait_for_tools(conversation_id)
        raise Unanswered(f"agent-server: message {key} could not be delivered in {_SEND_ATTEMPTS} attempts")

    async def await_turn(
        self, conversation_id: ConversationId, key: CommandKey, report: ReportProgress, *, resume: bool
    ) -> TurnEnd:
        """Wait until the turn that the message `key` began has ended, by the server's own end marker."""
        mirror = self._mirror(conversation_id)
        stream = self._stream(conversation_id, after_seq=mirror.last_seq, last_event_id=mirror.last_event_id)
        turn = Turn(
            client=self._client,
            stream=stream,
            mirror=mirror,
            conversation_id=conversation_id,
            key=key,
            tools=self._tools.get(conversation_id, ()),
            report=report,
            clock=self._clock,
            resume=resume,
            boot=self._sent_at_boot.get(conversation_id),
            may_resume=lambda: conversation_id not in self._stopped,
        )
        try:
            return await turn.wait()
        except ConversationGone:
            self._forget(conversation_id)
            raise
        finally:
            await stream.close()

    async def stop(self, conversation_id: ConversationId) -> Usage | None:
        """Interrupt, and return only when the server says that nothing runs. A conversation that is gone is stopped.

        Returns the totals over all usage ids as of the end; where the server cannot tell them any more, what its events told.
        """
        end = await self._interrupt(conversation_id)
        mirror = self._mirrors.get(conversation_id)
        if mirror is None:
            return to_usage(end.stats, self._prices()) if end is not None and end.stats is not None else None
        if end is not None:
            mirror.adopt(end, with_status=False)
        return mirror.usage if mirror.last_seq >= 0 or end is not None else None

    async def _interrupt(self, conversation_id: ConversationId) -> FullStateValue | None:
        """Returns the server's picture of the conversation that stands still; None when it has none."""
        self._stopped.add(conversation_id)
        with anyio.move_on_after(_STOP_S):
            await self._server.wait_cleared()
            # In a server that starts nothing runs: what an earlier one left running has been ended.
            while self._server.state().status not in ("stopped", "starting", "failed"):
                try:
                    if not await self._client.interrupt(conversation_id):
                        return None
                    end = await self._wait_quiet(conversation_id)
                    if end is not None:
                        return end
                except ConversationGone:
                    return None
                except (Unreached, Unanswered):
                    await anyio.sleep(_LOOK_AGAIN_S)
            return None
        raise AgentServerError(f"agent-server: conversation {conversation_id} did not stop within {_STOP_S} s")

    async def probe(self, conversation_id: ConversationId, working_dir: str) -> Liveness:
        """Whether anything works behind a silent tool call: the server answers, and a process of the call does something."""
        if not await self._client.alive():
            return Liveness(alive=False, detail="the agent-server does not answer")
        return await look_for_work(self._server.state().pid, working_dir)

    async def archive(self, conversation_id: ConversationId) -> None:
        """Put away a conversation whose ticket is closed: nothing runs in it, and it says so."""
        await self.stop(conversation_id)
        self._forget(conversation_id)
        if self._server.state().status in ("stopped", "failed"):
            return
        try:
            await self._client.update(conversation_id, tags={"opensymphony": "archived"})
        except ConversationGone:
            return

    async def _open(self, request: ConversationRequest, body: Mapping[str, Any]) -> Conversation:
        info, created = await self._create(request.conversation_id, body)
        if created:
            self._forget(request.conversation_id)  # an older one of this id was archived: its log is not this one's
        tools = tuple(str(tool["name"]) for tool in body["agent"]["tools"])
        self._tools[request.conversation_id] = tools if is_as_asked(info, body) else ()
        if created:
            await self._name(request)
        version = (await self._client.server_info()).version
        return to_conversation(info, created=created, server_version=version, prices=self._prices())

    async def _create(self, conversation_id: str, body: Mapping[str, Any]) -> tuple[ConversationInfo, bool]:
        """Create until what is there is what we asked for: a failed create may leave a broken conversation behind."""
        failure: Unanswered | None = None
        for _ in range(_CREATE_ATTEMPTS):
            try:
                info, created = await self._client.create(body)
                failure = None
            except Unanswered as error:
                failure = error
                info, created = await self._client.get(conversation_id), True
            if info is not None and is_as_asked(info, body) and failure is None:
                return info, created
            if info is None:
                continue
            if info.last_user_message_id is None:
                await self._client.delete(conversation_id)
            elif not works_in(info, body):
                raise ServerRefused(
                    f"agent-server: conversation {conversation_id} works in {info.workspace.working_dir}, "
                    f"not in {body['workspace']['working_dir']}: was workspace.root changed? Retry the ticket"
                )
            else:
                return info, False  # it has a history; its tools are those of an earlier policy
        raise failure or AgentServerError(f"agent-server: conversation {conversation_id} could not be made as asked")

    async def _name(self, request: ConversationRequest) -> None:
        """For people who look into the server; not worth a failure."""
        try:
            await self._client.update(request.conversation_id, timeout_s=_GENTLE_S, title=request.title[:200])
        except AgentServerError:
            return

    async def _run_if_unheard(self, conversation_id: str, message: Event) -> None:
        """The message is in the log; a crash or a full server may have kept the agent from being started."""
        page = await self._client.events_from(conversation_id, message.id, limit=100)
        if not any(event.key == "execution_status" for event in page.items):
            await self._client.run(conversation_id)

    async def _wait_for_tools(self, conversation_id: str) -> None:
        """After a lost answer: while an action has no result the message may still be waiting at the server's door."""
        with anyio.move_on_after(_TOOL_WAIT_S):
            while True:
                await anyio.sleep(_LOOK_AGAIN_S)
                try:
                    tail = await self._client.newest_events(conversation_id)
                except (Unreached, Unanswered):
                    await self._server.wait_ready()
                    continue
                mirror = Mirror()
                mirror.status = "running"
                for seq, event in enumerate(tail):
                    mirror.fold(seq, event)
                if not mirror.tool_open:
                    break
        await anyio.sleep(_LOOK_AGAIN_S)

    async def _wait_quiet(self, conversation_id: str) -> FullStateValue | None:
        """The server's memory of the conversation once that does not run, now or within two seconds; None when it goes on."""
        stream = self._stream(conversation_id, after_seq=None)
        try:
            with anyio.move_on_after(_STOP_S):
                deadline = None
                while deadline is None or anyio.current_time() < deadline:
                    match await stream.receive(_STOPPED_S):
                        case FullState(value=value):
                            if to_status(value.execution_status) != "running":
                                return value
                            deadline = deadline or anyio.current_time() + _STOPPED_S
                        case Logged(event=event) if event.key == "execution_status":
                            if read(event.value, str) != "running":
                                await stream.reattach()
                        case _:
                            pass
            return None
        finally:
            await stream.close()

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

    def _mirror(self, conversation_id: str) -> Mirror:
        mirror = self._mirrors.pop(conversation_id, None) or Mirror(self._prices)
        self._mirrors[conversation_id] = mirror
        if len(self._mirrors) > _MIRRORS_MAX:
            oldest, _ = self._mirrors.popitem(last=False)
            self._sent_at_boot.pop(oldest, None)
            self._tools.pop(oldest, None)
        return mirror

    def _forget(self, conversation_id: str) -> None:
        self._mirrors.pop(conversation_id, None)
        self._sent_at_boot.pop(conversation_id, None)
        self._tools.pop(conversation_id, None)
        self._stopped.discard(conversation_id)
