"""Delivers a message exactly once: its key travels in it, and is looked for wherever an answer was lost.

In: a key and a text. Out: the message in the conversation's log, and an agent that runs.
"""

from __future__ import annotations

from collections.abc import MutableMapping

import anyio

from opensymphony.agents.openhands.client import Client, Unanswered, Unreached
from opensymphony.agents.openhands.messages import Event, read
from opensymphony.agents.openhands.mirror import Mirror, marker
from opensymphony.agents.openhands.server import Server

_SEND_ATTEMPTS = 3
_TOOL_WAIT_S = 600
_LOOK_AGAIN_S = 1.0
REJECTED = "not carried out yet: the next message says how to go on"
_EARLIER_LIFE = 0
"""The boot of a server that an earlier daemon started; ours count from 1."""


async def deliver(
    server: Server, client: Client, conversation_id: str, key: str, text: str, *, sent_at_boot: MutableMapping[str, int]
) -> None:
    """Deliver one message and let the agent run; one with this key that is there already is not sent again.

    `sent_at_boot` is told which boot of the server took the message.
    """
    mark = marker(key)
    for _ in range(_SEND_ATTEMPTS):
        boot = (await server.wait_ready()).boot
        try:
            found = await client.find_message(conversation_id, mark)
            if found is not None:
                # Sent before we were started: whatever ended that life may have cut the agent short.
                sent_at_boot.setdefault(conversation_id, _EARLIER_LIFE)
                await _run_if_unheard(client, conversation_id, found)
                return
            await _reject_pending(client, conversation_id)
            sent_at_boot[conversation_id] = boot
            if await client.send(conversation_id, f"{text}\n\n{mark}") == "saved":
                await client.run(conversation_id)
            return
        except Unreached:
            await anyio.sleep(_LOOK_AGAIN_S)
        except Unanswered:
            await _wait_for_tools(server, client, conversation_id)
    raise Unanswered(f"agent-server: message {key} could not be delivered in {_SEND_ATTEMPTS} attempts")


async def _reject_pending(client: Client, conversation_id: str) -> None:
    """A message would carry out what waits for a confirmation: that is rejected first.

    A server that has loaded the conversation anew since then has lost where the rejected call belongs; naming the end of the
    log as the end of the history brings it back.
    """
    tail = await client.newest_events(conversation_id)
    told = [read(event.value, str) for event in tail if event.key == "execution_status"]
    if not told:
        found = await client.get(conversation_id)
        told = [found.execution_status if found is not None else ""]
    if told[-1] != "waiting_for_confirmation":
        return
    await client.respond(conversation_id, accept=False, reason=REJECTED)
    found = await client.get(conversation_id)
    if found is not None and found.leaf_event_id:
        await client.navigate(conversation_id, found.leaf_event_id)


async def _run_if_unheard(client: Client, conversation_id: str, message: Event) -> None:
    """The message is in the log; a crash or a full server may have kept the agent from being started."""
    page = await client.events_from(conversation_id, message.id, limit=100)
    if not any(event.key == "execution_status" for event in page.items):
        await client.run(conversation_id)


async def _wait_for_tools(server: Server, client: Client, conversation_id: str) -> None:
    """After a lost answer: while an action has no result the message may still be waiting at the server's door."""
    with anyio.move_on_after(_TOOL_WAIT_S):
        while True:
            await anyio.sleep(_LOOK_AGAIN_S)
            try:
                tail = await client.newest_events(conversation_id)
            except (Unreached, Unanswered):
                await server.wait_ready()
                continue
            mirror = Mirror()
            mirror.status = "running"
            for seq, event in enumerate(tail):
                mirror.fold(seq, event)
            if not mirror.tool_open:
                break
    await anyio.sleep(_LOOK_AGAIN_S)
