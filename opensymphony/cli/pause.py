"""`opensymphony pause`: nothing starts on a ticket, or at all, until `resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from opensymphony.cli import ask


def pause(
    ticket: Annotated[str | None, typer.Argument(metavar="[ID]", help="Identifier of a ticket.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every ticket, also those to come.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Let what is at work come to its end.")] = False,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; it is shown with a run that is stopped.")
    ] = "",
    workflow: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    request_id: ask.RequestOption = None,
    json: ask.JsonOption = False,
) -> None:
    """Let nothing start on a ticket, or on any, until `resume`.

    What is at work is stopped and goes on after `resume`, unless --finish is given. A pause outlives a restart of the daemon.
    """
    ask.one_or_all(ticket, everything, "pause")
    ask.act(
        "pause",
        ticket,
        workflow=workflow,
        config=config,
        request_id=request_id,
        json=json,
        text=reason,
        finish=finish,
    )
