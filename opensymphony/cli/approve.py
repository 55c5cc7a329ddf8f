"""`opensymphony approve`: let the agent do exactly what it asked for."""

from __future__ import annotations

from opensymphony.cli import ask


def approve(
    ticket: ask.TicketArgument,
    digest: ask.DigestOption = "",
    workflow: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    request_id: ask.RequestOption = None,
    json: ask.JsonOption = False,
) -> None:
    """Let the agent do exactly what it asked for, once.

    `explain` and the comment on the ticket show the actions and their digest. The agent is told to do them again; only the
    very same ones, by their digest, are let through. Exit code 1 when nothing is waited for, it has expired, or the digest is
    another.
    """
    ask.act("approve", ticket, workflow=workflow, config=config, request_id=request_id, json=json, digest=digest)
