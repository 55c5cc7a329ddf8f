"""A daemon as its interface sees it: one picture, and a note of what was asked for."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import anyio

from opensymphony.api.past import Absent
from opensymphony.errors import InstanceError
from opensymphony.model import Phase, ServerState, TicketId, Usage
from opensymphony.views import (
    ActionAnswer,
    Changes,
    DayFigures,
    DeliveryList,
    DeliveryView,
    Explanation,
    Rule,
    RunFigures,
    Snapshot,
    Statistics,
    TicketView,
    TimelineEntry,
    TimelinePage,
    TranscriptEntry,
    TranscriptPage,
    VerificationList,
    VerificationView,
    WebhookCounts,
)

TOKEN = "the-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
USED = Usage(prompt_tokens=100, completion_tokens=10, model_calls=2, cost_micros=5)


def shown(name: str, phase: Phase, **fields: Any) -> TicketView:
    return TicketView(
        id=TicketId(f"id-{name}"),
        identifier=name,
        title="A title",
        state="In Progress",
        phase=phase,
        usage=USED,
        url=f"https://tracker/{name}",
        **fields,
    )


def explained(view: TicketView) -> Explanation:
    rule = Rule(name="blocker", holds=False, text="it is blocked", since_ms=1_700_000_000_000)
    return Explanation(
        ticket=view,
        sentence=f"{view.identifier} is so",
        since_ms=1_700_000_000_000,
        rules=(rule,),
        history=("run 1: so",),
    )


SNAPSHOT = Snapshot(
    sequence=7,
    at_ms=1_700_000_100_000,
    instance="one",
    status="running",
    server=ServerState(status="ready", base_url="http://127.0.0.1:8000"),
    tickets=(
        shown(
            "A-1",
            "running",
            stage="working",
            turns=2,
            conversation_id="conv",
            activity="ran the tests",
            started_ms=1_700_000_000_000,
            last_activity_ms=1_700_000_090_000,
        ),
        shown("A-2", "stopping", started_ms=1_700_000_000_000),
        shown("A-3", "retrying", failures=3, due_ms=1_700_000_160_000, error="it broke"),
        shown("A-4", "needs_person", error="which way?", since_ms=1_700_000_050_000),
        shown("A-5", "in_review", started_ms=1_700_000_000_000, ended_ms=1_700_000_030_999),
        shown("A-6", "waiting_to_start"),
        shown("A-7", "closed"),
    ),
    usage=USED,
    poll_error="the tracker is away",
    poll_error_since_ms=1_700_000_000_000,
    next_poll_ms=1_700_000_160_000,
    problems=("board/X.md:2: no title",),
)


DELIVERIES = (
    DeliveryView(number=2, service="jira", id="d2", received_ms=1_700_000_000_000, event="jira:issue_created"),
    DeliveryView(
        number=1,
        service="jira",
        id="d1",
        received_ms=1_700_000_000_000,
        event="jira:issue_updated",
        ticket_id="10001",
        ticket="PROJ-1",
        changes="assignee: nobody -> Agent",
        outcome="looked",
        detail="PROJ-1 is in To Do",
        replays=1,
    ),
)
BODIES = {1: b'{"a": [1]}', 2: b"\xff"}


class Tray:
    """Deliveries as they lie there."""

    def __init__(self) -> None:
        self.replayed: list[int] = []

    async def listed(self, *, before: int | None = None) -> DeliveryList:
        found = tuple(one for one in DELIVERIES if before is None or one.number < before)
        return DeliveryList(deliveries=found, refused={"signature": 3})

    def counts(self) -> WebhookCounts:
        return WebhookCounts(accepted=4, outcomes={"looked": 3, "ignored": 1}, refused={"signature": 3})

    async def shown(self, number: int) -> tuple[DeliveryView, bytes] | None:
        found = next((one for one in DELIVERIES if one.number == number), None)
        return (found, BODIES[number]) if found is not None else None

    async def replay(self, number: int) -> bool:
        self.replayed.append(number)
        return number in BODIES


TRANSCRIPT = tuple(
    TranscriptEntry(seq=seq, kind="message", text=f"word {seq} <b>\x1b[31m", at="2026-11-27T01:02:03")
    for seq in range(10)
)
TIMELINE = tuple(
    TimelineEntry(
        sequence=sequence, at_ms=1_700_000_000_000 + sequence, kind="turn_begun", text=f"turn {sequence} began"
    )
    for sequence in range(20, 0, -1)
)
CHANGES = Changes(diff="--- a\n+++ b\n", truncated=True)
VERIFICATIONS = VerificationList(
    verifications=(
        VerificationView(
            sequence=9, at_ms=1_700_000_000_000, generation=1, passed=False, exit_code=2, output="E <script>"
        ),
    )
)


class Memory:
    """The past of A-1; of other tickets there is nothing."""

    def __init__(self) -> None:
        self.absent: Absent | None = None
        self.trouble: Exception | None = None
        self.asked: list[tuple[object, ...]] = []

    def _look(self, *asked: object) -> None:
        self.asked.append(asked)
        if self.trouble is not None:
            raise self.trouble
        if self.absent is not None and asked[1] == "A-1":
            raise self.absent

    async def transcript(
        self, identifier: str, *, limit: int, before: int | None, after: int | None
    ) -> TranscriptPage | None:
        self._look("transcript", identifier, limit, before, after)
        if identifier != "A-1":
            return None
        if after is not None:
            found = [entry for entry in TRANSCRIPT if entry.seq > after][:limit]
        else:
            found = [entry for entry in TRANSCRIPT if before is None or entry.seq < before][-limit:]
        older = found[0].seq if found and found[0].seq else None
        newest = found[-1].seq if found else after or -1
        return TranscriptPage(conversation_id="conv", entries=tuple(found), before=older, after=newest)

    async def timeline(self, identifier: str, *, limit: int, before: int | None) -> TimelinePage | None:
        self._look("timeline", identifier, limit, before)
        if identifier != "A-1":
            return None
        found = [entry for entry in TIMELINE if before is None or entry.sequence < before]
        more = len(found) > limit
        return TimelinePage(entries=tuple(found[:limit]), before=found[limit - 1].sequence if more else None)

    async def changes(self, identifier: str) -> Changes | None:
        self._look("changes", identifier)
        return CHANGES if identifier == "A-1" else None

    async def verifications(self, identifier: str) -> VerificationList | None:
        self._look("verifications", identifier)
        return VERIFICATIONS if identifier == "A-1" else None

    async def statistics(self, days: int) -> Statistics:
        self._look("statistics", days)
        first = date(2026, 11, 27) - timedelta(days=days - 1)
        figures = [DayFigures(day=(first + timedelta(days=at)).isoformat(), usage=USED, runs=2) for at in range(days)]
        run = RunFigures(identifier="A-1", generation=1, waited_ms=5, started_ms=10, ended_ms=20, outcome="succeeded")
        return Statistics(days=tuple(figures), runs=(run,))


class Desk:
    """A `Control` that shows one picture."""

    def __init__(self) -> None:
        self.refreshed = self.shut_down = 0
        self.broken = self.silent = False
        self.accepts = True
        self.reason: str | None = None
        self.waits: str | None = None
        self.asked: list[tuple[str, str | None, dict[str, Any]]] = []
        self.known = {view.identifier: explained(view) for view in SNAPSHOT.tickets}
        odd = shown("a/b c%&?#", "waiting_to_start")
        self.known[odd.identifier] = explained(odd)
        self.ingress: Tray | None = Tray()
        self.past: Memory | None = Memory()
        self.picture = SNAPSHOT
        self.looks = 0
        self._changed = anyio.Event()

    def snapshot(self) -> Snapshot:
        self.looks += 1
        if self.broken:
            raise RuntimeError("a secret detail")
        return self.picture

    def show(self, picture: Snapshot) -> None:
        """From now on it is this one, and whoever waits for a change is told."""
        self.picture = picture
        self._changed.set()
        self._changed = anyio.Event()

    async def changed(self) -> None:
        await self._changed.wait()

    def refresh(self) -> str | None:
        self.refreshed += 1
        return self.waits

    def explain(self, identifier: str) -> Explanation | None:
        return self.known.get(identifier)

    async def act(self, action: str, identifier: str | None, **given: Any) -> ActionAnswer | None:
        self.asked.append((action, identifier, given))
        if self.silent:
            raise InstanceError("no answer within 30 s")
        if identifier is not None and identifier not in self.known:
            return None
        return ActionAnswer(request_id=given["request_id"], accepted=self.accepts, answer="so be it")

    def not_ready(self) -> str | None:
        return self.reason

    def shutdown(self, *, detach: bool = False) -> None:
        self.shut_down += 1
        self.detached = detach
