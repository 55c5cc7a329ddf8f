"""Runs a daemon in the foreground of a terminal or of a service manager.

The first SIGINT, SIGTERM or SIGHUP (a closed terminal) stops what is going on in good order, a second one at once; either
way nothing is left running.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import Literal

import anyio
from anyio.abc import TaskStatus

from opensymphony.daemon.app import Daemon
from opensymphony.daemon.control import DaemonControl
from opensymphony.errors import OpenSymphonyError
from opensymphony.lasting import forbid_dumps
from opensymphony.logs import get_logger
from opensymphony.views import Snapshot

_SHOW_S = 1.0

log = get_logger(__name__)


Ended = Literal["done", "drained", "forced"]
"""By itself; by a first signal, in good order; by a second one or one before there was a daemon, at once."""


class Foreground:
    """What a signal ends: the daemon if there is one, else whatever is being done."""

    def __init__(self) -> None:
        self.interrupted = False
        self.forced = False
        self._daemon: Daemon | None = None

    async def serve(self, daemon: Daemon, show: Callable[[Snapshot], None] | None = None) -> None:
        """Run the daemon to its end; `show` is called on every change and once a second."""
        self._daemon = daemon
        try:
            async with anyio.create_task_group() as tasks:

                async def live(*, task_status: TaskStatus[DaemonControl]) -> None:
                    await daemon.run(task_status=task_status)
                    tasks.cancel_scope.cancel()

                control: DaemonControl = await tasks.start(live)
                if show is not None:
                    tasks.start_soon(_show, control, show)
        finally:
            self._daemon = None
        if show is not None and daemon.control is not None:
            show(daemon.control.snapshot())

    async def obey_signals(
        self, scope: anyio.CancelScope, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Until cancelled: also while the end is being made, so that no further signal can cut that short."""
        wanted = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup a closed terminal ends nothing
            wanted.append(signal.SIGHUP)
        with anyio.open_signal_receiver(*wanted) as signals:
            task_status.started()
            async for number in signals:
                stopping = self._daemon is not None and self._daemon.stopping  # an operator may have asked for it
                again, self.interrupted = self.interrupted or stopping, True
                name = signal.Signals(number).name
                if again or self._daemon is None:
                    log.warning("ending at once", signal=name)
                    self.forced = True
                    scope.cancel()
                    continue
                log.warning("stopping: agents are interrupted first; a second signal ends at once", signal=name)
                self._daemon.stop()


async def run_in_foreground(work: Callable[[Foreground], Awaitable[None]]) -> Ended:
    """Do the work under our signals. Returns what ended it.

    Raises the one `OpenSymphonyError` that ended it, out of the groups that task groups wrap around it.
    """
    forbid_dumps()  # what we know, the model's key for one, is nobody else's
    foreground = Foreground()
    try:
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                await tasks.start(foreground.obey_signals, scope)
                await work(foreground)
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        error = _first_of_ours(group)
        if error is None:
            raise
        raise error from group
    return "forced" if foreground.forced else "drained" if foreground.interrupted else "done"


def _first_of_ours(group: BaseExceptionGroup[BaseException]) -> OpenSymphonyError | None:
    for error in group.exceptions:
        if isinstance(error, OpenSymphonyError):
            return error
        if isinstance(error, BaseExceptionGroup) and (found := _first_of_ours(error)) is not None:  # pyright: ignore[reportUnknownArgumentType]
            return found
    return None


async def _show(control: DaemonControl, show: Callable[[Snapshot], None]) -> None:
    while True:
        show(control.snapshot())
        with anyio.move_on_after(_SHOW_S):
            await control.changed()
