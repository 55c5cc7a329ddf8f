"""Delivers a message exactly once: its key travels in it, and is looked for wherever an answer was lost.

In: a key and a text. Out: the message in the conversation's log, and an agent that runs. While a tool call is open the server
holds messages back, and delivers them when it ends, also those of a daemon that has died: so nothing is sent while one is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from opensymphony.agents.openhands.client import Client, Unanswered, Unreached
from opensymphony.agents.openhands.known import Known
from opensymphony.agents.openhands.messages import Event
from opensymphony.agents.openhands.mirror import Mirror, marker
from opensymphony.agents.openhands.server import Server

_SEND_ATTEMPTS = 3
_READS_MAX = 5
"""Readings of the log in a row that fail before we give up; a server that is not there at all is waited for."""
_LOOK_AGAIN_S = 1.0
_LATE_S = 1.0
"""What was held back is in the log within milliseconds of the end of the call; then nothing comes any more."""
_SILENT_S = 600.0
"""A call that is open without any news for so long is looked at: if nothing works behind it, it is interrupted."""
_DEAD_S = 30.0
"""After that interruption: a result that has not come by then was lost, as where the server's disk is full."""
_REJECTED = "not carried out yet: the next message says how to go on"
_EARLIER_LIFE = 0
"""The boot of a server that an earlier daemon started; ours count from 1."""

IsAtWork = Callable[[], Awaitable[bool]]
"""Whether anything works behind the open tool call of the conversation."""


async def deliver(
    server: Server, client: Client, conversation_id: str, key: str, text: str, *, known: Known, is_at_work: IsAtWork
) -> None:
    """Deliver one message and let the agent run; one with this key that is there already is not sent again.

    `known` is told which boot of the server took the message, and whether one may still be on its way. Takes as long as an open
    tool call takes. What waits for an approval is rejected first: a message would carry it out.
    """
    letter = _Letter(server, client, conversation_id, marker(key), is_at_work, stands_still=known.stands_still)
    for attempt in range(_SEND_ATTEMPTS + 1):
        found = await letter.find(0.0 if known.is_certain else _LATE_S)
        try:
            if found is not None:
                # Sent before we were started: whatever ended that life may have cut the agent short.
                known.boot = _EARLIER_LIFE if known.boot is None else known.boot
                await letter.run_if_unheard(found)
                known.is_certain = True
                return
            if attempt == _SEND_ATTEMPTS:
                break
            known.boot, known.is_certain, known.stands_still = (await server.wait_ready()).boot, False, False
            letter.stands_still = False
            if await client.send(conversation_id, f"{text}\n\n{letter.mark}") == "saved":
                await client.run(conversation_id)
            known.is_certain = True
            return
        except (Unreached, Unanswered):
            await anyio.sleep(_LOOK_AGAIN_S)
    raise Unanswered(f"agent-server: message {key} could not be delivered in {_SEND_ATTEMPTS} attempts")


async def read_tail(client: Client, conversation_id: str) -> Mirror:
    """What the end of the log says: status and open calls, without the conversation's totals."""
    mirror = Mirror()
    mirror.status = "running"  # until an event says otherwise: an open call must not be missed
    for seq, event in enumerate(await client.newest_events(conversation_id)):
        mirror.fold(seq, event)
    return mirror


async def reject(client: Client, conversation_id: str, reason: str) -> None:
    """End what waits for an approval without carrying it out.

    A server that has loaded the conversation anew since it asked has lost where the rejected call belongs; naming the end
    of the log as the end of the history brings it back.
    """
    await client.respond(conversation_id, accept=False, reason=reason)
    found = await client.get(conversation_id)
    if found is not None and found.leaf_event_id:
        await client.navigate(conversation_id, found.leaf_event_id)


class _Letter:
    """One message that is on its way, or perhaps is."""

    def __init__(
        self,
        server: Server,
        client: Client,
        conversation_id: str,
        mark: str,
        is_at_work: IsAtWork,
        *,
        stands_still: bool,
    ) -> None:
        self.mark = mark
        self.stands_still = stands_still
        self._server = server
        self._client = client
        self._conversation_id = conversation_id
        self._is_at_work = is_at_work
        self._interrupted_at: float | None = None
        self._newest, self._heard_at = "", anyio.current_time()

    async def find(self, quiet_s: float) -> Event | None:
        """The message; None once nothing can bring it any more: no call is open, and none was for `quiet_s`."""
        quiet_at: float | None = None
        failed = 0
        while True:
            await self._server.wait_ready()
            try:
                tail = await self._read()
                found = await self._client.find_message(self._conversation_id, self.mark)
                if found is None and tail.status == "waiting_for_confirmation":
                    await reject(self._client, self._conversation_id, _REJECTED)
                failed = 0
            except (Unreached, Unanswered):
                failed += 1
                if failed >= _READS_MAX:
                    raise
                tail, found = None, None
            if found is not None:
                return found
            # A server that could not write (its disk was full) has lost the result for good.
            if tail is None or (tail.open_calls and not self._is_dead()):
                quiet_at = None
                await anyio.sleep(_LOOK_AGAIN_S)
                continue
            quiet_at = anyio.current_time() if quiet_at is None else quiet_at
            if anyio.current_time() - quiet_at >= quiet_s:
                return None
            await anyio.sleep(_LOOK_AGAIN_S / 4)

    def _is_dead(self) -> bool:
        """Whether a call that is open will never end, and holds nothing back."""
        given_up = self._interrupted_at is not None and anyio.current_time() - self._interrupted_at >= _DEAD_S
        return self.stands_still or given_up

    async def _read(self) -> Mirror:
        """The end of the log. A call that is silent for long is interrupted if nothing works behind it; else it may take
        as long as it takes.
        """
        tail = await read_tail(self._client, self._conversation_id)
        if tail.last_event_id != self._newest:
            self._newest, self._heard_at = tail.last_event_id, anyio.current_time()
        if (
            tail.status != "waiting_for_confirmation"
            and tail.open_calls
            and anyio.current_time() - self._heard_at >= _SILENT_S
        ):
            self._heard_at = anyio.current_time()
            if not await self._is_at_work():
                await self._client.interrupt(self._conversation_id)
                self._interrupted_at = self._interrupted_at or anyio.current_time()
        return tail

    async def run_if_unheard(self, message: Event) -> None:
        """The message is in the log; a crash, a full server or our interruption may have kept the agent from being started."""
        page = await self._client.events_from(self._conversation_id, message.id, limit=100)
        if self._interrupted_at is not None or not any(event.key == "execution_status" for event in page.items):
            await self._client.run(self._conversation_id)
