"""Makes a conversation, or finds the one that is there: what is half made or not what we asked for is told apart.

In: what to open and the body of the create call. Out: the server's own picture of a conversation that can be worked in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import anyio
from msgspec import Struct

from opensymphony.agents.openhands.client import Client, ConversationGone, ServerRefused, Unanswered, Unreached
from opensymphony.agents.openhands.launch import confirms_alike, knows_model, why_unfit
from opensymphony.agents.openhands.messages import ConversationInfo
from opensymphony.agents.openhands.mirror import MARKER_START
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
    prompted: bool = False
    """Its log has a message of ours."""
    unfit: str = ""
    """Why one with a history cannot go on as we would ask for it now."""


async def open_conversation(
    server: Server, client: Client, request: ConversationRequest, body: Mapping[str, Any]
) -> Opened:
    """Make it or find it, across a restart of the server; one that is found is given the model as it is now."""
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
        return Opened(info=info, created=True)
    prompted = await client.find_message(request.conversation_id, MARKER_START) is not None
    unfit = why_unfit(info, body)
    if not unfit and not knows_model(info, body["tags"]):
        unfit = await give_model(client, request.conversation_id, body)
    if not unfit and not confirms_alike(info, body):
        await client.confirm_as(request.conversation_id, body["confirmation_policy"], body.get("security_analyzer"))
    return Opened(info=info, created=False, prompted=prompted, unfit=unfit)


async def give_model(client: Client, conversation_id: str, body: Mapping[str, Any]) -> str:
    """Switch a conversation to the model of `body`, key and address included; why that cannot be, or nothing.

    The tag follows the switch: should we die in between, it is switched once more.
    """
    try:
        await client.switch_llm(conversation_id, body["agent"]["llm"])
    except (ServerRefused, ConversationGone, Unanswered) as error:
        return f"its model could not be switched ({error})"
    with contextlib.suppress(AgentServerError):  # a tag of an earlier model costs one switch more
        await client.update(conversation_id, timeout_s=_GENTLE_S, tags=body["tags"])
    return ""


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
        if info is not None and not why_unfit(info, body) and failure is None:
            return info, created
        if info is None:
            continue
        if info.last_user_message_id is not None:
            return info, False
        await client.delete(conversation_id)
    raise failure or AgentServerError(f"agent-server: conversation {conversation_id} could not be made as asked")


async def _name(client: Client, request: ConversationRequest) -> None:
    """For people who look into the server; not worth a failure."""
    try:
        await client.update(request.conversation_id, timeout_s=_GENTLE_S, title=request.title[:200])
    except AgentServerError:
        return
