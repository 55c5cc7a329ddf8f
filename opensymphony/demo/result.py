"""The demo's result as one JSON document: what `opensymphony demo --json` prints."""

from __future__ import annotations

from opensymphony.demo.board import DemoFiles
from opensymphony.demo.words import spent_ms
from opensymphony.views import Snapshot, TicketView

Value = str | int | float | bool | None


def result(snapshot: Snapshot, files: DemoFiles, seconds: float) -> dict[str, object]:
    """One entry for each ticket on the board; `test` is the shell command that fails on the base and passes on `commit`."""
    tests = {ticket.identifier: files.test_command(ticket) for ticket in files.tickets}
    views = {view.identifier: view for view in snapshot.tickets}
    names = [*tests, *(name for name in views if name not in tests)]
    return {
        "tickets": [_entry(name, views.get(name), tests.get(name), snapshot.at_ms) for name in names],
        "seconds": round(seconds, 1),
        "directory": str(files.directory),
    }


def _entry(identifier: str, view: TicketView | None, test: str | None, now_ms: int) -> dict[str, Value]:
    spent = spent_ms(view, now_ms) if view else None
    return {
        "identifier": identifier,
        "state": view.state if view else None,
        "branch": view.branch if view else None,
        "commit": view.commit if view else None,
        "attempts": view.attempts if view else 0,
        "turns": view.turns if view else 0,
        "verified": bool(view and view.verified),
        "test": test,
        "tokens": view.usage.total_tokens if view else 0,
        "seconds": None if spent is None else round(spent / 1000, 1),
    }
