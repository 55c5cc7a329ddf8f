"""The `opensymphony` command: one file for each of its commands.

Nothing heavy is imported before the command that needs it runs, so that `--help` is there at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from opensymphony import __version__
from opensymphony.cli import (
    approve,
    budget,
    config,
    dashboard,
    debug,
    deliveries,
    demo,
    doctor,
    explain,
    init,
    install,
    issues,
    journal,
    logs,
    message,
    paths,
    pause,
    rehydrate,
    reject,
    resume,
    retry,
    run,
    shutdown,
    status,
    stop,
    tui,
    webhook,
)

app = typer.Typer(
    name="opensymphony",
    help="Turns tickets into reviewed changes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
journal_app = typer.Typer(help="Show what the journal tells afterwards.", no_args_is_help=True)
deliveries_app = typer.Typer(help="Show the webhooks that came, and look at them again.", no_args_is_help=True)
webhook_app = typer.Typer(help="Tell the tracker where to call us.", no_args_is_help=True)
config_app = typer.Typer(help="Check and show the configuration.", no_args_is_help=True)

app.command()(run.run)
app.command()(demo.demo)
app.command()(init.init)
app.command()(install.install)
app.command()(doctor.doctor)
app.command()(status.status)
app.command()(issues.issues)
app.command()(explain.explain)
app.command()(dashboard.dashboard)
app.command()(tui.tui)
app.command()(logs.logs)
app.command()(debug.debug)
app.command()(stop.stop)
app.command()(retry.retry)
app.command()(pause.pause)
app.command()(resume.resume)
app.command()(message.message)
app.command()(approve.approve)
app.command()(reject.reject)
app.command()(rehydrate.rehydrate)
app.command()(budget.budget)
app.command()(shutdown.shutdown)
app.command()(paths.paths)
app.add_typer(config_app, name="config")
config_app.command()(config.check)
config_app.command()(config.show)
app.add_typer(deliveries_app, name="deliveries")
deliveries_app.command("list")(deliveries.list_)
deliveries_app.command()(deliveries.show)
deliveries_app.command()(deliveries.replay)
app.add_typer(webhook_app, name="webhook")
webhook_app.command()(webhook.register)
webhook_app.command("list")(webhook.list_)
webhook_app.command()(webhook.remove)
app.add_typer(journal_app, name="journal")
journal_app.command()(journal.export)
journal_app.command()(journal.replay)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"opensymphony {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the command; never shows a traceback for what a person can mend."""
    app()
