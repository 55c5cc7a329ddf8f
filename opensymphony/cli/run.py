"""`opensymphony run`: the daemon, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opensymphony.daemon.foreground import Ended
    from opensymphony.errors import Problem
    from opensymphony.settings import Settings
    from opensymphony.views import Snapshot
    from opensymphony.workflow.policy import Policy

_ROOT_REFUSED = (
    "isolation is none and this user is root: agents could do anything here; install bubblewrap, use another user, or say "
    "--allow-root"
)


def run(
    workflow: Annotated[str | None, typer.Argument(metavar="[WORKFLOW.md]", help="Default: ./WORKFLOW.md")] = None,
    config: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="Host settings (opensymphony.toml).")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="PORT", min=0, max=65_535, help="Of the operator's listener; 0 takes a free one."
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is left to do.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print what would start and why, by the board alone and not by what the journal knows; start nothing.",
        ),
    ] = False,
    fresh_server: Annotated[
        bool,
        typer.Option(
            "--fresh-server",
            help="End an agent-server that an earlier start left running, instead of going on with it.",
        ),
    ] = False,
    allow_root: Annotated[
        bool, typer.Option("--allow-root", help="Run as root although nothing keeps agents from anything.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="With --dry-run: one JSON document.")] = False,
) -> None:
    """Work on the tickets of a board until stopped.

    Ctrl-C or SIGTERM stops it in good order: nothing new is started, agents are interrupted and confirmed to have stopped.
    A second signal ends at once.
    """
    import anyio

    from opensymphony.cli import loading, output
    from opensymphony.errors import OpenSymphonyError

    if json and not dry_run:
        output.fail("--json is for --dry-run only: leave it out, or ask `opensymphony status --json`", output.USAGE)
    settings, policy = loading.required(workflow, config_path=config, port=port)
    try:
        if dry_run:
            from opensymphony.daemon.dry_run import dry_run as look

            print_dry_run(anyio.run(look, _priced(policy, settings), settings), as_json=json)
        elif anyio.run(_serve, settings, policy, once, workflow, fresh_server, allow_root) == "forced":
            raise SystemExit(output.INTERRUPTED)
    except OpenSymphonyError as error:
        output.fail_with(error)
    except KeyboardInterrupt:
        raise SystemExit(output.INTERRUPTED) from None


def _priced(policy: Policy, settings: Settings) -> Policy:
    """As `run` would decide; without a model, whose prices nobody knows, as it is."""
    from opensymphony.daemon.model_access import with_model
    from opensymphony.daemon.model_prices import with_prices
    from opensymphony.errors import ConfigurationError

    try:
        chosen = with_model(policy, settings)
    except ConfigurationError:
        return policy
    return with_prices(chosen, settings)


def _refuse_unpriced(policy: Policy, settings: Settings, workflow: str | None) -> None:
    from opensymphony.cli.loading import placed
    from opensymphony.daemon.model_prices import with_prices
    from opensymphony.errors import ConfigurationError

    try:
        with_prices(policy, settings)
    except ConfigurationError as error:
        raise ConfigurationError(placed(error.problems, workflow)) from None


async def _serve(
    settings: Settings, policy: Policy, once: bool, workflow: str | None, fresh_server: bool, allow_root: bool
) -> Ended:
    from opensymphony import logs
    from opensymphony.cli import output
    from opensymphony.cli.loading import placed, read_workflow
    from opensymphony.daemon.app import Daemon
    from opensymphony.daemon.confinement import chosen_isolation, is_root
    from opensymphony.daemon.foreground import Foreground, run_in_foreground
    from opensymphony.daemon.model_access import model_environment, with_model
    from opensymphony.daemon.model_prices import budget_problems, look_up, with_prices
    from opensymphony.errors import ConfigurationError

    isolation = chosen_isolation(policy, settings)
    if isolation.level == "none" and is_root() and not allow_root:
        output.fail(_ROOT_REFUSED, output.USAGE)
    chosen = with_model(policy, settings)
    _refuse_unpriced(chosen, settings, workflow)  # a budget that cannot be counted is refused before anything is made
    output.report(placed(budget_problems(look_up(chosen, settings), settings), workflow))
    logs.set_up(level=settings.log_level, form=settings.log_format, directory=settings.logs_dir)

    def read_again() -> tuple[Policy | None, Sequence[Problem]]:
        loaded = read_workflow(settings.workflow_path)
        if loaded.policy is None:
            return None, loaded.problems
        try:
            return with_model(loaded.policy, settings), loaded.problems
        except ConfigurationError as error:
            return None, error.problems

    async def work(foreground: Foreground) -> None:
        environment = await model_environment(chosen, settings)
        output.say(f"isolation: {isolation.describe()}")
        daemon = Daemon(
            settings,
            chosen,
            environment=environment,
            once=once,
            announce=output.data,
            read_policy=read_again,
            fresh_server=fresh_server,
            isolation=isolation,
            price=lambda policy: with_prices(policy, settings),
            read_environment=lambda policy: model_environment(policy, settings),
        )
        await foreground.serve(daemon)

    try:
        return await run_in_foreground(work)
    finally:
        logs.shut_down()


def print_dry_run(found: Snapshot, *, as_json: bool) -> None:
    """What would start, a line for each ticket, or everything as JSON."""
    from opensymphony.cli import output

    for problem in found.problems:
        output.say(f"warning: {problem}")
    if as_json:
        output.document(
            [
                {
                    "identifier": view.identifier,
                    "would_start": view.phase == "running",
                    "reason": "it would start now" if view.phase == "running" else view.reason,
                    "state": view.state,
                    "priority": view.priority,
                }
                for view in found.tickets
            ]
        )
        return
    if not found.tickets:
        output.say("no ticket is in an active state")
    for view in found.tickets:
        verdict = "would start" if view.phase == "running" else f"would wait: {view.reason}"
        output.data(f"{output.one_line(view.identifier)}  {verdict}  ({output.one_line(view.title)})")
