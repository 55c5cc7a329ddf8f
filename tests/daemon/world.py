"""Everything around a daemon: a board of files, an upstream repository, a store, and scripted agents that outlive it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec

from opensymphony.clock import Clock
from opensymphony.daemon.app import Daemon
from opensymphony.model import TicketId
from opensymphony.scheduler.records import FORMAT, Record, decode_record
from opensymphony.services import open_tracker
from opensymphony.settings import Settings
from opensymphony.store.reader import open_reader
from opensymphony.store.sqlite import Journal
from opensymphony.views import Snapshot, TicketView
from opensymphony.workflow.policy import (
    AgentPolicy,
    HooksPolicy,
    Policy,
    PollingPolicy,
    ReportingPolicy,
    RepositoryPolicy,
    TrackerPolicy,
    TransitionsPolicy,
    VerifyPolicy,
    WorkspacePolicy,
)
from tests.fakes.scripted_code_host import ScriptedCodeHost
from tests.fakes.scripted_runtime import ScriptedAgents, Step

GOOD = Step(files={"answer.txt": "good\n"}, commit="Answer well", says="I answered.")
BAD = Step(files={"answer.txt": "bad\n"}, commit="Answer badly", says="I think this is it.")
HOLDS = Step(holds=True)


def git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=directory, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


class World:
    """What there is when no daemon runs."""

    def __init__(self, directory: Path, scripts: Mapping[str, Sequence[Step]] | None = None) -> None:
        self.directory = directory
        self.board = directory / "board"
        self.board.mkdir(parents=True)
        self.upstream = directory / "upstream.git"
        self.store = directory / "store"
        self.root = directory / "workspaces"
        self.hooks = directory / "hooks.log"
        self.agents = ScriptedAgents(scripts or {"A-1": [GOOD]})
        self._make_upstream()
        self.host = ScriptedCodeHost(self._head)

    def _head(self, branch: str) -> str:
        return git(self.upstream, "rev-parse", "--verify", "-q", f"refs/heads/{branch}").strip()[:12]

    def _make_upstream(self) -> None:
        seed = self.directory / "seed"
        seed.mkdir()
        git(seed, "init", "-q", "-b", "main")
        (seed / "README").write_text("hello\n")
        git(seed, "add", "-A")
        git(seed, "commit", "-q", "-m", "first")
        git(self.directory, "clone", "-q", "--bare", str(seed), str(self.upstream))

    def policy(self, **changes: Any) -> Policy:
        """A repository, a check that wants a good answer, both hooks, and transitions."""
        base = Policy(
            tracker=TrackerPolicy(kind="files", provider={"path": str(self.board)}, unblocking_states=("In Review",)),
            polling=PollingPolicy(interval_ms=200),
            workspace=WorkspacePolicy(root=str(self.root)),
            repository=RepositoryPolicy(url=str(self.upstream)),
            hooks=HooksPolicy(
                before_run=f"echo before >> {self.hooks}", after_run=f"echo after >> {self.hooks}", timeout_ms=20_000
            ),
            agent=AgentPolicy(retry_backoff_ms=50, max_retry_backoff_ms=100),
            verify=VerifyPolicy(command="grep -qx good answer.txt"),
            reporting=ReportingPolicy(transitions=TransitionsPolicy(started="In Progress", succeeded="In Review")),
            prompt="Do {{ issue.title }}.",
        )
        return msgspec.structs.replace(base, **changes)

    def settings(self, **changes: Any) -> Settings:
        base = Settings(
            workflow_path=str(self.directory / "WORKFLOW.md"),
            config_path=None,
            store_dir=str(self.store),
            logs_dir=str(self.directory / "logs"),
            tool_dir=str(self.directory / "tools"),
            host="127.0.0.1",
            port=0,
        )
        return msgspec.structs.replace(base, **changes)

    def ticket(self, name: str, state: str = "Todo", **fields: str) -> Path:
        """Write a ticket as a person does: all of the file."""
        lines = [f"title: Title of {name}", f"state: {state}", *(f"{key}: {value}" for key, value in fields.items())]
        path = self.board / f"{name}.md"
        path.write_text("\n".join(["---", *lines, "---", "", "What to do.", ""]))
        return path

    def move(self, name: str, state: str) -> None:
        """A person sets the state."""
        path = self.board / f"{name}.md"
        lines = [f"state: {state}" if line.startswith("state:") else line for line in path.read_text().split("\n")]
        fresh = self.directory / "editor"
        fresh.write_text("\n".join(lines))
        fresh.rename(path)

    def make(self, policy: Policy | None = None, **given: Any) -> Daemon:
        settings = given.pop("settings", None) or self.settings()
        return Daemon(
            settings,
            policy or self.policy(),
            environment={},
            open_runtime=self.agents.open_runtime,
            open_code_host=lambda *_: self.host,
            **given,
        )

    async def once(self, policy: Policy | None = None, *, seconds: float = 45) -> Snapshot:
        """A daemon from its start until nothing is left to do."""
        daemon = self.make(policy, once=True)
        with anyio.fail_after(seconds):
            await daemon.run()
        assert daemon.control is not None
        return daemon.control.snapshot()

    @asynccontextmanager
    async def running(self, policy: Policy | None = None) -> AsyncIterator[Daemon]:
        """A daemon that runs beside the test, drained at its end."""
        daemon = self.make(policy)
        async with anyio.create_task_group() as tasks:
            await tasks.start(daemon.run)
            yield daemon
            daemon.stop()

    async def journal(self) -> list[Record]:
        """Every record of the store."""
        journal = await Journal.open(self.store / "journal.db", format_number=FORMAT)
        try:
            _, rows = await journal.load()
        finally:
            await journal.close()
        return [decode_record(body) for _, body in rows]

    def whole_journal(self) -> list[Record]:
        """Every record that was ever written, those before a checkpoint too."""
        with open_reader(self.store / "journal.db", format_number=FORMAT) as reader:
            return [decode_record(body) for _, body in reader.records(0, reader.bounds[1])]

    async def tickets(self) -> dict[str, Any]:
        """The board as its tracker reads it."""
        tracker = open_tracker(self.policy().tracker, Clock())
        try:
            names = [path.stem for path in self.board.glob("*.md") if not path.stem.endswith(".comments")]
            found = await tracker.fetch_tickets([TicketId(name) for name in sorted(names)])
        finally:
            await tracker.close()
        return {ticket.identifier: ticket for ticket in found}

    def comment(self, name: str) -> str:
        return (self.board / f"{name}.comments.md").read_text()

    def commits(self, name: str) -> list[str]:
        """Subjects of the commits that were pushed for a ticket, newest first."""
        return git(self.upstream, "log", "--format=%s", f"main..opensymphony/{name}").splitlines()


def view(daemon: Daemon, name: str) -> TicketView | None:
    assert daemon.control is not None
    return next((view for view in daemon.control.snapshot().tickets if view.identifier == name), None)


async def until(daemon: Daemon, condition: Callable[[], object], seconds: float = 30) -> None:
    """Return once the condition holds; it is looked at on every change."""
    assert daemon.control is not None
    with anyio.fail_after(seconds):
        while not condition():
            with anyio.move_on_after(0.05):
                await daemon.control.changed()


async def until_phase(daemon: Daemon, name: str, phase: str) -> TicketView:
    def reached() -> bool:
        found = view(daemon, name)
        return found is not None and found.phase == phase

    await until(daemon, reached)
    found = view(daemon, name)
    assert found is not None
    return found
