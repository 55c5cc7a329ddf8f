"""Signals, and one error out of many tasks."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from opensymphony.daemon.foreground import Foreground, run_in_foreground
from opensymphony.errors import InstanceError, StoreError
from opensymphony.views import Snapshot
from tests.daemon.world import HOLDS, World, until, view


def interrupt(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_drains(number: int, tmp_path: Path) -> None:
    """The agent is stopped and confirmed, the claim given back, the last picture shown."""
    world = World(tmp_path / "world", {"A-1": [HOLDS]})
    world.ticket("A-1")
    shown: list[Snapshot] = []

    async def work(foreground: Foreground) -> None:
        daemon = world.make()
        async with anyio.create_task_group() as tasks:

            async def when_it_works() -> None:
                while daemon.control is None:
                    await anyio.sleep(0.01)
                await until(daemon, lambda: (found := view(daemon, "A-1")) and found.stage == "working")
                interrupt(number)

            tasks.start_soon(when_it_works)
            await foreground.serve(daemon, shown.append)

    with anyio.fail_after(30):
        assert await run_in_foreground(work) == "drained"
    assert world.agents.stops == 1
    assert (await world.tickets())["A-1"].claim is None
    assert shown[-1].status == "stopped"
    assert {snapshot.status for snapshot in shown} >= {"running", "stopped"}


async def test_a_second_signal_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that cannot be confirmed stopped holds nobody up; the next start takes it up again."""
    world = World(tmp_path / "world", {"A-1": [HOLDS]})
    world.ticket("A-1")

    async def work(foreground: Foreground) -> None:
        daemon = world.make()
        async with anyio.create_task_group() as tasks:

            async def when_it_works() -> None:
                while daemon.control is None:
                    await anyio.sleep(0.01)
                await until(daemon, lambda: (found := view(daemon, "A-1")) and found.stage == "working")
                world.agents.unreachable = True
                interrupt()
                await until(daemon, lambda: (found := view(daemon, "A-1")) and found.phase == "stopping")
                interrupt()

            tasks.start_soon(when_it_works)
            await foreground.serve(daemon)

    with anyio.fail_after(30):
        assert await run_in_foreground(work) == "forced"
    world.agents.unreachable = False
    world.move("A-1", "Done")
    [ticket] = (await world.once()).tickets
    assert (ticket.phase, world.agents.talk("A-1").running) == ("closed", False)


async def test_after_a_shutdown_by_an_operator_one_signal_is_enough(world: World) -> None:
    """The drain has begun already: a signal cuts it short."""
    world.ticket("A-1")

    async def work(foreground: Foreground) -> None:
        daemon = world.make()
        async with anyio.create_task_group() as tasks:

            async def when_it_works() -> None:
                while daemon.control is None:
                    await anyio.sleep(0.01)
                await until(daemon, lambda: (found := view(daemon, "A-1")) and found.stage == "working")
                world.agents.unreachable = True
                daemon.control.shutdown()
                await until(daemon, lambda: (found := view(daemon, "A-1")) and found.phase == "stopping")
                interrupt()

            tasks.start_soon(when_it_works)
            await foreground.serve(daemon)

    with anyio.fail_after(30):
        assert await run_in_foreground(work) == "forced"


async def test_before_there_is_a_daemon_one_signal_is_enough() -> None:
    """An installation or a password prompt is ended at once."""

    async def work(foreground: Foreground) -> None:
        interrupt(signal.SIGINT)
        await anyio.sleep_forever()

    with anyio.fail_after(10):
        assert await run_in_foreground(work) == "forced"


async def test_work_that_ends_by_itself_was_not_interrupted() -> None:
    """And the signals are whose they were."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    async def work(foreground: Foreground) -> None:
        await anyio.lowlevel.checkpoint()

    assert await run_in_foreground(work) == "done"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_one_error_of_ours_comes_out_of_the_groups() -> None:
    """However deep task groups wrapped it, and whatever else ended with it."""

    async def fail(error: Exception) -> None:
        raise error

    async def work(foreground: Foreground) -> None:
        async with anyio.create_task_group() as outer:
            outer.start_soon(fail, ValueError("a consequence"))
            async with anyio.create_task_group() as inner:
                inner.start_soon(fail, StoreError("the disk is full"))

    with pytest.raises(StoreError, match="the disk is full"):
        await run_in_foreground(work)


async def test_a_defect_is_not_hidden() -> None:
    """What is not ours comes out as it is."""

    async def work(foreground: Foreground) -> None:
        raise ZeroDivisionError

    with pytest.raises(BaseExceptionGroup) as raised:
        await run_in_foreground(work)
    assert raised.group_contains(ZeroDivisionError)


async def test_a_daemon_that_does_not_start_ends_the_work(world: World) -> None:
    """With its own error; nothing was shown."""
    shown: list[Snapshot] = []

    async def work(foreground: Foreground) -> None:
        await foreground.serve(world.make(), shown.append)

    async with world.running():
        with anyio.fail_after(20), pytest.raises(InstanceError, match="another daemon"):
            await run_in_foreground(work)
    assert shown == []
