"""Snapshots of a demo, as the daemon would give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from opensymphony.demo.board import TICKETS, DemoFiles
from opensymphony.model import ServerState, TicketId, Usage
from opensymphony.views import Snapshot, TicketView

BRANCH_COMMIT = "ad9ddae0" * 5


def files(directory: Path) -> DemoFiles:
    return DemoFiles(
        directory=directory,
        repository=directory / "repository",
        board=directory / "board",
        workflow=directory / "WORKFLOW.md",
        python="python3",
        tickets=TICKETS,
    )


def view(number: int, **changes: Any) -> TicketView:
    values: dict[str, Any] = {
        "id": TicketId(f"DEMO-{number}"),
        "identifier": f"DEMO-{number}",
        "title": TICKETS[number - 1].title,
        "state": "Todo",
        "phase": "waiting_to_start",
        "reason": "it starts next",
    }
    return TicketView(**{**values, **changes})


def working(number: int, activity: str, **changes: Any) -> TicketView:
    values: dict[str, Any] = {
        "state": "In Progress",
        "phase": "running",
        "stage": "working",
        "activity": activity,
        "started_ms": 2_000,
    }
    return view(number, **{**values, **changes})


def reviewed(number: int, **changes: Any) -> TicketView:
    values: dict[str, Any] = {
        "state": "In Review",
        "phase": "in_review",
        "branch": f"opensymphony/DEMO-{number}",
        "commit": BRANCH_COMMIT,
        "attempts": 1,
        "turns": 1,
        "verified": True,
        "usage": Usage(prompt_tokens=8_000, completion_tokens=345),
        "started_ms": 2_000,
        "ended_ms": 11_500,
    }
    return view(number, **{**values, **changes})


def snapshot(*tickets: TicketView, **changes: Any) -> Snapshot:
    values: dict[str, Any] = {
        "sequence": 1,
        "at_ms": 32_000,
        "instance": "here",
        "status": "running",
        "server": ServerState(status="ready", version="1.58.0"),
        "tickets": tickets,
    }
    return Snapshot(**{**values, **changes})
