"""`opensymphony config check` and `config show`: what a WORKFLOW.md and opensymphony.toml say, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from opensymphony.cli.loading import Loaded
    from opensymphony.errors import Problem

WorkflowArgument = Annotated[str | None, typer.Argument(metavar="[WORKFLOW.md]", help="Default: ./WORKFLOW.md")]
ConfigOption = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="Host settings (opensymphony.toml).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def check(workflow: WorkflowArgument = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """List every problem of WORKFLOW.md and opensymphony.toml.

    Exit code 0 without any, 1 with warnings only, 2 with errors.
    """
    from opensymphony.cli import loading, output

    loaded = loading.load(workflow, config_path=config)
    budgets = loading.placed(_budget_problems(loaded), workflow) if loaded.ok else []
    problems = [*loaded.problems, *budgets]
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    if json:
        output.document({"workflow": loaded.settings.workflow_path, "ok": not problems, "problems": problems})
    else:
        output.report(problems)
        output.say(_verdict(errors, warnings))
    if errors:
        raise SystemExit(output.USAGE)
    if warnings:
        raise SystemExit(output.FAILED)


def _budget_problems(loaded: Loaded) -> list[Problem]:
    """What can be said about budgets where a model is named; without one only `run` can tell."""
    from opensymphony.daemon.model_access import with_model
    from opensymphony.daemon.model_prices import budget_problems, look_up
    from opensymphony.errors import ConfigurationError

    assert loaded.policy is not None
    try:
        policy = with_model(loaded.policy, loaded.settings)
    except ConfigurationError:
        return []
    return budget_problems(look_up(policy, loaded.settings), loaded.settings)


def show(workflow: WorkflowArgument = None, config: ConfigOption = None) -> None:
    """Print as JSON what WORKFLOW.md comes to.

    Defaults are filled in, variables and paths resolved; no secret is in it.
    """
    from opensymphony.cli import loading, output

    _, policy = loading.required(workflow, config_path=config)
    output.document(policy)


def _verdict(errors: int, warnings: int) -> str:
    if not errors and not warnings:
        return "ok: nothing to report"
    counted = [
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    return " and ".join(counted) + ("" if errors else ": no error, `opensymphony run` starts in spite of that")
