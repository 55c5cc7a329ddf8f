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
from opensymphony.daemon.model_access import host_secrets
from opensymphony.daemon.webhook_renewal import WebhookRenewal
from opensymphony.errors import InstanceError, OpenSymphonyError, ServiceError, StoreError
from opensymphony.interfaces import BadDelivery, Tracker, Webhook
from opensymphony.logs import get_logger
from opensymphony.model import Ticket, TicketId
from opensymphony.services import Secrets, open_webhooks
from opensymphony.settings import Settings
from opensymphony.store.inbox import Inbox, Settled
from opensymphony.views import DeliveryList, DeliveryView, WebhookCounts
from opensymphony.workflow.policy import TrackerPolicy

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

log = get_logger(__name__)


class Reviewed(Struct, frozen=True, kw_only=True):
    """The code host whose webhooks are taken too, and how its pull requests are looked at."""

    service: str
    webhooks: Sequence[Webhook]
    look_at: Callable[[Sequence[str]], int]
    """Lets those of these branches be looked at soon; how many there are."""


class Tracked(Struct, frozen=True, kw_only=True):
    """The tracker whose webhooks are taken, and how its tickets are looked at."""

    policy: TrackerPolicy
    tracker: Tracker
    look_at: LookAt
    clock: Clock
    reviewed: Reviewed | None = None


class Ingress:
    """Belongs to one daemon, the service of its tracker and its code host, where there is one."""

    def __init__(
        self,
        service: str,
        webhooks: Sequence[Webhook],
        inbox: Inbox,
        *,
        secrets: Secrets,
        look_at: LookAt,
        account: Callable[[], str],
        clock: Clock,
        reviewed: Reviewed | None = None,
    ) -> None:
        """The secret of a service's first kind of webhook is needed; its others are taken where theirs is given."""
        self._webhooks = {service: webhooks} if webhooks else {}
        self._reviewed = reviewed
        if reviewed is not None:
            self._webhooks[reviewed.service] = reviewed.webhooks
        self._inbox = inbox
        self._sources = secrets
        self._look_at = look_at
        self._account = account
        self._clock = clock
        self._secrets: dict[str, str] = {}
        """As last read, by their names."""
        self._secret_ms: int | None = None
        self._arrived = anyio.Event()
        self._turned: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._accepted = 0

    def knows(self, service: str) -> bool:
        return service in self._webhooks

    def turned(self, reason: str) -> None:
        self._turned[reason] += 1

    async def receive(self, service: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Raises `Turned` for what is not signed, not an event, or too old; nothing of that is kept."""
        webhook = await self._genuine(self._webhooks[service], headers, body)
        if webhook is None:
            raise Turned(401, "signature", "the signature does not fit")
        try:
            delivery = webhook.read(headers, body)
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
            self._accepted += 1
            self._arrived.set()
        else:
            self._turned["duplicate"] += 1
        return new

    async def _genuine(self, webhooks: Sequence[Webhook], headers: Mapping[str, str], body: bytes) -> Webhook | None:
        """The kind of webhook that shows that it knows its secret."""
        if self._secret_ms is None:
            await self._renew_secrets()
        found = self._fitting(webhooks, headers, body)
        if found is None and self._secret_ms is not None and self._clock.now_ms() - self._secret_ms >= _SECRET_MS:
            before = self._secrets
            await self._renew_secrets()
            return self._fitting(webhooks, headers, body) if self._secrets != before else None
        return found

    def _fitting(self, webhooks: Sequence[Webhook], headers: Mapping[str, str], body: bytes) -> Webhook | None:
        for one in webhooks:
            if one.is_genuine(self._secrets.get(one.secret_name, ""), headers, body):
                return one
        return None

    async def _renew_secrets(self) -> None:
        """Read them from where the settings say; without one nothing is genuine."""
        self._secret_ms = self._clock.now_ms()
        found: dict[str, str] = {}
        for one, needed in ((one, one is all_[0]) for all_ in self._webhooks.values() for one in all_):
            if not needed and not self._sources.is_given(one.secret_name):
                continue
            try:
                found[one.secret_name] = await self._sources.read(one.secret_name, None)
            except OpenSymphonyError as error:
                log.warning("webhooks are refused: their secret cannot be read", error=str(error))
        self._secrets = found

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
        settled = [self._look_at_reviews(one) or _outcome(one, ours, found) for one in waiting]
        await self._inbox.settle(settled, self._clock.now_ms())
        self._outcomes.update(one.outcome for one in settled)
        for one, result in zip(waiting, settled, strict=True):
            log.debug("delivery", service=one.service, ticket=one.ticket, happened=one.event, outcome=result.outcome)
        return len(waiting) == _BATCH_MAX

    def _look_at_reviews(self, one: DeliveryView) -> Settled | None:
        """What became of a delivery of the code host; None for one of the tracker."""
        reviewed = self._reviewed
        if reviewed is None or one.service != reviewed.service:
            return None
        if not one.ticket or not reviewed.look_at([one.ticket]):
            return Settled(number=one.number, outcome="ignored", detail="it is about no pull request of ours")
        return Settled(number=one.number, outcome="looked", detail="its pull request is looked at")

    async def listed(self, *, before: int | None = None) -> DeliveryList:
        """The newest, and what was turned away since the start."""
        newest = await self._inbox.newest(_SHOWN_MAX, before=before)
        return DeliveryList(deliveries=tuple(newest), refused=dict(sorted(self._turned.items())))

    def counts(self) -> WebhookCounts:
        """How many came, and what became of them, since the start."""
        outcomes, refused = dict(sorted(self._outcomes.items())), dict(sorted(self._turned.items()))
        return WebhookCounts(accepted=self._accepted, outcomes=outcomes, refused=refused)

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
    service, webhooks = parts.policy.kind, open_webhooks(parts.policy)
    if public.port is None or not (webhooks or parts.reviewed):
        return None
    secrets = host_secrets(settings)
    inbox = await Inbox.open(Path(settings.store_dir) / "inbox.db")
    stack.push_async_callback(inbox.close)
    ingress = Ingress(
        service,
        webhooks,
        inbox,
        secrets=secrets,
        look_at=parts.look_at,
        account=lambda: parts.tracker.account,
        clock=parts.clock,
        reviewed=parts.reviewed,
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
    if public.url is not None and webhooks:
        renewal = WebhookRenewal(parts.policy, f"{public.url.rstrip('/')}/webhook/{service}", secrets, parts.clock)
        tasks.start_soon(renewal.run, name="webhook-renewal")
    host = f"[{public.host}]" if ":" in public.host else public.host
    for known in (*((service,) if webhooks else ()), *((parts.reviewed.service,) if parts.reviewed else ())):
        log.info("webhooks are taken", url=f"http://{host}:{port}/webhook/{known}")
    return ingress
