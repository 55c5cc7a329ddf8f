"""`opensymphony init`: the first WORKFLOW.md of a project, checked before it is written."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from opensymphony.cli import output

if TYPE_CHECKING:
    from opensymphony.views import Check
    from opensymphony.workflow.starting import Answers

_SETTINGS = """\
# Settings of this machine; every key is explained in docs/settings.md. No secret belongs here, only where each is.

[secrets]
llm_api_key = { env = "LLM_API_KEY" }
"""
_JIRA_SECRET = 'jira_api_token = { env = "JIRA_API_TOKEN" }\n'
_BITBUCKET_SECRET = 'bitbucket_token = { env = "BITBUCKET_TOKEN" }\n'


def init(
    tracker: Annotated[
        Literal["files", "jira"] | None,
        typer.Option(metavar="KIND", help="Where tickets are, files or jira; asked for when left out."),
    ] = None,
    tickets: Annotated[str, typer.Option(metavar="DIR", help="For files: the folder of tickets.")] = "tickets",
    site: Annotated[str | None, typer.Option(metavar="URL", help="For Jira: the site. Default: JIRA_URL.")] = None,
    email: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="For Jira: of the token's account. Default: JIRA_USER_EMAIL.")
    ] = None,
    project: Annotated[str | None, typer.Option(metavar="KEY", help="For Jira: the project.")] = None,
    label: Annotated[str, typer.Option(metavar="NAME", help="A ticket needs it; '' for none.")] = "agent",
    any_assignee: Annotated[
        bool, typer.Option("--any-assignee", help="For Jira: also issues that are not assigned to the token's account.")
    ] = False,
    code_host: Annotated[
        Literal["bitbucket", "none"] | None,
        typer.Option(
            metavar="KIND",
            help="With Jira: where pull requests are opened, bitbucket or none. Default: bitbucket for a remote there.",
        ),
    ] = None,
    verify: Annotated[str | None, typer.Option(metavar="COMMAND", help="What decides whether work is done.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Ask the tracker nothing first, and try nothing afterwards.")
    ] = False,
) -> None:
    """Write WORKFLOW.md and opensymphony.toml for the repository in this directory.

    What is left out is asked for, where there is a terminal. A tracker is asked whether it lets us do our work before anything
    is written. No secret is written, and nothing that is there is replaced unless you say so, or with `--force`. At first a
    ticket needs a label, and one agent works at a time. It ends with what `doctor` and `run --dry-run` say.
    """
    from opensymphony import logs
    from opensymphony.bundled import path
    from opensymphony.workflow.starting import Answers, first_policy, template_of

    logs.set_up(level="error")
    here = Path.cwd()
    _refuse_existing(here, force)
    kind = tracker or _asked("Where are your tickets (files, jira)?", "files", ("files", "jira"))
    answers = Answers(tracker=kind, label=label.strip(), tickets=tickets, assigned=not any_assignee)
    answers = _with_repository(here, answers, verify, code_host)
    if kind == "jira":
        answers = _with_site(answers, site, email, project)
    text = first_policy((path("workflows") / template_of(answers) / "WORKFLOW.md").read_text(), answers)
    _refuse_unusable(here, text, check=kind == "jira" and not unchecked)
    written = _write(here, text, answers)
    for name in written:
        output.data(f"wrote {name}")
    if not unchecked:
        _try_out()
    for line in _next_steps(answers):
        output.data(line)


def _refuse_existing(here: Path, force: bool) -> None:
    there = [name for name in ("WORKFLOW.md", "opensymphony.toml") if os.path.lexists(here / name)]
    if not there or force:
        return
    told = f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} there already"
    if not sys.stdin.isatty() or not typer.confirm(f"{told}: replace?", default=False, err=True):
        output.fail(f"{told}: use --force to replace", output.USAGE)


def _asked(question: str, default: str, choices: tuple[str, ...] = ()) -> str:
    """What a person answers; the default where nobody can be asked."""
    if not sys.stdin.isatty():
        return default
    while True:
        said = str(typer.prompt(question, default=default, err=True)).strip()
        if not choices or said in choices:
            return said
        output.say(f"choose one of: {', '.join(choices)}")


def _with_repository(here: Path, answers: Answers, verify: str | None, code_host: str | None) -> Answers:
    """What git says of this directory, and which command decides."""
    import anyio
    from msgspec.structs import replace

    from opensymphony.workflow.starting import bitbucket_address

    top, branch, remote = anyio.run(_ask_git, str(here))
    command = verify if verify is not None else _asked("Which command runs your tests (empty for none)?", "")
    # The repository may begin above this directory.
    url = os.path.relpath(top, os.path.realpath(here)) if top else "."
    found = replace(
        answers, base=branch or "main", has_repository=bool(top), repository_url=url, verify=command.strip()
    )
    address = bitbucket_address(remote)
    if code_host == "bitbucket" and not (address and answers.tracker == "jira"):
        output.fail("--code-host bitbucket needs --tracker jira, and a remote origin on bitbucket.org", output.USAGE)
    if not address or answers.tracker != "jira" or code_host == "none":
        return found
    if code_host is None and _asked("Open pull requests on Bitbucket (yes, no)?", "yes", ("yes", "no")) == "no":
        return found
    return replace(found, code_host="bitbucket", repository_url=address)


async def _ask_git(here: str) -> tuple[str, str, str]:
    """The repository's top directory, the branch that is checked out, and the remote; empty for what there is not."""
    from opensymphony.clock import new_id
    from opensymphony.errors import WorkspaceError
    from opensymphony.workspace.git import Git

    git = Git(new_id())

    async def ask(*arguments: str) -> str:
        try:
            answer = await git.ask(["-C", here, *arguments])
        except WorkspaceError:
            return ""
        return answer.output.strip() if answer.exit_code == 0 else ""

    top = await ask("rev-parse", "--show-toplevel")
    if not top:
        return "", "", ""
    return top, await ask("symbolic-ref", "--short", "HEAD"), await ask("config", "--get", "remote.origin.url")


