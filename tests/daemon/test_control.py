"""The picture that the doors are given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from opensymphony.clock import Clock
from opensymphony.daemon.control import DaemonControl
from opensymphony.daemon.loop import Loop
from opensymphony.model import ServerState
from opensymphony.scheduler import events as e
from opensymphony.scheduler import step
from opensymphony.scheduler.records import FORMAT
from opensymphony.scheduler.state import State
from opensymphony.store.sqlite import Journal
from tests.scheduler.playbook import policy, ticket


class Desk:
    """A control over a loop, with a server and a tracker that the test plays."""

    def __init__(self, journal: Journal) -> None:
        self.loop = Loop(State(), 0, journal, Clock())
        self.server = ServerState(status="starting")
        self.refreshed = 0
        self.next_poll_ms: int | None = None
        self.control = DaemonControl(
            self.loop,
            lambda: self.server,
            self._refresh,
            next_poll_ms=lambda: self.next_poll_ms,
            policy_error_since_ms=lambda: 7,
        )

    def _refresh(self) -> str | None:
        self.refreshed += 1
        return "later"

    def take(self, event: e.Event) -> None:
        """As the loop does once the record is durable."""
        step(self.loop.state, event)
        self.loop.sequence += 1


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    journal = await Journal.open(tmp_path / "journal.db", format_number=FORMAT)
    made = Desk(journal)
    yield made
    made.loop.close()
    await journal.close()


async def test_the_picture_is_as_of_the_last_record(desk: Desk) -> None:
    """It is made once for each change of the state, of the server or of the daemon itself."""
    first = desk.control.snapshot()
    assert (first.sequence, first.status, first.server.status, first.tickets) == (0, "starting", "starting", ())
    assert desk.control.snapshot() is first
    desk.take(e.PolicyLoaded(at_ms=1, policy=policy()))
    desk.take(e.TicketChanged(at_ms=1, ticket=ticket("A-1")))
    second = desk.control.snapshot()
    assert (second.sequence, [view.identifier for view in second.tickets]) == (2, ["A-1"])
    desk.server = ServerState(status="ready")
    assert desk.control.snapshot().server.status == "ready"
    desk.control.status = "running"
    assert desk.control.snapshot().status == "running"


async def test_what_only_the_shell_knows_is_in_the_picture(desk: Desk) -> None:
    """When the next look is due, and since when a bad WORKFLOW.md is not in force; without one, nothing."""
    desk.next_poll_ms = 5
    first = desk.control.snapshot()
    assert (first.next_poll_ms, first.policy_error_since_ms) == (5, None)
    assert desk.control.snapshot() is first
    desk.next_poll_ms = 6
    desk.take(e.PolicyRejected(at_ms=1, error="bad"))
    second = desk.control.snapshot()
    assert (second.next_poll_ms, second.policy_error_since_ms) == (6, 7)


async def test_a_drain_shows_until_it_is_over(desk: Desk) -> None:
    """A stopped daemon is stopped, not draining; nor is one that has yet to begin anew."""
    desk.control.status = "running"
    desk.take(e.ShutdownRequested(at_ms=1))
    assert desk.control.snapshot().status == "draining"
    desk.control.status = "stopped"
    assert desk.control.snapshot().status == "stopped"
    desk.control.status = "starting"
    assert desk.control.snapshot().status == "starting"


async def test_a_refresh_reaches_the_poller(desk: Desk) -> None:
    """It only asks; nothing is waited for. What the poller says comes back."""
    assert desk.control.refresh() == "later"
    assert desk.refreshed == 1


async def test_whoever_waits_for_a_change_is_woken(desk: Desk) -> None:
    """By the next thing that the loop takes."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.loop.run, lambda command: None)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(desk.control.changed)
                await anyio.wait_all_tasks_blocked()
                await desk.loop.post(e.DaemonStarted(at_ms=1, instance="one", version="test"))
        assert desk.control.snapshot().instance == "one"
        tasks.cancel_scope.cancel()
