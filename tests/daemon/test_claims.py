"""Whose a ticket is, when several daemons want it and the tracker has no lock."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Generator
from heapq import heappop, heappush
from types import coroutine
from typing import Any, cast

import pytest
from msgspec import structs

from opensymphony.clock import Clock
from opensymphony.daemon import claims as claims_module
from opensymphony.daemon.claims import Claims
from opensymphony.errors import Unreachable
from opensymphony.interfaces import Tracker
from opensymphony.model import Claim, ClaimAnswer, Ticket, TicketId
from tests.scheduler.playbook import ticket

T = TicketId("T")
SETTLE_MS = 1_000
STALE_MS = 60_000


class Simulation(Clock):
    """Time that passes only while everybody waits; coroutines take turns in the order in which their waits end."""

    def __init__(self) -> None:
        super().__init__()
        self._now_ms = 0
        self._waiting: list[tuple[int, int, Coroutine[Any, Any, None]]] = []
        self._serial = 0

    def now_ms(self) -> int:
        return self._now_ms

    def start(self, work: Coroutine[Any, Any, None], after_ms: int = 0) -> None:
        self._serial += 1
        heappush(self._waiting, (self._now_ms + after_ms, self._serial, work))

    def run(self) -> None:
        while self._waiting:
            self._now_ms, _, work = heappop(self._waiting)
            try:
                wait_ms = work.send(None)
            except StopIteration:
                continue
            self.start(work, wait_ms)

    async def sleep(self, seconds: float) -> None:
        await _wait(round(seconds * 1000))


@coroutine
def _wait(wait_ms: int) -> Generator[int]:
    yield wait_ms


class Slot:
    """A tracker without a lock: reading, comparing and writing are three steps, and every way there and back takes time."""

    claim_settle_ms = SETTLE_MS

    def __init__(self, delay_ms: Callable[[], int]) -> None:
        self.claim_now: Claim | None = None
        self.delay_ms = delay_ms
        self.broken = False
        self.deaf = False
        """Writes are lost."""

    async def claim(self, ticket_id: TicketId, claim: Claim, *, replacing: Claim | None) -> ClaimAnswer:
        await _wait(self.delay_ms())
        held = self.claim_now
        await _wait(self.delay_ms())
        if held is not None and held.instance != claim.instance and held != replacing:
            return ClaimAnswer(granted=False, holder=held)
        await _wait(self.delay_ms())
        if not self.deaf:
            self.claim_now = claim
        await _wait(self.delay_ms())
        return ClaimAnswer(granted=True)

    async def release(self, ticket_id: TicketId, claim: Claim) -> None:
        await _wait(self.delay_ms())
        held = self.claim_now
        await _wait(self.delay_ms())
        if held is not None and held.instance == claim.instance:
            self.claim_now = None

    async def fetch_tickets(self, ids: list[TicketId]) -> tuple[Ticket, ...]:
        await _wait(self.delay_ms())
        if self.broken:
            raise Unreachable("slot", "away")
        found = structs.replace(ticket("T"), claim=self.claim_now)
        await _wait(self.delay_ms())
        return (found,)


class World:
    """Some daemons around one slot."""

    def __init__(self, delay_ms: Callable[[], int] = lambda: 1) -> None:
        self.time = Simulation()
        self.slot = Slot(delay_ms)
        self.daemons: dict[str, Claims] = {}

    def answer(self, name: str, *, generation: int = 1, after_ms: int = 0) -> ClaimAnswer:
        """What one daemon alone is told, some time from now."""
        answers: dict[str, ClaimAnswer] = {}
        self.begin(name, answers, generation=generation, after_ms=after_ms)
        self.time.run()
        return answers[name]

    def begin(self, name: str, answers: dict[str, ClaimAnswer], *, generation: int = 1, after_ms: int = 0) -> None:
        tracker = cast(Tracker, self.slot)
        claims = self.daemons.setdefault(name, Claims(tracker, self.time, self.time.sleep))

        async def attempt() -> None:
            mine = Claim(instance=name, generation=generation, heartbeat_ms=self.time.now_ms())
            answers[name] = await claims.claim(T, mine, stale_after_ms=STALE_MS)

        self.time.start(attempt(), after_ms)


def test_of_daemons_that_race_one_wins() -> None:
    """Three that begin at nearly the same moment, with delays below the settle time: exactly one, and its claim stands."""
    for seed in range(300):
        draw = random.Random(seed)
        world = World(lambda draw=draw: draw.randrange(SETTLE_MS // 4))
        answers: dict[str, ClaimAnswer] = {}
        for name in ("one", "two", "three"):
            world.begin(name, answers, after_ms=draw.randrange(SETTLE_MS))
        world.time.run()
        winners = [name for name, answer in answers.items() if answer.granted]
        assert world.slot.claim_now is not None, f"seed {seed}"
        assert winners == [world.slot.claim_now.instance], f"seed {seed}"


def test_of_two_with_any_delays_never_both_win() -> None:
    """Requests that hang for many times the settle time may leave no winner, but not two."""
    for seed in range(300):
        draw = random.Random(seed)

        def delay_ms(draw: random.Random = draw) -> int:
            return draw.choice((0, 10, SETTLE_MS // 2, SETTLE_MS, draw.randrange(10 * SETTLE_MS)))

        world = World(delay_ms)
        answers: dict[str, ClaimAnswer] = {}
        for name in ("one", "two"):
            world.begin(name, answers, after_ms=draw.randrange(5 * SETTLE_MS))
        world.time.run()
        assert sum(answer.granted for answer in answers.values()) <= 1, f"seed {seed}"


def test_without_the_settle_time_both_would_win() -> None:
    """What the wait is for: this tracker really lets two writes through."""
    world = World()
    world.slot.claim_settle_ms = 0
    answers: dict[str, ClaimAnswer] = {}
    for name in ("one", "two"):
        world.begin(name, answers)
    world.time.run()
    assert [answer.granted for answer in answers.values()] == [True, True]


def test_another_daemon_is_named() -> None:
    """Whoever asks why a ticket is not worked on is told whose it is."""
    world = World()
    assert world.answer("one").granted
    answer = world.answer("two")
    assert not answer.granted
    assert answer.holder is not None
    assert answer.holder.instance == "one"


def test_a_claim_is_stale_when_it_stood_still_for_our_own_time() -> None:
    """Not by what its heartbeat says: the owner's clock may be a day behind, or ahead."""
    for heartbeat_ms in (0, 10**15):
        world = World()
        world.slot.claim_now = Claim(instance="one", generation=1, heartbeat_ms=heartbeat_ms)
        assert not world.answer("two").granted
        assert not world.answer("two", after_ms=STALE_MS - 100).granted
        assert world.answer("two", after_ms=STALE_MS).granted


