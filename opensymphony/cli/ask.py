"""What the commands for operators share: which daemon is meant, how it is asked, and how its answer is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from opensymphony.cli import output

if TYPE_CHECKING:
    from opensymphony.api.client import Address

WorkflowOption = Annotated[
    str | None, typer.Option("--workflow", "-w", metavar="FILE", help="Whose daemon is asked. Default: ./WORKFLOW.md")
]
ConfigOption = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="Host settings (opensymphony.toml).")
]
TicketArgument = Annotated[str, typer.Argument(metavar="ID", help="Identifier of a ticket, such as PROJ-1.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is shown with the ticket.")]
DigestOption = Annotated[
    str,
    typer.Option("--digest", metavar="HEX", help="The beginning of the digest that was shown, at least six digits."),
]
RequestOption = Annotated[
    str | None,
    typer.Option(
        "--request-id",
        metavar="KEY",
        help="For scripts: asked again with the same key, it is answered the same and nothing is done again.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]

_NEAR_MAX = 3
_NAME_CHARS_MAX = 200


def find(workflow: str | None, config: str | None) -> Address:
    """The daemon of this WORKFLOW.md; ends the command with one line when there is none."""
    import os

    from opensymphony.api.client import find_daemon
    from opensymphony.errors import InstanceError
    from opensymphony.settings import load_settings

    named = workflow or "WORKFLOW.md"
    settings, problems = load_settings(named, config_path=config)  # the policy is not needed, and slow to load
    wrong = any(problem.severity == "error" for problem in problems)
    try:
        if wrong and config is not None:
            raise InstanceError("settings that were named and cannot be read may mean another store")
        return find_daemon(settings.store_dir)
    except InstanceError as error:
        if wrong:
            output.report(problems)
            raise SystemExit(output.USAGE) from None
        if not os.path.exists(settings.workflow_path):
            output.fail(
                f"{named}: there is no such file: go to the directory of a WORKFLOW.md, or name one", output.USAGE
            )
        output.fail(f"{error}{_left_hint(settings.store_dir)}", output.FAILED)


def store_dir(workflow: str | None, config: str | None) -> str:
    """Where the daemon of this WORKFLOW.md keeps what it knows, after `find` has found nothing wrong with it."""
    from opensymphony.settings import load_settings

    return load_settings(workflow or "WORKFLOW.md", config_path=config)[0].store_dir


def _left_hint(store_dir: str) -> str:
    """What is to be said where a daemon went and left its agents at work."""
    from pathlib import Path

    from opensymphony.agents import left_running
    from opensymphony.errors import OpenSymphonyError

    try:
        pids = left_running(Path(store_dir))
    except OpenSymphonyError:
        return ""
    if not pids:
        return ""
    which = f"an agent-server was left running, pid {pids[0]}"
    if pids[1:]:
        which = f"{len(pids)} agent-servers were left running, pids {', '.join(map(str, pids))}"
    return f" ({which}: `run` goes on with {'their' if pids[1:] else 'its'} agents, `shutdown` ends them)"


def act(
    action: str,
    ticket: str | None,
    *,
    workflow: str | None,
    config: str | None,
    request_id: str | None,
    json: bool,
    text: str = "",
    finish: bool = False,
    digest: str = "",
) -> None:
    """Ask for something and tell the answer: on standard output, or as an error when it is refused."""
    from opensymphony.api.client import NoAnswer, Rejected, UnknownIssue, request_action
    from opensymphony.clock import new_id
    from opensymphony.errors import InstanceError

    address = find(workflow, config)
    key = new_id() if request_id is None else request_id
    try:
        author = login_name()
        answer = request_action(
            address, action, ticket, request_id=key, text=text, author=author, finish=finish, digest=digest
        )
    except UnknownIssue:
        fail_unknown(address, ticket or "")
    except NoAnswer as error:
        output.fail(f"{error}; whether it was done, the same command with `--request-id {key}` tells", output.FAILED)
    except InstanceError as error:
        output.fail(str(error), output.USAGE if isinstance(error, Rejected) else output.FAILED)
    if json:
        output.document(answer)
        raise SystemExit(output.DONE if answer.accepted else output.FAILED)
    told = f"{ticket}: {answer.answer}" if ticket is not None else answer.answer
    if not answer.accepted:
        output.fail(told, output.FAILED)
    output.data(output.one_line(told))


def either(workflow: str | None, option: str | None) -> str | None:
    """The one WORKFLOW.md that was named, as an argument or as an option."""
    if workflow is not None and option is not None:
        output.fail("two WORKFLOW.md are named: name one", output.USAGE)
    return workflow if workflow is not None else option


def one_or_all(ticket: str | None, everything: bool, verb: str) -> None:
    """End the command unless exactly one of the two was said."""
    if (ticket is None) != everything:
        said = "both a ticket and --all" if everything else "neither a ticket nor --all"
        output.fail(f"{said}: say `opensymphony {verb} ID` or `opensymphony {verb} --all`", output.USAGE)


def fail_unknown(address: Address, ticket: str) -> NoReturn:
    """End the command for a ticket that the daemon does not know, with names that are like it."""
    from opensymphony.api.client import fetch_issues
    from opensymphony.errors import InstanceError

    try:
        known = [view.identifier for view in fetch_issues(address).issues]
    except InstanceError:
        known = []
    alike = near(ticket, known)
    hint = f"did you mean {' or '.join(alike)}?" if alike else "`opensymphony issues` lists those it knows"
    name = ticket[:_NAME_CHARS_MAX]
    output.fail(f"the daemon knows no ticket {name} (none of that name is in an active state): {hint}", output.FAILED)


def near(ticket: str, known: list[str]) -> list[str]:
    """Identifiers that a person may have meant, the likeliest first."""
    import difflib

    folded = {name.casefold(): name for name in reversed(known)}
    same = [name for name in known if name.casefold() == ticket.casefold()]
    found = difflib.get_close_matches(ticket.casefold()[:_NAME_CHARS_MAX], folded, n=_NEAR_MAX, cutoff=0.6)
    return list(dict.fromkeys([*same, *(folded[name] for name in found)]))[:_NEAR_MAX]


def login_name() -> str:
    """Who asks; empty for a user without a name."""
    import getpass

    try:
        return getpass.getuser()[:200]
    except (OSError, KeyError, ImportError):
        return ""  # a user without a name, as in some containers
