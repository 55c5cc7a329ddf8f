"""A daemon as its interface sees it: one picture, and a note of what was asked for."""

from __future__ import annotations

from typing import Any

import anyio

from opensymphony.errors import InstanceError
from opensymphony.model import Phase, ServerState, TicketId, Usage
from opensymphony.views import (
    ActionAnswer,
    DeliveryList,
    DeliveryView,
    Explanation,
    Rule,
    Snapshot,
    TicketView,
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
