"""`opensymphony install openhands`: the pinned agent-server, in an environment of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from opensymphony.agents.openhands.installation import Installed
    from opensymphony.agents.openhands.uv_progress import InstallProgress


def install(
    target: Annotated[str, typer.Argument(help="What to install: openhands, the pinned agent-server.")] = "openhands",
    tool_dir: Annotated[
        Path | None,
        typer.Option(
            "--tool-dir",
            metavar="DIR",
            help="Where to. Default: OPENSYMPHONY_TOOL_DIR, else ~/.opensymphony/openhands-server.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Install the pinned agent-server, or repair it.

    Every package is checked against its hash. When it is there already, nothing is changed.
    """
    import anyio
    import msgspec

    from opensymphony.agents.openhands import installation
    from opensymphony.cli import output
    from opensymphony.errors import InstallationError

    if target != "openhands":
        typer.echo(f"install: unknown target {target}: the only one is openhands", err=True)
        raise typer.Exit(2)
    directory = tool_dir or default_tool_dir()
    try:
        # No bar for what is there already: its import takes longer than the rest.
        there = installation.check(directory).status == "complete"
        result = anyio.run(installation.install if there else install_with_bar, directory)
    except InstallationError as error:
        output.fail_with(error)
    except KeyboardInterrupt:
        result = None
    if result is None:
        typer.echo("install: interrupted: nothing was changed", err=True)
        raise typer.Exit(130)
    if json:
        document = {"target": target, "directory": str(directory), **msgspec.to_builtins(result)}
        typer.echo(msgspec.json.encode(document).decode())
    else:
        typer.echo(_sentence(result, directory))


def default_tool_dir() -> Path:
    """OPENSYMPHONY_TOOL_DIR, else the place below the home directory."""
    import os

    return Path(os.environ.get("OPENSYMPHONY_TOOL_DIR") or "~/.opensymphony/openhands-server").expanduser()


def _sentence(result: Installed, directory: Path) -> str:
    if not result.changed:
        return f"agent-server {result.version} already installed in {directory}"
    before = {
        "absent": "",
        "interrupted": ", after one that was interrupted",
        "damaged": ", repaired",
        "outdated": ", updated",
    }
    return f"agent-server {result.version} installed in {directory} in {result.duration_ms / 1000:.0f} s{before[result.reason]}"


async def install_with_bar(directory: Path) -> Installed | None:
    """None when a signal ended it; then everything was cleared up."""
    import signal

    import anyio
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from opensymphony.agents.openhands import installation
    from opensymphony.errors import InstallationError

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
    )
    outcome: Installed | InstallationError | None = None
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, visible=False)
        said = ""

        def report(progress: InstallProgress) -> None:
            nonlocal said
            text = f"{progress.phase}: {progress.detail}"
            total = None if progress.share is None else 1.0
            bar.update(task, description=text, total=total, completed=progress.share or 0.0, visible=True)
            if not console.is_terminal and progress.phase != said:  # a log gets one line a phase, not a bar
                typer.echo(f"install: {text}", err=True)
                said = progress.phase

        async def cancel_on_signal(scope: anyio.CancelScope) -> None:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
                async for _ in signals:
                    scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_on_signal, tasks.cancel_scope)
            try:
                outcome = await installation.install(directory, report)
            except InstallationError as error:
                outcome = error
            tasks.cancel_scope.cancel()
    if isinstance(outcome, InstallationError):
        raise outcome
    return outcome
