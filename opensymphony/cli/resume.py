"""`opensymphony resume`: end a pause."""

from __future__ import annotations

from typing import Annotated

import typer

from opensymphony.cli import ask


def resume(
    ticket: Annotated[str | None, typer.Argument(metavar="[ID]", help="Identifier of a ticket.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="End the pause of everything; a ticket's own pause stays.")
    ] = False,
    workflow: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    request_id: ask.RequestOption = None,
    json: ask.JsonOption = False,
) -> None:
    """Let work go on after `pause`.

    Exit code 1 when nothing is paused.
    """
    ask.one_or_all(ticket, everything, "resume")
    ask.act("resume", ticket, workflow=workflow, config=config, request_id=request_id, json=json)
