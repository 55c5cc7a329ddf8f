"""Stops an agent: interrupted, and confirmed by the server's own memory that nothing runs.

In: a conversation. Out: the server's picture of it standing still.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio

from opensymphony.agents.openhands.client import Client, ConversationGone, Unanswered, Unreached
from opensymphony.agents.openhands.messages import FullStateValue, read, to_status
from opensymphony.agents.openhands.server import Server
from opensymphony.agents.openhands.stream import FullState, Logged, Stream
from opensymphony.errors import AgentServerError

_STOP_S = 60
_STOPPED_S = 2.0
"""How long one interruption may take to show before it is repeated."""
_LOOK_AGAIN_S = 1.0


async def interrupt(
    server: Server, client: Client, conversation_id: str, live_stream: Callable[[], Stream]
) -> FullStateValue | None:
    """The server's picture of the conversation that stands still; None when it has none.

    `live_stream` attaches to what happens from now on. Raises `AgentServerError` when it goes on after a minute.
    """
    with anyio.move_on_after(_STOP_S):
        await server.wait_cleared()
        # In a server that starts nothing runs: what an earlier one left running has been ended.
        while server.state().status not in ("stopped", "starting", "failed"):
            try:
                if not await client.interrupt(conversation_id):
                    return None
                end = await _wait_quiet(live_stream())
                if end is not None:
                    return end
            except ConversationGone:
                return None
            except (Unreached, Unanswered):
                await anyio.sleep(_LOOK_AGAIN_S)
        return None
    raise AgentServerError(f"agent-server: conversation {conversation_id} did not stop within {_STOP_S} s")


async def _wait_quiet(stream: Stream) -> FullStateValue | None:
    """The server's memory of the conversation once that does not run, now or within two seconds; None when it goes on."""
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
