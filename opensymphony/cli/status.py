"""`opensymphony status`: what a running daemon does right now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from opensymphony.cli import ask, output
from opensymphony.cli.explain import asked_lines, budget_line

if TYPE_CHECKING:
    from opensymphony.model import ServerState, TrackerState
    from opensymphony.views import Snapshot, TicketView


def status(
    workflow: Annotated[str | None, typer.Argument(metavar="[WORKFLOW.md]", help="Default: ./WORKFLOW.md")] = None,
    workflow_option: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    json: Annotated[bool, typer.Option("--json", help="The whole snapshot as one JSON document.")] = False,
) -> None:
    """Show every ticket, where it stands, and why.

    Exit code 1 when no daemon is running for this WORKFLOW.md.
    """
    from opensymphony.api.client import fetch_snapshot
    from opensymphony.errors import InstanceError

    address = ask.find(ask.either(workflow, workflow_option), config)
    try:
        snapshot = fetch_snapshot(address)
    except InstanceError as error:
        output.fail(str(error), output.FAILED)
    if json:
        output.document(snapshot)
    else:
        for line in lines(snapshot):
            output.data(output.one_line(line))


def lines(snapshot: Snapshot) -> list[str]:
    """The picture as text, a line for each thing: the daemon, what is in the way, what may be spent, every ticket."""
    server = snapshot.server
    found = [f"daemon {snapshot.status} ({snapshot.instance}); agent-server {_server(server)}"]
    for number, one in enumerate(server.servers, start=1):
        found.append(f"server {number}: {_server(one)}")
    if snapshot.paused:
        since = _since(snapshot.paused_since_ms, snapshot.at_ms)
        found.append(f"everything is paused{since}: `opensymphony resume --all` goes on")
    if snapshot.storage_error:
        found.append(f"nothing new starts: {snapshot.storage_error}")
    if snapshot.poll_error:
        since = _since(snapshot.poll_error_since_ms, snapshot.at_ms)
        again_ms = (snapshot.next_poll_ms or 0) - snapshot.at_ms
        again = f"; next look in {output.duration(again_ms)}" if again_ms > 0 else ""
        found.append(f"the tracker cannot be read{since}: {snapshot.poll_error}{again}")
    if snapshot.tracker is not None:
        found.append(f"tracker: {_traffic(snapshot.tracker, snapshot.at_ms)}")
    if snapshot.code_host_error:
        found.append(f"pull requests cannot be read: {snapshot.code_host_error}")
    if snapshot.code_host is not None:
        found.append(f"code host: {_traffic(snapshot.code_host, snapshot.at_ms)}")
    if snapshot.policy_error:
        since = _since(snapshot.policy_error_since_ms, snapshot.at_ms)
        found.append(f"the newest WORKFLOW.md is not in force{since}: {snapshot.policy_error}")
    found += [f"ticket problem: {problem}" for problem in snapshot.problems]
    day = f" ({snapshot.day})" if snapshot.day else ""
    found += [f"budget of the {budget_line(one).replace('day:', f'day{day}:', 1)}" for one in snapshot.budgets]
    for one in snapshot.overlaps:
        more = f" and {one.more} more" if one.more else ""
        found.append(f"overlap: {' and '.join(one.tickets)} both change {', '.join(one.files)}{more}")
    for view in snapshot.tickets:
        found.append(_ticket(view))
        found += [f"{'':<12} {line}" for line in asked_lines(view, snapshot.at_ms)]
    if not snapshot.tickets:
        found.append("no ticket is known")
    return found


def _traffic(state: TrackerState, now_ms: int) -> str:
    facts = [f"{state.requests:,} request{'' if state.requests == 1 else 's'} since the start"]
    if state.refused:
        facts.append(f"{state.refused:,} of them refused for being too many")
    if state.remaining is not None:
        facts.append(f"{state.remaining:,} left by its own count")
    if state.paused_until_ms > now_ms:
        facts.append(f"it asked for a pause of {output.duration(state.paused_until_ms - now_ms)} more")
    return ", ".join(facts)


def _server(state: ServerState) -> str:
    where = f" at {state.base_url}" if state.base_url else ""
    return f"{state.status}{where} {state.detail}".rstrip()


def _since(at_ms: int | None, now_ms: int) -> str:
    return f" (for {output.duration(now_ms - at_ms)})" if at_ms else ""


def _ticket(view: TicketView) -> str:
    phase = view.phase.replace("_", " ")
    facts = [f"{view.identifier:<12} {phase:<17} {view.state:<12} {view.reason or view.activity}"]
    if view.paused and "paused" not in view.reason:
        facts.append("paused by an operator")
    if view.messages:
        facts.append(f"{view.messages} message{'' if view.messages == 1 else 's'} for the agent")
    if view.turns:
        facts.append(f"turns {view.turns}, tokens {view.usage.total_tokens:,}")
    if view.branch:
        facts.append(f"branch {view.branch}")
    if view.commit:
        facts.append(f"commit {view.commit[:12]}")
    if view.pull_request:
        facts.append(f"pull request {view.pull_request.url} ({view.pull_request.state})")
    return "; ".join(facts)
