"""`opensymphony doctor`: is everything here that a run needs? Each failure says how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from opensymphony.cli.loading import Loaded
    from opensymphony.daemon.foreground import Ended
    from opensymphony.doctor.steps import Report
    from opensymphony.errors import Problem
    from opensymphony.settings import Settings
    from opensymphony.views import Check
    from opensymphony.workflow.policy import Policy


def doctor(
    workflow: Annotated[str | None, typer.Argument(metavar="[WORKFLOW.md]", help="Default: ./WORKFLOW.md")] = None,
    config: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="Host settings (opensymphony.toml).")
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Also start the agent-server and let it work on a message, with a scripted model that costs nothing.",
        ),
    ] = False,
    model: Annotated[
        bool,
        typer.Option(
            "--model",
            help="Also ask the model for one small tool call; costs a few hundred tokens, at most 2,048 written.",
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Check that everything a run needs is here.

    Says how to mend what is not. Looks at WORKFLOW.md, settings, git, uv, prompt, repository, tracker, model, budget, folders,
    agent-server, port, webhooks, and at how much room everything takes; starts and changes nothing.
    With `--live` and `--model` things are also tried, in a temporary directory of which nothing is left; a daemon that runs
    is not disturbed. Exit code 1 when a check fails; a warning is no failure.
    """
    from opensymphony.cli import loading, output

    loaded = loading.load(workflow, config_path=config)
    checks: list[Check] = []

    def report(check: Check) -> None:
        checks.append(check)
        if not json:
            show(check)

    ended = _examine(loaded, live, model, report)
    if ended == "forced":
        output.say("doctor: interrupted; nothing was left running")
        raise SystemExit(output.INTERRUPTED)
    failed = [check for check in checks if check.status == "fail"]
    if json:
        output.document({"ok": not failed, "checks": checks})
    else:
        output.say(verdict(checks))
    if failed:
        raise SystemExit(output.FAILED)


def _examine(loaded: Loaded, live: bool, model: bool, report: Report) -> Ended:
    """Everything that was asked for; what ended it."""
    import anyio

    from opensymphony.cli import output

    try:
        look(loaded.settings, loaded.policy, loaded.problems, report)
        if live or model:
            return anyio.run(_try, loaded.settings, loaded.policy, live, model, report)
    except KeyboardInterrupt:
        return "forced"
    except BaseExceptionGroup as group:
        if group.subgroup(SystemExit) is None:
            raise
        raise SystemExit(output.DONE) from None  # whoever reads has gone away (`| head`), and everything is cleared up
    except OSError as error:
        output.fail(f"{error.filename}: {error.strerror}: nothing can be tried there, set TMPDIR to another directory")
    return "done"


def look(settings: Settings, policy: Policy | None, problems: Sequence[Problem], report: Report) -> None:
    """Every check that starts and changes nothing."""
    import anyio

    from opensymphony.daemon.checks import run_checks
    from opensymphony.daemon.storage_checks import storage_checks

    for check in anyio.run(run_checks, settings, policy, problems):
        report(check)
    if policy is not None:
        for check in anyio.run(storage_checks, settings, policy):
            report(check)


async def _try(settings: Settings, policy: Policy | None, live: bool, model: bool, report: Report) -> Ended:
    from opensymphony.daemon.foreground import Foreground, run_in_foreground
    from opensymphony.doctor.try_out import try_out

    async def work(foreground: Foreground) -> None:
        await try_out(settings, policy, with_server=live, with_model=model, report=report)

    return await run_in_foreground(work)


def show(check: Check) -> None:
    """A line for a check, and one for what is to be done."""
    from opensymphony.cli import output

    output.data(output.one_line(f"{check.status.upper():<5} {check.name:<18} {check.detail}"))
    if check.fix:
        output.data(output.one_line(f"{'':<24} to do: {check.fix}"))


def verdict(checks: Sequence[Check]) -> str:
    """All of them in one line."""
    failed = sum(check.status == "fail" for check in checks)
    warned = sum(check.status == "warn" for check in checks)
    told = f"{failed} of {len(checks)} checks failed" if failed else "everything that a run needs is here"
    return f"{told}; {warned} warning{'' if warned == 1 else 's'}" if warned else told
