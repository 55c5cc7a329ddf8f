"""Agents on an OpenHands agent-server: the `AgentRuntime` of the interfaces, over one server."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial

import anyio

from opensymphony.agents.openhands.client import Client, ConversationGone
from opensymphony.agents.openhands.delivery import deliver
from opensymphony.agents.openhands.launch import creation_body, to_conversation
from opensymphony.agents.openhands.liveness import look_for_work
from opensymphony.agents.openhands.messages import to_usage
from opensymphony.agents.openhands.mirror import Mirror
from opensymphony.agents.openhands.opening import open_conversation
from opensymphony.agents.openhands.server import Server
from opensymphony.agents.openhands.session import Turn
from opensymphony.agents.openhands.stopping import interrupt
from opensymphony.agents.openhands.stream import Stream
from opensymphony.clock import Clock
from opensymphony.interfaces import ConversationRequest, ReportProgress
from opensymphony.model import CommandKey, Conversation, ConversationId, Liveness, ServerState, TurnEnd, Usage
from opensymphony.workflow.policy import ConversationPolicy, LlmPolicy

_ATTACHES_MAX = 8
"""Each attach that waits behind a running tool holds a thread of the server's only pool."""
_MIRRORS_MAX = 256


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
        self._client = Client(server.endpoint, renew=server.renew_key, tls=server.tls)
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
        conversation_id = request.conversation_id
        body = creation_body(request, self._policy(), self._environment)
        opened = await open_conversation(self._server, self._client, request, body)
        if opened.created:
            self._forget(conversation_id)  # an older one of this id was archived: its log is not this one's
        self._tools[conversation_id] = (
            tuple(str(one["name"]) for one in body["agent"]["tools"]) if opened.as_asked else ()
        )
        version = (await self._client.server_info()).version
        return to_conversation(opened.info, created=opened.created, server_version=version, prices=self._prices())

    async def send(self, conversation_id: ConversationId, key: CommandKey, text: str) -> None:
        """Deliver one message and let the agent run; a message with this key that is there already is not sent again."""
        self._stopped.discard(conversation_id)
        await deliver(self._server, self._client, conversation_id, key, text, sent_at_boot=self._sent_at_boot)

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
        self._stopped.add(conversation_id)
        live = partial(self._stream, conversation_id, after_seq=None)
        end = await interrupt(self._server, self._client, conversation_id, live)
        mirror = self._mirrors.get(conversation_id)
        if mirror is None:
            return to_usage(end.stats, self._prices()) if end is not None and end.stats is not None else None
        if end is not None:
            mirror.adopt(end, with_status=False)
        return mirror.usage if mirror.last_seq >= 0 or end is not None else None

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
