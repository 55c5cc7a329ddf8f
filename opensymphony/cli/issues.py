"""`opensymphony issues`: the tickets that the daemon knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, get_args

import typer

from opensymphony.cli import ask, output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opensymphony.views import TicketView

_COLUMNS = ("TICKET", "PHASE", "FOR", "STATE", "TITLE", "WHY")
_WIDTH_MAX = 40
"""Of one column; the last one is never cut."""


def issues(
    workflow: Annotated[str | None, typer.Argument(metavar="[WORKFLOW.md]", help="Default: ./WORKFLOW.md")] = None,
    phase: Annotated[
        list[str] | None,
        typer.Option("--phase", metavar="PHASE", help="Only tickets in this phase, such as needs_person; repeatable."),
    ] = None,
    workflow_option: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    json: ask.JsonOption = False,
) -> None:
    """List the tickets that the daemon knows, the next to start first."""
    from opensymphony.api.client import fetch_issues
    from opensymphony.errors import InstanceError

    wanted = [_phase(name) for name in phase or ()]
    address = ask.find(ask.either(workflow, workflow_option), config)
    try:
        found = fetch_issues(address, wanted)
    except InstanceError as error:
        output.fail(str(error), output.FAILED)
    if json:
        output.document(found)
        return
    if not found.issues:
        output.say("no ticket is in that phase" if wanted else "no ticket is known")
        return
    for line in table(found.issues, found.at_ms):
        output.data(line)


def table(views: Sequence[TicketView], now_ms: int) -> Iterator[str]:
    """A heading and a line for each ticket."""
    rows = [_COLUMNS, *(_row(view, now_ms) for view in views)]
    widths = [min(_WIDTH_MAX, max(len(row[at]) for row in rows)) for at in range(len(_COLUMNS) - 1)]
    for row in rows:
        cells = [f"{_cut(cell, width):<{width}}" for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[-1]]).rstrip()


def _row(view: TicketView, now_ms: int) -> tuple[str, ...]:
    phase = view.phase.replace("_", " ") + (" (paused)" if view.paused else "")
    since = output.duration(now_ms - view.since_ms) if view.since_ms else ""
    cells = (view.identifier, phase, since, view.state, view.title, view.reason)
    return tuple(output.one_line(cell) for cell in cells)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _phase(name: str) -> str:
    from opensymphony.model import Phase

    wanted = name.strip().lower().replace("-", "_").replace(" ", "_")
    if wanted not in get_args(Phase):
        output.fail(f"there is no phase {name}: name one of {', '.join(get_args(Phase))}", output.USAGE)
    return wanted
