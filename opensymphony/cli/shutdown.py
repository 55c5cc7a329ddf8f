"""`opensymphony shutdown`: stop the daemon in good order, and wait until it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from opensymphony.cli import ask, output

if TYPE_CHECKING:
    from opensymphony.api.client import Address
    from opensymphony.views import Snapshot

_LOOK_S = 0.2


def shutdown(
    workflow: Annotated[str | None, typer.Argument(metavar="[WORKFLOW.md]", help="Default: ./WORKFLOW.md")] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until it has ended.")] = False,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", help="Leave the agent-server and its agents at work; the next start goes on with them."
        ),
    ] = False,
    timeout: Annotated[
        int, typer.Option("--timeout", metavar="SECONDS", min=1, help="How long to wait. Default: 120.")
    ] = 120,
    workflow_option: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
) -> None:
    """Stop the daemon in good order, and wait until it is gone.

    As Ctrl-C does: nothing new starts, agents are interrupted and confirmed to have stopped; the next start goes on from
    there. With --detach, as for an upgrade, agents are left at work. Where no daemon runs, an agent-server that one has left
    running is ended. Exit code 1 when it has not ended in time.
    """
    import anyio

    from opensymphony import processes
    from opensymphony.api.client import request_shutdown
    from opensymphony.errors import InstanceError

    named = ask.either(workflow, workflow_option)
    if not detach and _end_left_running(named, config):
        return
    address = ask.find(named, config)
    started = processes.process_start_time(address.pid)
    try:
        request_shutdown(address, detach=detach)
    except InstanceError as error:
        output.fail(str(error), output.FAILED)
    if no_wait:
        output.data(f"the daemon (pid {address.pid}) is stopping")
        return
    try:
        ended = anyio.run(_wait, address, started, timeout)
    except KeyboardInterrupt:
        output.say("it goes on stopping")
        raise SystemExit(output.INTERRUPTED) from None
    if not ended:
        output.fail(
            f"the daemon (pid {address.pid}) has not ended within {timeout} s: see its log, or end it with "
            f"`kill {address.pid}`, which cuts the rest short",
            output.FAILED,
        )
    left = ": its agents are left at work" if detach else ""
    output.data(f"the daemon (pid {address.pid}) has ended{left}")


def _end_left_running(workflow: str | None, config: str | None) -> bool:
    """End the agent-servers that a daemon which is gone has left; False when there are none."""
    from pathlib import Path

    import anyio

    from opensymphony.agents import end_left_running, left_running
    from opensymphony.errors import OpenSymphonyError
    from opensymphony.settings import load_settings

    settings, _ = load_settings(workflow or "WORKFLOW.md", config_path=config)
    store = Path(settings.store_dir)
    try:
        pids = left_running(store)
        if not pids:
            return False
        which = f"the agent-server that was left (pid {pids[0]})"
        if pids[1:]:
            which = f"the {len(pids)} agent-servers that were left (pids {', '.join(map(str, pids))})"
        output.say(f"no daemon runs; interrupting the agents of {which}")
        anyio.run(end_left_running, store)
    except OpenSymphonyError as error:
        output.fail(str(error), output.FAILED)
    output.data(f"{which} {'have' if pids[1:] else 'has'} ended")
    return True


async def _wait(address: Address, started: int | None, timeout: int) -> bool:
    """Until the process is gone, telling what is waited for whenever that changes; False when the time is over."""
    import anyio
    import anyio.to_thread

    from opensymphony import processes
    from opensymphony.api.client import fetch_snapshot
    from opensymphony.errors import InstanceError

    told = ""
    with anyio.move_on_after(timeout):
        while processes.is_alive(address.pid, started):
            try:
                seen = await anyio.to_thread.run_sync(fetch_snapshot, address, abandon_on_cancel=True)
                what = waits_for(seen)
            except InstanceError:
                what = "waiting until its processes have ended"  # its door is closed already
            if what != told:
                output.say(what)
                told = what
            await anyio.sleep(_LOOK_S)
        return True
    return False


def waits_for(seen: Snapshot) -> str:
    """What keeps a daemon that is stopping."""
    busy = [view.identifier for view in seen.tickets if view.phase in ("running", "stopping")]
    if not busy:
        return "waiting for its last writes"
    more = f" and {len(busy) - 5} more" if len(busy) > 5 else ""
    return f"waiting until the agents have stopped: {', '.join(busy[:5])}{more}"
