"""`opensymphony doctor`: is everything here that a run needs? Each failure says how to mend it."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    workflow: Annotated[str | None, typer.Argument(metavar="[WORKFLOW.md]", help="Default: ./WORKFLOW.md")] = None,
    config: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="Host settings (opensymphony.toml).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Check paths, git, uv, settings, workflow, prompt, agent-server and ports. Exit code 1 when something fails."""
    import anyio

    from opensymphony.cli import loading, output
    from opensymphony.daemon.checks import run_checks

    loaded = loading.load(workflow, config_path=config)
    checks = anyio.run(run_checks, loaded.settings, loaded.policy, loaded.problems)
    failed = [check for check in checks if check.status == "fail"]
    if json:
        output.document({"ok": not failed, "checks": checks})
    else:
        for check in checks:
            fix = f": {check.fix}" if check.fix else ""
            output.data(output.one_line(f"{check.status.upper():<5} {check.name:<16} {check.detail}{fix}"))
        output.say("everything is fine" if not failed else f"{len(failed)} of {len(checks)} checks failed")
    if failed:
        raise SystemExit(output.FAILED)
