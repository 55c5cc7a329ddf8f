"""`opensymphony demo`: the whole loop on real parts, with a scripted model in place of a paid one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from opensymphony.settings import Settings


def demo(
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep",
            metavar="DIR",
            help="Keep repository, board, workspaces, journal and logs here; a new or empty directory.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="PROVIDER/NAME",
            help="A real model, as litellm names it; its key from LLM_API_KEY. Default: LLM_MODEL, else the script.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output at the end.")] = False,
) -> None:
    """Watch tickets become changes to review: no account, no key.

    A script answers in place of a model; the agent-server, git and the tests are real. It takes about a minute, and the first
    time as long as the agent-server's installation.
    """
    import os
    import tempfile

    import anyio

    from opensymphony import logs
    from opensymphony.cli import output
    from opensymphony.errors import OpenSymphonyError

    directory = (
        Path(os.path.abspath(keep.expanduser()))
        if keep is not None
        else Path(tempfile.mkdtemp(prefix="opensymphony-demo-"))
    )
    try:
        found = anyio.run(_demo, directory, model or os.environ.get("LLM_MODEL"), keep is not None)
    except OpenSymphonyError as error:
        output.fail_with(error)
    except KeyboardInterrupt:
        found = None
    finally:
        logs.shut_down()
        if keep is None:
            _remove(directory)
    if found is None:
        output.say("demo: interrupted; nothing was left running")
        raise SystemExit(output.INTERRUPTED)
    if json:
        output.document(found)
    if any(ticket["state"] != "In Review" for ticket in found["tickets"]):
        raise SystemExit(output.FAILED)


async def _demo(directory: Path, model: str | None, kept: bool) -> dict[str, Any] | None:
    import os

    import anyio

    from opensymphony import logs
    from opensymphony.cli import output
    from opensymphony.cli.loading import read_workflow
    from opensymphony.daemon.checks import require_git
    from opensymphony.daemon.foreground import Foreground, run_in_foreground
    from opensymphony.demo.board import make_demo
    from opensymphony.demo.play import play_demo
    from opensymphony.demo.result import result
    from opensymphony.demo.screen import Screen
    from opensymphony.errors import ConfigurationError

    found: dict[str, Any] | None = None

    async def work(foreground: Foreground) -> None:
        nonlocal found
        await require_git()  # the installation may take minutes
        tool_dir = await _installed()
        files = await make_demo(directory)
        logs.set_up(directory=str(directory / "logs"), stream=nowhere)  # the terminal belongs to the screen
        loaded = read_workflow(str(files.workflow))
        if loaded.policy is None:
            raise ConfigurationError(loaded.problems)
        settings = _settings(directory, files.workflow, tool_dir)
        began = anyio.current_time()
        with Screen() as screen:
            snapshot = await play_demo(settings, loaded.policy, foreground, screen, model=model)
            seconds = anyio.current_time() - began
            if foreground.interrupted or snapshot is None:
                return
            screen.conclude(snapshot, files, seconds, kept=kept, command=_command())
        found = result(snapshot, files, seconds)

    with open(os.devnull, "w") as nowhere:  # noqa: ASYNC230 - nothing to wait for
        if await run_in_foreground(work) != "done":
            return None
    if found is None:
        output.fail("the demo ended before its tickets did: run it again with --keep DIR and see DIR/logs")
    return found


async def _installed() -> Path:
    """The tool directory, with a whole agent-server in it."""
    from opensymphony.agents.openhands import installation
    from opensymphony.cli.install import default_tool_dir, install_with_bar

    tool_dir = default_tool_dir()
    if installation.check(tool_dir).status != "complete":
        await install_with_bar(tool_dir)
    return tool_dir


def _settings(directory: Path, workflow: Path, tool_dir: Path) -> Settings:
    from opensymphony.settings import Settings

    return Settings(
        workflow_path=str(workflow),
        config_path=None,
        store_dir=str(directory / "state"),
        logs_dir=str(directory / "logs"),
        tool_dir=str(tool_dir),
        host="127.0.0.1",
        port=0,
    )


def _command() -> str:
    """How a person calls this program afterwards: `./dev` has put it on a PATH that ends with itself."""
    import os
    import shlex

    root = os.environ.get("OPENSYMPHONY_DEV")
    return shlex.quote(os.path.join(root, ".venv", "bin", "opensymphony")) if root else "opensymphony"


def _remove(directory: Path) -> None:
    import shutil

    shutil.rmtree(directory, ignore_errors=True)
