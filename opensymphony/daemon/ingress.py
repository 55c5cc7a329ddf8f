"""Webhooks: taken when they are genuine, durable before they are acknowledged, and a reason to look at a ticket sooner.

A delivery is a hint and nothing more: whatever it says, the ticket is read from the tracker. Without any of them everything
happens all the same, at the pace of the polls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct

from opensymphony.api.public import Turned, build_public_app
from opensymphony.api.server import serve_app
from opensymphony.clock import Clock
from opensymphony.daemon.model_access import secret_reader
from opensymphony.errors import InstanceError, OpenSymphonyError, ServiceError, StoreError
from opensymphony.interfaces import BadDelivery, Tracker, Webhook
from opensymphony.logs import get_logger
from opensymphony.model import Ticket, TicketId
from opensymphony.services import open_webhook
from opensymphony.settings import Settings
from opensymphony.store.inbox import Inbox, Settled
from opensymphony.views import DeliveryList, DeliveryView

_OLD_MS = 86_400_000
"""Senders try again for hours; what is a day old is a repetition by somebody else."""
_AHEAD_MS = 300_000
_SECRET_MS = 60_000
"""A secret is read again this often at most because of a signature that does not fit."""
_BATCH_MAX = 500
_AGAIN_S = 30.0
_KEPT_MS = 7 * 86_400_000
_KEPT_MAX = 20_000
_SHOWN_MAX = 200

LookAt = Callable[[Sequence[TicketId]], Awaitable[dict[TicketId, Ticket]]]
"""Reads tickets now, and lets the scheduler know what has changed."""
ReadSecret = Callable[[str, str | None], Awaitable[str]]

log = get_logger(__name__)


class Tracked(Struct, frozen=True, kw_only=True):
    """The tracker whose webhooks are taken, and how its tickets are looked at."""

    service: str
    tracker: Tracker
    look_at: LookAt
    clock: Clock


class Ingress:
    """Belongs to one daemon and the service of its tracker."""

    def __init__(
        self,
        service: str,
        webhook: Webhook,
        inbox: Inbox,
        *,
        read_secret: ReadSecret,
        look_at: LookAt,
        account: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._service = service
        self._webhook = webhook
        self._inbox = inbox
        self._read_secret = read_secret
        self._look_at = look_at
        self._account = account
        self._clock = clock
        self._secret = ""
        self._secret_ms: int | None = None
        self._arrived = anyio.Event()
        self._turned: Counter[str] = Counter()

    def knows(self, service: str) -> bool:
        return service == self._service

    def turned(self, reason: str) -> None:
        self._turned[reason] += 1

    async def receive(self, service: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Raises `Turned` for what is not signed, not an event, or too old; nothing of that is kept."""
        if not await self._is_genuine(headers, body):
            raise Turned(401, "signature", "the signature does not fit")
        try:
            delivery = self._webhook.read(headers, body)
        except BadDelivery as error:
            raise Turned(400, "malformed", str(error)) from error
        now_ms = self._clock.now_ms()
        if delivery.at_ms and not now_ms - _OLD_MS <= delivery.at_ms <= now_ms + _AHEAD_MS:
            raise Turned(400, "stale", "it is older than a day, or of the future")
        try:
            new = await self._inbox.put(delivery, body, now_ms)
        except StoreError as error:
            log.error("a delivery could not be written down", error=str(error))
            raise Turned(503, "storage", "it could not be written down: try again") from error
        if new:
            self._arrived.set()
        else:
            self._turned["duplicate"] += 1
        return new

    async def _is_genuine(self, headers: Mapping[str, str], body: bytes) -> bool:
        if self._secret_ms is None:
            await self._renew_secret()
        if self._webhook.is_genuine(self._secret, headers, body):
            return True
        if self._secret_ms is not None and self._clock.now_ms() - self._secret_ms >= _SECRET_MS:
            before = self._secret
            await self._renew_secret()
            return self._secret != before and self._webhook.is_genuine(self._secret, headers, body)
        return False

    async def _renew_secret(self) -> None:
        """Read it from where the settings say; without one nothing is genuine."""
        self._secret_ms = self._clock.now_ms()
        try:
            self._secret = await self._read_secret(self._webhook.secret_name, None)
        except OpenSymphonyError as error:
            self._secret = ""
            log.warning("webhooks are refused: their secret cannot be read", error=str(error))

    async def run(self) -> None:
        """Look at what arrives, until cancelled; what an earlier daemon had not looked at comes first."""
        while True:
            self._arrived = anyio.Event()
            if not await self.work():
                with anyio.move_on_after(_AGAIN_S):
                    await self._arrived.wait()

    async def work(self) -> bool:
        """Settle what waits; whether there may be more at once."""
        try:
            waiting = await self._inbox.waiting(_BATCH_MAX)
            if not waiting:
                await self._inbox.forget(self._clock.now_ms() - _KEPT_MS, _KEPT_MAX)
                return False
            return await self._settle(waiting)
        except StoreError as error:
            log.error("deliveries cannot be read", error=str(error))
            return False

    async def _settle(self, waiting: Sequence[DeliveryView]) -> bool:
        ours = self._account()
        wanted = dict.fromkeys(TicketId(one.ticket_id) for one in waiting if one.ticket_id and one.author != ours)
        found: dict[TicketId, Ticket] = {}
        if wanted:
            try:
                found = await self._look_at(list(wanted))
            except OpenSymphonyError as error:
                log.warning("a delivery could not be followed up; it is tried again", error=str(error))
                pause_ms = error.retry_after_ms if isinstance(error, ServiceError) else None
                await anyio.sleep(min(_AGAIN_S, (pause_ms or 1_000) / 1000))
                return True
        settled = [_outcome(one, ours, found) for one in waiting]
        await self._inbox.settle(settled, self._clock.now_ms())
        for one, result in zip(waiting, settled, strict=True):
            log.debug("delivery", service=one.service, ticket=one.ticket, happened=one.event, outcome=result.outcome)
        return len(waiting) == _BATCH_MAX

    async def listed(self, *, before: int | None = None) -> DeliveryList:
        """The newest, and what was turned away since the start."""
        newest = await self._inbox.newest(_SHOWN_MAX, before=before)
        return DeliveryList(deliveries=tuple(newest), refused=dict(sorted(self._turned.items())))

    async def shown(self, number: int) -> tuple[DeliveryView, bytes] | None:
        return await self._inbox.get(number)

    async def replay(self, number: int) -> bool:
        """Look at it once more; whether there is such a delivery."""
        known = await self._inbox.replay(number)
        self._arrived.set()
        return known