def test_a_renewed_claim_never_gets_stale() -> None:
    """Two renewals in three may be lost."""
    world = World()
    assert world.answer("one").granted
    for turn in range(20):
        world.slot.deaf = turn % 3 != 0
        assert world.answer("one", after_ms=STALE_MS // 4).granted
        assert not world.answer("two").granted


def test_a_renewal_between_look_and_takeover_saves_the_claim() -> None:
    """What is replaced is exactly the claim that was seen standing still."""
    world = World()
    assert world.answer("one").granted
    world.answer("two")
    assert world.answer("one", after_ms=2 * STALE_MS).granted
    assert not world.answer("two").granted


def test_a_daemon_that_slept_finds_its_ticket_taken() -> None:
    """It asks for a renewal, is refused by name, and takes nothing back; its release leaves the other's claim alone."""
    world = World()
    assert world.answer("one").granted
    world.answer("two")
    assert world.answer("two", after_ms=2 * STALE_MS).granted
    answer = world.answer("one")
    assert (answer.granted, answer.holder) == (False, world.slot.claim_now)
    mine = Claim(instance="one", generation=1, heartbeat_ms=0)
    world.time.start(world.daemons["one"].release(T, mine))
    world.time.run()
    assert world.slot.claim_now == answer.holder


def test_a_claim_of_ours_from_before_a_crash_is_ours() -> None:
    """Whatever generation it was; the new daemon remembers nothing and waits for nothing."""
    world = World()
    assert world.answer("one", generation=4).granted
    world.daemons.clear()
    assert world.answer("one", generation=5).granted
    assert world.slot.claim_now is not None
    assert world.slot.claim_now.generation == 5


def test_a_first_claim_that_hung_is_withdrawn() -> None:
    """It may have come after another's last look; nothing of it stays."""
    world = World(lambda: SETTLE_MS // 2)
    assert world.answer("one") == ClaimAnswer(granted=False)
    assert world.slot.claim_now is None


def test_a_renewal_may_hang() -> None:
    """Slow is not lost: the run goes on, also when its write did not arrive and nobody else's is there."""
    world = World()
    assert world.answer("one").granted
    world.slot.delay_ms = lambda: SETTLE_MS
    assert world.answer("one").granted
    world.slot.claim_now, world.slot.deaf = None, True
    assert world.answer("one").granted


def test_a_first_claim_that_does_not_arrive_is_not_ours() -> None:
    """The tracker said yes and shows nothing."""
    world = World()
    world.slot.deaf = True
    assert world.answer("one") == ClaimAnswer(granted=False)


def test_trouble_at_the_second_reading_is_raised() -> None:
    """Nothing is known then; the next try finds our own claim there."""
    world = World()
    world.slot.broken = True
    with pytest.raises(Unreachable):
        world.answer("one")
    world.slot.broken = False
    assert world.answer("one").granted


def test_what_is_remembered_of_others_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten first; its claim then stands the longer."""
    monkeypatch.setattr(claims_module, "_OBSERVED_MAX", 2)
    world = World()
    claims = Claims(cast(Tracker, world.slot), world.time, world.time.sleep)
    held = Claim(instance="there", generation=1, heartbeat_ms=1)
    for name in ("A", "B", "C", "B", "C"):
        assert not claims._is_stale(TicketId(name), held, STALE_MS)
    world.time.start(world.time.sleep(STALE_MS), 1)
    world.time.run()
    stale = [claims._is_stale(TicketId(name), held, STALE_MS - 1) for name in ("C", "B", "A")]
    assert stale == [True, True, False]
