"""`opensymphony message`: tell the agent of a ticket something."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from opensymphony.cli import ask, output

_TEXT_CHARS_MAX = 20_000


def message(
    ticket: ask.TicketArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to tell; - reads it from standard input.")],
    workflow: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    request_id: ask.RequestOption = None,
    json: ask.JsonOption = False,
) -> None:
    """Tell the agent of a ticket something with its next turn.

    A ticket that waits for a person or is in review is started again by it.
    """
    said = _read() if text == "-" else text
    if not said.strip():
        output.fail("the message is empty", output.USAGE)
    if len(said) > _TEXT_CHARS_MAX:
        output.fail(f"the message is longer than {_TEXT_CHARS_MAX:,} characters: put it into the ticket", output.USAGE)
    ask.act("message", ticket, workflow=workflow, config=config, request_id=request_id, json=json, text=said)


def _read() -> str:
    """Standard input, as far as it can be a message: one byte too many is enough to refuse it."""
    try:
        return sys.stdin.buffer.read(4 * _TEXT_CHARS_MAX + 1).decode(errors="replace")
    except KeyboardInterrupt:
        raise SystemExit(output.INTERRUPTED) from None
