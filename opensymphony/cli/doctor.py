"""`opensymphony doctor`: is everything here that a run needs? Each failure says how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from opensymphony.views import Check


def doctor(
    workflow: Annotated[str | None, typer.Argument(metavar="[WORKFLOW.md]", help="Default: ./WORKFLOW.md")] = None,
    config: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="Host settings (opensymphony.toml).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Check that everything a run needs is here.

    Says how to mend what is not. Looks at WORKFLOW.md, settings, git, uv, prompt, repository, tracker, model, budget, folders,
    agent-server, port, webhooks, and at how much room everything takes; starts and changes nothing.
    Exit code 1 when a check fails; a warning is no failure.
    """
    import anyio

    from opensymphony.cli import loading, output
    from opensymphony.daemon.checks import run_checks
    from opensymphony.daemon.storage_checks import storage_checks

    loaded = loading.load(workflow, config_path=config)
    checks = anyio.run(run_checks, loaded.settings, loaded.policy, loaded.problems)
    if loaded.policy is not None:
        checks += anyio.run(storage_checks, loaded.settings, loaded.policy)
    failed = [check for check in checks if check.status == "fail"]
    if json:
        output.document({"ok": not failed, "checks": checks})
    else:
        for check in checks:
            output.data(output.one_line(f"{check.status.upper():<5} {check.name:<18} {check.detail}"))
            if check.fix:
                output.data(output.one_line(f"{'':<24} to do: {check.fix}"))
        output.say(_verdict(checks))
    if failed:
        raise SystemExit(output.FAILED)


def _verdict(checks: Sequence[Check]) -> str:
    failed = sum(check.status == "fail" for check in checks)
    warned = sum(check.status == "warn" for check in checks)
    told = f"{failed} of {len(checks)} checks failed" if failed else "everything that a run needs is here"
    return f"{told}; {warned} warning{'' if warned == 1 else 's'}" if warned else told
