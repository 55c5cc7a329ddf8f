"""`opensymphony status`: what a running daemon does right now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from opensymphony.clock import iso

if TYPE_CHECKING:
    from opensymphony.views import Snapshot, TicketView


def status(
    workflow: Annotated[str | None, typer.Argument(metavar="[WORKFLOW.md]", help="Default: ./WORKFLOW.md")] = None,
    config: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="Host settings (opensymphony.toml).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The whole snapshot as one JSON document.")] = False,
) -> None:
    """Show every ticket, where it stands, and why.

    Exit code 1 when no daemon is running for this WORKFLOW.md.
    """
    from opensymphony.api.client import fetch_snapshot, find_daemon
    from opensymphony.cli import loading, output
    from opensymphony.errors import InstanceError

    settings = loading.load(workflow, config_path=config).settings
    try:
        snapshot = fetch_snapshot(find_daemon(settings.store_dir))
    except InstanceError as error:
        output.fail(str(error), output.FAILED)
    if json:
        output.document(snapshot)
    else:
        for line in lines(snapshot):
            output.data(output.one_line(line))


def lines(snapshot: Snapshot) -> list[str]:
    """The picture as text, a line for each thing."""
    server = snapshot.server
    where = f" at {server.base_url}" if server.base_url else ""
    found = [
        f"daemon {snapshot.status} ({snapshot.instance}); agent-server {server.status}{where} {server.detail}".rstrip()
    ]
    if snapshot.poll_error:
        since, again = _at(", degraded since", snapshot.poll_error_since_ms), _at("; next look", snapshot.next_poll_ms)
        found.append(f"the tracker cannot be read{since}: {snapshot.poll_error}{again}")
    if snapshot.policy_error:
        since = _at(" since", snapshot.policy_error_since_ms)
        found.append(f"the newest WORKFLOW.md is not in force{since}: {snapshot.policy_error}")
    found += [f"ticket problem: {problem}" for problem in snapshot.problems]
    found += [_ticket(view) for view in snapshot.tickets]
    if not snapshot.tickets:
        found.append("no ticket is known")
    return found


def _at(words: str, at_ms: int | None) -> str:
    return f"{words} {iso(at_ms)}" if at_ms is not None else ""


def _ticket(view: TicketView) -> str:
    facts = [
        f"{view.identifier:<12} {view.phase.replace('_', ' '):<17} {view.state:<12} {view.reason or view.activity}"
    ]
    if view.turns:
        facts.append(f"turns {view.turns}, tokens {view.usage.total_tokens:,}")
    if view.branch:
        facts.append(f"branch {view.branch}")
    if view.commit:
        facts.append(f"commit {view.commit[:12]}")
    return "; ".join(facts)
