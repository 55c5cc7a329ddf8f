"""A day: a board, daemons on it, people and trouble, and then a while in which everything behaves."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from msgspec.structs import replace

from opensymphony.scheduler import events as e
from opensymphony.workflow.policy import BudgetPolicy
from tests.simulation import people, whole
from tests.simulation.board import Board
from tests.simulation.daemon import Daemon
from tests.simulation.faults import Scenario
from tests.simulation.timeline import START_MS, Timeline
from tests.simulation.watch import Violation, Watch

_HOUR_MS = 3_600_000
_REST_HOURS = 24
"""After the trouble, everything has to come to rest within this."""
_DAY_MS = 24 * _HOUR_MS
_MIDNIGHT_MS = 5 * _HOUR_MS
"""After the start: short days see a new day too."""


class EndOfPrefix(Exception):
    """Raised when a scenario's number of events is reached."""


class World:
    """Made from a scenario, and run once."""

    def __init__(self, scenario: Scenario) -> None:
        from tests.simulation import policies

        self.scenario = self.given = scenario
        self.random = Random(scenario.seed)
        self.reviewers = Random(f"reviewers {scenario.seed}")
        """Of their own, so that days without merges stay as they were."""
        self.timeline = Timeline()
        self.board = Board()
        self.watch = Watch(self)
        self.policy = policies.drawn(self.random, scenario)
        self.disk_error: str | None = None
        self.requests = 0
        self.over = False
        self.calm = False
        names = ("one", "two") if scenario.has("second") else ("one",)
        self.daemons = [Daemon(self, name) for name in names]
        self.poll_ms = 60_000

    @property
    def day(self) -> str:
        days = (self.timeline.now_ms - START_MS + _DAY_MS - _MIDNIGHT_MS) // _DAY_MS
        return f"2027-01-{1 + days:02d}"

    def downtime_ms(self) -> int:
        if self.calm:
            return 5_000
        draw = self.random.random()
        if draw < 0.7:
            return self.random.randint(1_000, 120_000)
        return self.random.randint(120_000, 2_400_000)

    def run(self) -> None:
        """The whole day. Raises `Violation`."""
        for daemon in self.daemons:
            self.timeline.after(self.random.randint(0, 5_000), daemon.boot)
        span_ms = int(self.scenario.hours * _HOUR_MS)
        for number in range(self.scenario.tickets):
            self.timeline.after(self.random.uniform(0, 0.8 * span_ms), people.create, self, number)
        self._recur(people.review, 1_200_000)
        self._recur(people.review_pulls, 1_500_000)
        self._recur_troubles(span_ms)
        self.timeline.after(_MIDNIGHT_MS, self._new_day)
        try:
            self._run_until(START_MS + span_ms)
            self._behave()
        except EndOfPrefix:
            pass
        self.over = True

    def _recur_troubles(self, span_ms: int) -> None:
        per_ticket_ms = span_ms / max(1, self.scenario.tickets)
        troubles: dict[str, tuple[Callable[[World], None], float]] = {
            "people": (people.disturb, per_ticket_ms),
            "operators": (people.operate, per_ticket_ms),
            "policy": (people.edit_policy, min(3_600_000, span_ms / 5)),
            "disk": (people.fill_disk, min(14_400_000, span_ms / 3)),
            "outage": (people.lose_tracker, min(7_200_000, span_ms / 4)),
            "crash": (people.kill, min(3_000_000, span_ms / 12)),
            "restart": (people.restart, min(9_000_000, span_ms / 4)),
        }
        for name, (happen, mean_ms) in troubles.items():
            if self.scenario.has(name):
                self._recur(happen, mean_ms)
        self._recur(people.expire, 3_600_000)

    def _recur(self, happen: Callable[[World], None], mean_ms: float) -> None:
        def again() -> None:
            if not self.calm:
                happen(self)
                self.timeline.after(self.random.expovariate(1 / mean_ms), again)

        self.timeline.after(self.random.expovariate(1 / mean_ms), again)

    def _new_day(self) -> None:
        self.timeline.after(_DAY_MS, self._new_day)
        for daemon in self.daemons:
            daemon.later(self.random.randint(0, 60_000), self._tell_day, daemon)

    def _tell_day(self, daemon: Daemon) -> None:
        daemon.post(e.DayBegan(at_ms=self.timeline.now_ms, day=self.day))

    def _run_until(self, until_ms: int) -> None:
        limit, watch = self.scenario.events_max, self.watch
        while self.timeline.run_one(until_ms):
            if limit is not None and watch.steps >= limit:
                raise EndOfPrefix

    def _behave(self) -> None:
        """No more trouble; whoever paused something lets it go on, and there is money."""
        self.calm, self.poll_ms = True, 120_000
        self.scenario = replace(self.scenario, faults=self.scenario.faults & {"second"})
        self.disk_error = None
        self.policy = replace(
            self.policy,
            budget=BudgetPolicy(),
            tracker=replace(self.policy.tracker, required_labels=(), active_states=("Todo", "In Progress", "Rework")),
        )
        for daemon in self.daemons:
            daemon.tracker_down_ms = 0
        self._run_until(self.timeline.now_ms + _HOUR_MS)
        for daemon in self.daemons:
            self._calm_down(daemon)
        for _ in range(1, _REST_HOURS):
            self._run_until(self.timeline.now_ms + _HOUR_MS)
            if all(whole.everything_has_come_to_rest(daemon) is None for daemon in self.daemons):
                break  # one agent at a time, and a hundred tickets: that takes its hours
        for daemon in self.daemons:
            for rule in (*whole.AT_REST, *whole.RULES, whole.recovery_equals_the_live_state):
                self.watch.ask(rule, daemon)
        self.watch.ask(whole.no_claim_is_left, self)

    def _calm_down(self, daemon: Daemon) -> None:
        now_ms = self.timeline.now_ms
        daemon.post(e.StorageNoted(at_ms=now_ms, error=None))
        daemon.post(e.PolicyLoaded(at_ms=now_ms, policy=self.policy))
        for ticket_id in (None, *daemon.state.entries):
            if daemon.state.paused if ticket_id is None else daemon.state.entries[ticket_id].paused:
                people.resume(self, ticket_id)
        if daemon.state.server_error is not None:
            daemon.shut_down()


__all__ = ["EndOfPrefix", "Violation", "World"]
