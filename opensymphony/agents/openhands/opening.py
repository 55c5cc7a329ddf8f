"""Makes a conversation, or finds the one that is there: what is half made or not what we asked for is told apart.

In: what to open and the body of the create call. Out: the server's own picture of a conversation that can be worked in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
from msgspec import Struct

from opensymphony.agents.openhands.client import Client, ServerRefused, Unanswered, Unreached
from opensymphony.agents.openhands.launch import is_as_asked, works_in
from opensymphony.agents.openhands.messages import ConversationInfo
from opensymphony.agents.openhands.server import Server
from opensymphony.errors import AgentServerError
from opensymphony.interfaces import ConversationRequest

_CREATE_ATTEMPTS = 2
_OPEN_ATTEMPTS = 3
_LOOK_AGAIN_S = 1.0
_GENTLE_S = 5


class Opened(Struct, frozen=True, kw_only=True):
    """A conversation that can be worked in."""

    info: ConversationInfo
    created: bool
    as_asked: bool
    """False for one that an earlier policy made, and that has a history."""


async def open_conversation(
    server: Server, client: Client, request: ConversationRequest, body: Mapping[str, Any]
) -> Opened:
    """Make it or find it, across a restart of the server. Raises `ServerRefused` when it works somewhere else."""
    for _ in range(_OPEN_ATTEMPTS - 1):
        await server.wait_ready()
        try:
            return await _open(client, request, body)
        except Unreached:
            await anyio.sleep(_LOOK_AGAIN_S)  # it died a moment ago: that is no failure of the ticket
    await server.wait_ready()
    return await _open(client, request, body)


async def _open(client: Client, request: ConversationRequest, body: Mapping[str, Any]) -> Opened:
    info, created = await _create(client, request.conversation_id, body)
    if created:
        await _name(client, request)
    return Opened(info=info, created=created, as_asked=is_as_asked(info, body))


async def _create(client: Client, conversation_id: str, body: Mapping[str, Any]) -> tuple[ConversationInfo, bool]:
    """Create until what is there is what we asked for: a failed create may leave a broken conversation behind."""
    failure: Unanswered | None = None
    for _ in range(_CREATE_ATTEMPTS):
        try:
            info, created = await client.create(body)
            failure = None
        except Unanswered as error:
            failure = error
            info, created = await client.get(conversation_id), True
        if info is not None and is_as_asked(info, body) and failure is None:
            return info, created
        if info is None:
            continue
        if info.last_user_message_id is None:
            await client.delete(conversation_id)
        elif not works_in(info, body):
            raise ServerRefused(
                f"agent-server: conversation {conversation_id} works in {info.workspace.working_dir}, "
                f"not in {body['workspace']['working_dir']}: was workspace.root changed? Retry the ticket"
            )
        else:
            return info, False  # it has a history; its tools are those of an earlier policy
    raise failure or AgentServerError(f"agent-server: conversation {conversation_id} could not be made as asked")


async def _name(client: Client, request: ConversationRequest) -> None:
    """For people who look into the server; not worth a failure."""
    try:
        await client.update(request.conversation_id, timeout_s=_GENTLE_S, title=request.title[:200])
    except AgentServerError:
        return
