"""A stop that is wanted before the agent-server of this boot has begun."""

from __future__ import annotations

from pathlib import Path

import anyio

from opensymphony.agents import open_runtime
from opensymphony.clock import Clock
from opensymphony.model import ConversationId
from tests.fakes.stub_installation import install_stub
from tests.scheduler.playbook import policy


async def test_nothing_is_confirmed_while_an_orphan_may_still_run(tmp_path: Path) -> None:
    """After a crash the server of the last boot works on until it is found: the stop waits until it can be asked."""
    runtime = open_runtime(
        policy,
        tool_dir=install_stub(tmp_path / "tools"),
        state_dir=tmp_path / "state",
        conversations_dir=tmp_path / "conversations",
        environment={},
        clock=Clock(),
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runtime.server.run)
        await anyio.sleep(0)
        assert runtime.server.state().status == "starting"
        with anyio.move_on_after(0.5) as limit:
            await runtime.agents.stop(ConversationId("00000000-0000-5000-8000-000000000000"))
        assert limit.cancelled_caught, "it was confirmed by nobody"
        tasks.cancel_scope.cancel()
    await runtime.agents.close()
