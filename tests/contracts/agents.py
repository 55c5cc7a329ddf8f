"""What the contract of agents needs behind a runtime: a server that is started, scripted, cut off and killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol
from uuid import UUID

import anyio
from msgspec import Struct

from opensymphony.agents.openhands.client import Client
from opensymphony.agents.openhands.environment import Places
from opensymphony.agents.openhands.messages import message_text
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.agents.openhands.supervisor import Supervisor
from opensymphony.clock import Clock, new_id
from opensymphony.interfaces import ConversationRequest
from opensymphony.model import CommandKey, ConversationId, TurnEnd, TurnProgress
from opensymphony.workflow.policy import ConversationPolicy, LocalServerPolicy
from tests.fakes.cutting_proxy import CuttingProxy
from tests.fakes.stub_installation import install_fake

HOLD = "while [ ! -e go ]; do sleep 0.05; done"
"""A command that runs until the file is there: `release` makes it."""


class Turn(Struct, frozen=True, kw_only=True):
    """What the agent does with one message: commands, one a model call, then its last words; or its model refuses."""

    run: tuple[str, ...] = ()
    says: str = "Done."
    refused: bool = False


Script = Callable[[Path, Sequence[Turn]], None]
"""Lets the agent who works in a directory do this, message for message; the last turn stays."""


class Behind(Protocol):
    """One agent-server that tests may share."""

    @property
    def supervisor(self) -> Supervisor: ...

    @property
    def environment(self) -> dict[str, str]:
        """Where its model is."""
        ...

    def script(self, working_dir: Path, turns: Sequence[Turn]) -> None: ...


class FakeBehind:
    """`tests/fakes/agent_server.py`, started and watched as the real one is."""

    def __init__(self, root: Path) -> None:
        self._agents = root / "agents"
        self._agents.mkdir(parents=True)
        install_fake(root / "tools", self._agents)
        self.environment = {"LLM_MODEL": "openai/m", "LLM_API_KEY": "k", "LLM_BASE_URL": "http://127.0.0.1:1/v1"}
        self.supervisor = Supervisor(
            python=str(root / "tools" / "current" / "bin" / "python"),
            places=Places(state=root / "state", conversations=root / "conversations"),
            policy=LocalServerPolicy(),
            clock=Clock(),
        )

    def script(self, working_dir: Path, turns: Sequence[Turn]) -> None:
        path = self._agents / f"{working_dir.name}.json"
        path.with_suffix(".new").write_text(json.dumps([_as_the_fake_plays(turn) for turn in turns]))
        path.with_suffix(".new").rename(path)


def _as_the_fake_plays(turn: Turn) -> dict[str, object]:
    if turn.refused:
        classification = {"kind": "auth", "retryable": False, "user_action": "settings"}
        failure = {"code": "LLMAuthenticationError", "detail": "bad key", "classification": classification}
        return {"calls": [], "status": "error", "failure": failure}
    calls = [{"prompt_tokens": 1_200 + at, "completion_tokens": 10} for at in range(len(turn.run) + 1)]
    return {"calls": calls, "run": turn.run, "says": turn.says}


class World:
    """A runtime on a server, behind a line that can be cut, with the shortcuts that the tests share."""

    def __init__(self, behind: Behind, line: CuttingProxy, directory: Path) -> None:
        self.behind = behind
        self.line = line
        self.directory = directory
        self._runtimes: list[OpenHandsRuntime] = []
        self.runtime = self.another_runtime()
        self.client = Client(behind.supervisor.endpoint)
        self.progress: list[TurnProgress] = []

    def another_runtime(self) -> OpenHandsRuntime:
        """A daemon that has heard nothing before."""
        made = OpenHandsRuntime(
            self.line, policy=ConversationPolicy, environment=self.behind.environment, clock=Clock()
        )
        self._runtimes.append(made)
        return made

    async def close(self) -> None:
        for runtime in self._runtimes:
            await runtime.close()
        await self.client.close()

    def request(self, *turns: Turn) -> ConversationRequest:
        """A conversation in a directory of its own, whose agent does this."""
        conversation_id = ConversationId(str(UUID(new_id())))
        working_dir = self.directory / conversation_id
        working_dir.mkdir()
        self.behind.script(working_dir, turns or (Turn(),))
        return ConversationRequest(conversation_id=conversation_id, working_dir=str(working_dir), title="A test")

    async def open(self, *turns: Turn) -> ConversationId:
        return (await self.runtime.open(self.request(*turns))).id

    async def send(self, conversation_id: ConversationId, key: str) -> None:
        await self.runtime.send(conversation_id, CommandKey(key), "Do it.")

    async def wait(
        self, conversation_id: ConversationId, key: str, *, by: OpenHandsRuntime | None = None, resume: bool = False
    ) -> TurnEnd:
        return await (by or self.runtime).await_turn(conversation_id, CommandKey(key), self._report, resume=resume)

    async def turn(self, conversation_id: ConversationId, key: str) -> TurnEnd:
        await self.send(conversation_id, key)
        return await self.wait(conversation_id, key)

    @asynccontextmanager
    async def awaited(self, conversation_id: ConversationId, key: str) -> AsyncIterator[list[TurnEnd]]:
        """While the block runs the turn is waited for; at its end the list has how it ended."""
        ends: list[TurnEnd] = []

        async def wait() -> None:
            ends.append(await self.wait(conversation_id, key))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            yield ends

    async def at_work(self, conversation_id: ConversationId) -> None:
        """Return once the agent's command runs."""
        await self.until(lambda: (self.directory / conversation_id / "begun").exists())

    def release(self, conversation_id: ConversationId) -> None:
        (self.directory / conversation_id / "go").touch()

    async def messages(self, conversation_id: ConversationId) -> list[str]:
        """What people said in it, by the server's log."""
        page = await self.client.events_from(conversation_id, None, limit=100)
        return [message_text(event) for event in page.items if event.kind == "MessageEvent" and event.source == "user"]

    async def until(self, condition: Callable[[], object], seconds: float = 60) -> None:
        with anyio.fail_after(seconds):
            while not condition():
                await anyio.sleep(0.02)

    async def kill_server(self) -> None:
        """As the kernel does; it is started again."""
        pid = self.behind.supervisor.state().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await self.until(lambda: self.behind.supervisor.state().pid != pid)

    async def _report(self, progress: TurnProgress) -> None:
        self.progress.append(progress)


@asynccontextmanager
async def serving(behind: Behind, directory: Path) -> AsyncIterator[World]:
    """A world on a server that runs."""
    line = CuttingProxy(behind.supervisor)
    async with line.serving():
        world = World(behind, line, directory)
        try:
            yield world
        finally:
            await world.close()