def _outcome(one: DeliveryView, ours: str, found: Mapping[TicketId, Ticket]) -> Settled:
    if not one.ticket_id:
        return Settled(number=one.number, outcome="ignored", detail="it is about no ticket")
    if ours and one.author == ours:
        return Settled(number=one.number, outcome="ignored", detail="we did this ourselves")
    ticket = found.get(TicketId(one.ticket_id))
    if ticket is None:
        return Settled(number=one.number, outcome="looked", detail="the ticket is not there, or not ours to see")
    return Settled(number=one.number, outcome="looked", detail=f"its state is {ticket.state}")


async def open_ingress(settings: Settings, parts: Tracked, stack: AsyncExitStack, tasks: TaskGroup) -> Ingress | None:
    """Begin to take webhooks where the settings name a port and the tracker has them; None where not.

    Raises `InstanceError` when the port is taken, `StoreError` when nothing can be written down.
    """
    public = settings.public
    webhook = open_webhook(parts.service) if public.port is not None else None
    if public.port is None or webhook is None:
        return None
    inbox = await Inbox.open(Path(settings.store_dir) / "inbox.db")
    stack.push_async_callback(inbox.close)
    ingress = Ingress(
        parts.service,
        webhook,
        inbox,
        read_secret=secret_reader(settings),
        look_at=parts.look_at,
        account=lambda: parts.tracker.account,
        clock=parts.clock,
    )
    app = build_public_app(ingress, public.sources)
    try:
        port: int = await tasks.start(serve_app, app, public.host, public.port, name="webhooks")
    except OSError as error:
        raise InstanceError(
            f"cannot listen on {public.host}:{public.port} ({error.strerror or error}): "
            "stop what uses the port, or choose another with public.port"
        ) from error
    tasks.start_soon(ingress.run, name="ingress")
    host = f"[{public.host}]" if ":" in public.host else public.host
    log.info("webhooks are taken", url=f"http://{host}:{port}/webhook/{parts.service}")
    return ingress