def _with_site(answers: Answers, site: str | None, email: str | None, project: str | None) -> Answers:
    from msgspec.structs import replace

    known = {name: os.environ.get(name, "") for name in ("JIRA_URL", "JIRA_USER_EMAIL")}
    where = site or known["JIRA_URL"] or _asked("Which site (https://NAME.atlassian.net)?", "")
    who = email if email is not None else known["JIRA_USER_EMAIL"] or _asked("Whose token, as an e-mail address?", "")
    key = project or _asked("Which project (the letters in front of PROJ-123)?", "")
    if not where or not key:
        output.fail("a site and a project are needed: give --site and --project", output.USAGE)
    return replace(answers, site=where.strip(), email=who.strip(), project=key.strip().upper())


def _refuse_unusable(here: Path, text: str, *, check: bool) -> None:
    """Nothing is written that would not load, or whose tracker does not let us in."""
    import anyio

    from opensymphony import workflow
    from opensymphony.clock import Clock, is_time_zone
    from opensymphony.daemon.model_access import host_secrets
    from opensymphony.errors import OpenSymphonyError
    from opensymphony.services import check_tracker
    from opensymphony.settings import load_settings

    loaded = workflow.load(text, "WORKFLOW.md", os.environ, os.path.expanduser("~"), str(here), knows_zone=is_time_zone)
    problems = [problem for problem in loaded.problems if problem.severity == "error"]
    if problems or loaded.policy is None:
        output.report(problems)
        output.fail("nothing was written: correct the answers", output.USAGE)
    if not check:
        return
    settings, _ = load_settings(str(here / "WORKFLOW.md"))
    try:
        checks = anyio.run(check_tracker, loaded.policy, Clock(), host_secrets(settings))
    except OpenSymphonyError as error:
        output.fail_with(error)
    for one in checks:
        _tell(one)
    if any(one.status == "fail" for one in checks):
        output.fail("nothing was written: mend what failed, or use --unchecked", output.TRACKER)


def _tell(check: Check, *, only_trouble: bool = False) -> None:
    if check.status != "skip" and not (only_trouble and check.status == "pass"):
        output.say(output.one_line(f"{check.status.upper():<5} {check.name:<18} {check.detail}"))
        if check.fix:
            output.say(output.one_line(f"{'':<24} to do: {check.fix}"))


def _write(here: Path, text: str, answers: Answers) -> list[str]:
    """Each file whole, or not at all."""
    from opensymphony.workflow.starting import EXAMPLE, ignore_lines

    settings = _SETTINGS + (_JIRA_SECRET if answers.tracker == "jira" else "")
    settings += _BITBUCKET_SECRET if answers.code_host == "bitbucket" else ""
    files = {"WORKFLOW.md": text, "opensymphony.toml": settings}
    ignore = here / ".gitignore"
    before = ignore.read_text() if ignore.is_file() else ""
    added = ignore_lines(before) if answers.has_repository else ""
    if added:
        files[".gitignore"] = before + added
    board = here / answers.tickets
    if answers.tracker == "files" and not board.exists():
        board.mkdir(parents=True)
        (board / "EXAMPLE-1.md").write_text(EXAMPLE.format(label=answers.label or "example"))
    try:
        for name, content in files.items():
            fresh = here / f".{name}.opensymphony-new"
            fresh.write_text(content)
            fresh.replace(here / name)
    except OSError as error:
        output.fail(
            f"{error.filename} cannot be written ({error.strerror}): make the directory writable", output.FAILED
        )
    return list(files)


def _try_out() -> None:
    """What `doctor` has to say besides that all is well, and what `run --dry-run` says."""
    import anyio

    from opensymphony.cli import doctor, loading, run
    from opensymphony.daemon.dry_run import dry_run
    from opensymphony.errors import OpenSymphonyError

    loaded = loading.load()
    checks: list[Check] = []
    doctor.look(loaded.settings, loaded.policy, loaded.problems, checks.append)
    for check in checks:
        _tell(check, only_trouble=True)
    output.say(f"doctor: {doctor.verdict(checks)}")
    if loaded.policy is not None:
        try:
            run.print_dry_run(anyio.run(dry_run, loaded.policy, loaded.settings), as_json=False)
        except OpenSymphonyError as error:
            output.say(str(error))


def _next_steps(answers: Answers) -> list[str]:
    label = f" with the label {answers.label}" if answers.label else ""
    where = f"a ticket in {answers.tickets}/" if answers.tracker == "files" else f"an issue of {answers.project}"
    assigned = ", assigned to the account of the token" if answers.tracker == "jira" and answers.assigned else ""
    token = " and BITBUCKET_TOKEN" if answers.code_host == "bitbucket" else ""
    return [
        f"next: set LLM_MODEL and LLM_API_KEY{token}, and commit the files",
        f"next: give it {where}{label}{assigned}",
        "next: `opensymphony doctor --live --model`, then `opensymphony run`",
    ]
