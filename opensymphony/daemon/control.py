"""What the daemon offers to its doors: read the picture, ask why, ask for something, ask it to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import anyio
from msgspec import structs

from opensymphony.api.deliveries import Inspection
from opensymphony.api.past import Past
from opensymphony.daemon.loop import Loop
from opensymphony.errors import InstanceError
from opensymphony.model import ServerState, TrackerState, encodable
from opensymphony.scheduler import events as e
from opensymphony.scheduler.requests import subject
from opensymphony.scheduler.view import explanation, find_entry, snapshot
from opensymphony.views import ActionAnswer, Explanation, Snapshot

Status = Literal["starting", "running", "draining", "stopped"]

_AT_MS = 1_000
"""How old the time in a picture may be: what lasts is told from it, also while nothing is recorded."""
_ANSWER_S = 30
"""A request is durable within milliseconds, unless the disk is slow or full."""


class DaemonControl:
    """Implements `api.routes.Control` over the loop's state; reads never wait and never change anything."""

    def __init__(
        self,
        loop: Loop,
        server: Callable[[], ServerState],
        refresh: Callable[[], str | None],
        stop: Callable[[], None],
        *,
        detach: Callable[[], None] | None = None,
        next_poll_ms: Callable[[], int | None] = lambda: None,
        policy_error_since_ms: Callable[[], int | None] = lambda: None,
        tracker: Callable[[], TrackerState | None] = lambda: None,
        answer_s: float = _ANSWER_S,
    ) -> None:
        """`next_poll_ms` and `policy_error_since_ms` are what the shell knows and the journal does not."""
        self._next_poll_ms = next_poll_ms
        self._policy_error_since_ms = policy_error_since_ms
        self._tracker = tracker
        self._loop = loop
        self._server = server
        self._refresh = refresh
        self._stop = stop
        self._detach = detach or stop
        self._answer_s = answer_s
        self.status: Status = "starting"
        self.ingress: Inspection | None = None
        """None where no webhooks are taken."""
        self.past: Past | None = None
        """None until the daemon has begun."""
        self.code_host: Callable[[], tuple[TrackerState | None, str]] = lambda: (None, "")
        """What the code host was asked, and what went wrong there."""
        self._cached: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        """As of the last durable record; while the journal cannot be written, with what waits to be."""
        server, status = self._server(), self._status()
        storage_error = self._storage_error()
        cached = self._cached
        if (
            cached is None
            or cached.sequence != self._loop.sequence
            or cached.server != server
            or cached.status != status
            or cached.storage_error != storage_error
        ):
            cached = snapshot(
                self._loop.state,
                sequence=self._loop.sequence,
                at_ms=self._loop.clock.now_ms(),
                server=server,
                status=status,
            )
            cached = structs.replace(cached, storage_error=storage_error, tracker=self._tracker())
        next_poll_ms = self._next_poll_ms()
        since_ms = self._policy_error_since_ms() if cached.policy_error else None
        now_ms = self._loop.clock.now_ms()
        code_host, trouble = self.code_host()
        known = (cached.next_poll_ms, cached.policy_error_since_ms, cached.code_host_error)
        beside = (next_poll_ms, since_ms, trouble or None) != known
        if beside or now_ms - cached.at_ms >= _AT_MS:
            cached = structs.replace(
                cached,
                at_ms=now_ms,
                next_poll_ms=next_poll_ms,
                policy_error_since_ms=since_ms,
                tracker=self._tracker(),
                code_host=code_host,
                code_host_error=trouble or None,
            )
        self._cached = cached
        return cached

    def _storage_error(self) -> str | None:
        return self._loop.storage_error or self._loop.state.storage_error

    def _status(self) -> Status:
        return "draining" if self.status == "running" and self._loop.state.draining else self.status

    def explain(self, identifier: str) -> Explanation | None:
        """Why a ticket is, or is not, being worked on; None for one that is not known. Its id does as well as its name."""
        entry = find_entry(self._loop.state, identifier)
        if entry is None:
            return None
        found, trouble = explanation(self._loop.state, entry), self._loop.storage_error
        if trouble is None:
            return found
        rules = tuple(
            structs.replace(rule, holds=False, text=trouble) if rule.name == "daemon" else rule for rule in found.rules
        )
        return structs.replace(found, sentence=f"nothing goes on: {trouble}", rules=rules)

    async def act(
        self,
        action: e.OperatorAction,
        identifier: str | None,
        *,
        request_id: str,
        text: str = "",
        author: str = "",
        finish: bool = False,
        digest: str = "",
    ) -> ActionAnswer | None:
        """Ask for something and return once the answer is durable; None for a ticket that is not known.

        No identifier: everything. A request id that was answered before gets the same answer and changes nothing; asked for
        something else under it, that is refused. Raises `InstanceError` when the journal does not take the request in time.
        """
        state, loop = self._loop.state, self._loop
        entry = find_entry(self._loop.state, identifier) if identifier is not None else None
        known = request_id in state.requests
        if identifier is not None and entry is None and not known:
            return None
        if loop.storage_error is not None:
            raise InstanceError(f"the request was not taken: {loop.storage_error}")
        try:
            with anyio.fail_after(self._answer_s):
                if not known:
                    await loop.post(
                        e.OperatorAsked(
                            at_ms=loop.clock.now_ms(),
                            request_id=request_id,
                            ticket_id=entry.ticket.id if entry is not None else None,
                            action=action,
                            text=encodable(text),
                            author=encodable(author),
                            finish=finish,
                            digest=digest,
                        )
                    )
                await loop.settled()
        except TimeoutError as error:
            raise InstanceError(
                f"no answer within {self._answer_s:g} s, and the request may still be carried out: "
                f"ask again with the request id {request_id}"
            ) from error
        lost = (False, "the daemon could not take the request: see its log", "")
        accepted, answer, about = state.requests.get(request_id, lost)
        asked = subject(action, entry.ticket.id if entry is not None else None)
        if known and about not in ("", asked) and (entry is None) == (identifier is None):
            accepted, answer = False, f"this request id was used for something else before ({about}): take a new one"
        return ActionAnswer(request_id=request_id, accepted=accepted, answer=answer)

    def not_ready(self) -> str | None:
        """Why no new work can be begun, told without details; None when it can. Also tells whoever has no token."""
        state = self._loop.state
        if self._status() in ("draining", "stopped"):
            return "the daemon is stopping"
        if self._storage_error() is not None:
            return "the daemon's disk is in trouble"
        if state.server_error is not None or self._server().status == "failed":
            return "the agent-server was given up"
        if state.polled_ms is None:
            return "the tracker cannot be read" if state.poll_error else "the tracker has not been read yet"
        return None

    def refresh(self) -> str | None:
        return self._refresh()

    def shutdown(self, *, detach: bool = False) -> None:
        """Stop in good order, as at a first signal, or leave the agents at work; returns at once."""
        (self._detach if detach else self._stop)()

    async def changed(self) -> None:
        """Return at the next change."""
        await self._loop.changed()
