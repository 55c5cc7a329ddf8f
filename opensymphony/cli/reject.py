"""`opensymphony reject`: tell the agent that it may not do what it asked for."""

from __future__ import annotations

from opensymphony.cli import ask


def reject(
    ticket: ask.TicketArgument,
    digest: ask.DigestOption = "",
    reason: ask.ReasonOption = "",
    workflow: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    request_id: ask.RequestOption = None,
    json: ask.JsonOption = False,
) -> None:
    """Tell the agent that it may not do what it asked for; it goes on without.

    Exit code 1 when nothing is waited for, it has expired, or the digest is another.
    """
    ask.act(
        "reject", ticket, workflow=workflow, config=config, request_id=request_id, json=json, digest=digest, text=reason
    )
