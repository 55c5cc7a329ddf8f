"""`opensymphony deliveries list|show|replay`: the webhooks that came, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from opensymphony.cli import ask, output

if TYPE_CHECKING:
    from opensymphony.views import DeliveryView

_Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="As `deliveries list` shows it.")]
_Json = Annotated[bool, typer.Option("--json", help="As one JSON document.")]


def list_(workflow: ask.WorkflowOption = None, config: ask.ConfigOption = None, json: _Json = False) -> None:
    """Show the newest webhooks, and how many were turned away since the start."""
    from opensymphony.api.client import fetch_deliveries
    from opensymphony.errors import InstanceError

    try:
        found = fetch_deliveries(ask.find(workflow, config))
    except InstanceError as error:
        output.fail(str(error), output.FAILED)
    if json:
        output.document(found)
        return
    for one in found.deliveries:
        output.data(output.one_line(_line(one)))
    if not found.deliveries:
        output.data("no webhook has come yet")
    for reason, number in found.refused.items():
        output.data(f"turned away: {number} ({reason.replace('_', ' ')})")


def show(number: _Number, workflow: ask.WorkflowOption = None, config: ask.ConfigOption = None) -> None:
    """Show one webhook with its body, as JSON."""
    from opensymphony.api.client import fetch_delivery
    from opensymphony.errors import InstanceError

    try:
        output.document(fetch_delivery(ask.find(workflow, config), number))
    except InstanceError as error:
        output.fail(str(error), output.FAILED)


def replay(number: _Number, workflow: ask.WorkflowOption = None, config: ask.ConfigOption = None) -> None:
    """Look at what one webhook is about once more."""
    from opensymphony.api.client import request_replay
    from opensymphony.errors import InstanceError

    try:
        request_replay(ask.find(workflow, config), number)
    except InstanceError as error:
        output.fail(str(error), output.FAILED)
    output.data(f"delivery {number} is looked at once more")


def _line(one: DeliveryView) -> str:
    from opensymphony.clock import iso

    replays = f", replayed {one.replays}" if one.replays else ""
    changes = f" ({one.changes})" if one.changes else ""
    result = f"{one.outcome}: {one.detail}" if one.detail else one.outcome
    return f"{one.number:>6}  {iso(one.received_ms)}  {one.ticket or '-':<12} {one.event}{changes}; {result}{replays}"
