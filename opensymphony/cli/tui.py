"""`opensymphony tui`: the board in a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from opensymphony.cli import ask, output

if TYPE_CHECKING:
    from opensymphony.tui.connection import Source


def tui(
    workflow: Annotated[str | None, typer.Argument(metavar="[WORKFLOW.md]", help="Default: ./WORKFLOW.md")] = None,
    workflow_option: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="A daemon behind a tunnel (ssh -L), such as http://127.0.0.1:2468."),
    ] = None,
    token_file: Annotated[
        str | None,
        typer.Option("--token-file", metavar="FILE", help="With --url: its token. Default: OPENSYMPHONY_TOKEN_FILE."),
    ] = None,
    exit_after: Annotated[
        float | None,
        typer.Option("--exit-after", metavar="SECONDS", min=0, max=86_400, help="For scripts: end by itself."),
    ] = None,
) -> None:
    """Watch the tickets in the terminal, look into each, and act on them.

    ? shows the keys. The connection comes back by itself, also after the daemon was started again; until then the last
    picture stays and is marked. Needs a terminal: exit code 2 without one, and 1 when no daemon answers at the start.
    """
    source = _source(ask.either(workflow, workflow_option), config, url, token_file)
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or os.environ.get("TERM", "") in ("", "dumb"):
        output.fail("`tui` needs a terminal: use `opensymphony status`, or `status --json` in scripts", output.USAGE)
    from opensymphony.api.client import fetch_snapshot
    from opensymphony.errors import InstanceError
    from opensymphony.tui.app import OpenSymphony

    try:
        first = fetch_snapshot(source.find())
    except InstanceError as error:
        output.fail(str(error), output.FAILED)
    app = OpenSymphony(source, first=first, exit_after_s=exit_after, author=ask.login_name())
    app.run()
    if app.return_code:
        raise SystemExit(app.return_code)


def _source(workflow: str | None, config: str | None, url: str | None, token_file: str | None) -> Source:
    from opensymphony.errors import InstanceError
    from opensymphony.tui.connection import StoreSource, UrlSource

    if url is None:
        if token_file is not None:
            output.fail("--token-file is for --url: a daemon on this machine is found by its WORKFLOW.md", output.USAGE)
        ask.find(workflow, config)  # says what is wrong
        return StoreSource(ask.store_dir(workflow, config))
    if workflow is not None or config is not None:
        output.fail("--url names the daemon: leave WORKFLOW.md and --config out", output.USAGE)
    token = token_file or os.environ.get("OPENSYMPHONY_TOKEN_FILE")
    if not token:
        output.fail("--url needs --token-file FILE, a copy of the daemon's token file", output.USAGE)
    try:
        return UrlSource(url, token)
    except InstanceError as error:
        output.fail(str(error), output.USAGE)
