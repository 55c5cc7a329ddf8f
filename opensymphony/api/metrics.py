"""`GET /metrics`: the picture of this moment in the text format of Prometheus.

Made anew for each request in a registry of its own: nothing is counted beside the picture, and nothing is remembered. No label
holds a ticket's name or text. What can fall, because tickets are forgotten or an estimate is settled, is a gauge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, Protocol, get_args

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry
from starlette.responses import Response

from opensymphony import __version__
from opensymphony.api.deliveries import Inspection
from opensymphony.model import Phase, PullRequestState, ServerState
from opensymphony.views import Snapshot, WebhookCounts

_MICROS = 1_000_000
_STATUSES = ("starting", "running", "draining", "stopped")
_SERVER_STATUSES = ("stopped", "starting", "ready", "restarting", "failed", "external")

Sample = tuple[tuple[str, ...], float]
"""The values of the labels, and the number."""


class Measured(Protocol):
    """What is measured."""

    @property
    def ingress(self) -> Inspection | None: ...

    def snapshot(self) -> Snapshot: ...

    def not_ready(self) -> str | None: ...


class _Seen(Struct, frozen=True, kw_only=True):
    """What one answer is made from."""

    picture: Snapshot
    ready: bool
    webhooks: WebhookCounts | None
    """None where no webhooks are taken."""


class Family(Struct, frozen=True, kw_only=True):
    """One metric."""

    name: str
    """As it is scraped; that of a counter ends in `_total`."""
    meaning: str
    read: Callable[[_Seen], Iterable[Sample]]
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


def metrics(control: Measured) -> Response:
    """All of them, right now."""
    ingress = control.ingress
    seen = _Seen(
        picture=control.snapshot(),
        ready=control.not_ready() is None,
        webhooks=ingress.counts() if ingress is not None else None,
    )
    registry = CollectorRegistry()
    registry.register(_Picture(seen))
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


class _Picture(Collector):
    def __init__(self, seen: _Seen) -> None:
        self._seen = seen

    def describe(self) -> Iterable[Metric]:
        """Nothing: the library would else read everything twice."""
        return ()

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            make = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            made = make(family.name, family.meaning, labels=family.labels)
            for labels, value in family.read(self._seen):
                made.add_metric(labels, value)
            yield made


def _one(read: Callable[[Snapshot], float | None]) -> Callable[[_Seen], Iterable[Sample]]:
    """A single number of the picture; none while it is not known."""

    def samples(seen: _Seen) -> Iterable[Sample]:
        value = read(seen.picture)
        return () if value is None else (((), value),)

    return samples


def _age_s(picture: Snapshot, since_ms: int | None) -> float | None:
    return None if since_ms is None else max(0, picture.at_ms - since_ms) / 1000


def _by(names: Iterable[str], found: Iterable[str]) -> Iterator[Sample]:
    """A number for each name, 0 included: a series that comes and goes cannot be compared."""
    count = Counter(found)
    for name in names:
        yield (name,), count[name]


def _phases(seen: _Seen) -> Iterable[Sample]:
    return _by(get_args(Phase), (view.phase for view in seen.picture.tickets))


def _pull_requests(seen: _Seen) -> Iterable[Sample]:
    shown = (view.pull_request for view in seen.picture.tickets)
    return _by(get_args(PullRequestState), (one.state for one in shown if one is not None))


def _statuses(seen: _Seen) -> Iterable[Sample]:
    return _by(_STATUSES, (seen.picture.status,))


def _servers(seen: _Seen) -> Iterable[Sample]:
    return _by(_SERVER_STATUSES, (one.status for one in _each_server(seen.picture.server)))


def _each_server(server: ServerState) -> tuple[ServerState, ...]:
    return server.servers or (server,)


def _running(picture: Snapshot) -> int:
    return sum(view.phase in ("running", "stopping") for view in picture.tickets)


def _queue(picture: Snapshot) -> list[int]:
    return [view.ready_ms for view in picture.tickets if view.ready_ms is not None]


def _tokens(seen: _Seen) -> Iterator[Sample]:
    for period, usage in (("day", seen.picture.spent_day), ("project", seen.picture.spent_project)):
        yield (period, "prompt"), usage.prompt_tokens
        yield (period, "completion"), usage.completion_tokens


def _cost(seen: _Seen) -> Iterator[Sample]:
    yield ("day",), seen.picture.spent_day.cost_micros / _MICROS
    yield ("project",), seen.picture.spent_project.cost_micros / _MICROS


def _calls(seen: _Seen) -> Iterator[Sample]:
    yield ("day",), seen.picture.spent_day.model_calls
    yield ("project",), seen.picture.spent_project.model_calls


def _budgets(read: Literal["limit", "spent"]) -> Callable[[_Seen], Iterator[Sample]]:
    def samples(seen: _Seen) -> Iterator[Sample]:
        for one in seen.picture.budgets:
            value = one.limit if read == "limit" else one.spent
            yield (
                (one.scope, "tokens" if one.unit == "tokens" else "cost"),
                (value if one.unit == "tokens" else value / _MICROS),
            )

    return samples


def _accepted(seen: _Seen) -> Iterable[Sample]:
    return () if seen.webhooks is None else (((), seen.webhooks.accepted),)


def _outcomes(seen: _Seen) -> Iterator[Sample]:
    if seen.webhooks is not None:
        for outcome in ("looked", "ignored", "failed"):
            yield (outcome,), seen.webhooks.outcomes.get(outcome, 0)


def _refused(seen: _Seen) -> Iterator[Sample]:
    if seen.webhooks is not None:
        for reason, number in seen.webhooks.refused.items():
            yield (reason,), number


def _pause_s(picture: Snapshot) -> float | None:
    tracker = picture.tracker
    return None if tracker is None else max(0, tracker.paused_until_ms - picture.at_ms) / 1000


FAMILIES: tuple[Family, ...] = (
    Family(
        name="opensymphony_build_info",
        meaning="Always 1; the label has the release",
        read=lambda seen: (((__version__,), 1),),
        labels=("version",),
    ),
    Family(
        name="opensymphony_status",
        meaning="1 for what the daemon is doing",
        read=_statuses,
        labels=("status",),
    ),
    Family(
        name="opensymphony_ready",
        meaning="1 when new work can be begun",
        read=lambda seen: (((), float(seen.ready)),),
    ),
    Family(
        name="opensymphony_paused",
        meaning="1 while an operator has paused everything",
        read=_one(lambda picture: float(picture.paused)),
    ),
    Family(
        name="opensymphony_records_total",
        meaning="Records in the journal, since it was begun",
        read=_one(lambda picture: picture.sequence),
        kind="counter",
    ),
    Family(name="opensymphony_tickets", meaning="Tickets that are known, by phase", read=_phases, labels=("phase",)),
    Family(name="opensymphony_runs", meaning="Runs at work", read=_one(_running)),
    Family(
        name="opensymphony_places",
        meaning="Runs that may be at work at once (agent.max_concurrent_agents)",
        read=_one(lambda picture: picture.max_concurrent_agents),
    ),
    Family(
        name="opensymphony_queue_tickets",
        meaning="Tickets that only wait for a place, or for the daemon to begin work",
        read=_one(lambda picture: len(_queue(picture))),
    ),
    Family(
        name="opensymphony_queue_oldest_seconds",
        meaning="How long the first of these has waited; 0 when none does",
        read=_one(lambda picture: _age_s(picture, min(_queue(picture), default=picture.at_ms))),
    ),
    Family(
        name="opensymphony_turns",
        meaning="Turns of agents on the tickets that are known",
        read=_one(lambda picture: sum(view.turns for view in picture.tickets)),
    ),
    Family(
        name="opensymphony_failures",
        meaning="Failures in a row of the tickets that are known, added up; a success takes its ticket's off",
        read=_one(lambda picture: sum(view.failures for view in picture.tickets)),
    ),
    Family(
        name="opensymphony_spent_tokens",
        meaning="Tokens spent today and in all, by kind; falls when an estimate is settled",
        read=_tokens,
        labels=("period", "kind"),
    ),
    Family(
        name="opensymphony_spent_cost",
        meaning="Money spent today and in all, in the currency of the prices; falls when an estimate is settled",
        read=_cost,
        labels=("period",),
    ),
    Family(
        name="opensymphony_model_calls",
        meaning="Calls of models today and in all; falls when an estimate is settled",
        read=_calls,
        labels=("period",),
    ),
    Family(
        name="opensymphony_budget_limit",
        meaning="Limits of the day and the project, in tokens or money",
        read=_budgets("limit"),
        labels=("scope", "unit"),
    ),
    Family(
        name="opensymphony_budget_spent",
        meaning="What is spent of these limits",
        read=_budgets("spent"),
        labels=("scope", "unit"),
    ),
    Family(
        name="opensymphony_tracker_requests_total",
        meaning="Requests to the tracker since the start",
        read=_one(lambda picture: picture.tracker.requests if picture.tracker else None),
        kind="counter",
    ),
    Family(
        name="opensymphony_tracker_refused_total",
        meaning="Requests that the tracker refused for being too many",
        read=_one(lambda picture: picture.tracker.refused if picture.tracker else None),
        kind="counter",
    ),
    Family(
        name="opensymphony_tracker_remaining",
        meaning="Requests that are left by the tracker's own count, where it says",
        read=_one(lambda picture: picture.tracker.remaining if picture.tracker else None),
    ),
    Family(
        name="opensymphony_tracker_pause_seconds",
        meaning="How much longer the tracker has asked not to be asked",
        read=_one(_pause_s),
    ),
    Family(
        name="opensymphony_poll_age_seconds",
        meaning="Since the tracker was read the last time; nothing before the first",
        read=_one(lambda picture: _age_s(picture, picture.polled_ms)),
    ),
    Family(
        name="opensymphony_poll_error",
        meaning="1 while the tracker cannot be read",
        read=_one(lambda picture: float(picture.poll_error is not None)),
    ),
    Family(
        name="opensymphony_policy_error",
        meaning="1 while the newest WORKFLOW.md is not in force",
        read=_one(lambda picture: float(picture.policy_error is not None)),
    ),
    Family(
        name="opensymphony_storage_error",
        meaning="1 while nothing new starts because of a disk",
        read=_one(lambda picture: float(picture.storage_error is not None)),
    ),
    Family(
        name="opensymphony_ticket_problems",
        meaning="Tickets that cannot be read",
        read=_one(lambda picture: len(picture.problems)),
    ),
    Family(
        name="opensymphony_overlaps",
        meaning="Pairs of tickets that change the same files",
        read=_one(lambda picture: len(picture.overlaps)),
    ),
    Family(
        name="opensymphony_pull_requests",
        meaning="Pull requests of the tickets that are known, by state",
        read=_pull_requests,
        labels=("state",),
    ),
    Family(name="opensymphony_agent_servers", meaning="Agent-servers, by status", read=_servers, labels=("status",)),
    Family(
        name="opensymphony_agent_server_restarts_total",
        meaning="Restarts of agent-servers since the start",
        read=_one(lambda picture: picture.server.restarts),
        kind="counter",
    ),
    Family(
        name="opensymphony_webhooks_accepted_total",
        meaning="Webhooks that were genuine and new, since the start",
        read=_accepted,
        kind="counter",
    ),
    Family(
        name="opensymphony_webhooks_settled_total",
        meaning="Webhooks by what became of them, since the start",
        read=_outcomes,
        labels=("outcome",),
        kind="counter",
    ),
    Family(
        name="opensymphony_webhooks_refused_total",
        meaning="Webhooks that were turned away, by reason, since the start",
        read=_refused,
        labels=("reason",),
        kind="counter",
    ),
)
"""Every metric; docs/grafana/opensymphony.json shows them."""
