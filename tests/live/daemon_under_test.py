"""The real `opensymphony` command on a board, a repository and a store of its own below one directory.

Everything that it starts has that directory in its environment (home, store, tmux), so whatever is left of it is found by
looking at the environment of every process: also what left its session, its parent or its process group.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import msgspec

from opensymphony.api.client import fetch_snapshot, find_daemon
from opensymphony.demo.board import make_demo
from opensymphony.demo.model import Message, Play, Reply, ToolCall, text_of
from opensymphony.errors import InstanceError
from opensymphony.views import Snapshot, TicketView
from opensymphony.workspace.paths import repository_key

COMMAND = str(Path(sys.executable).with_name("opensymphony"))
_PATIENCE_S = 180.0
"""Until something that does not happen is told: a server that starts in 8 s needs a minute where others use the cores, too."""
_INTERRUPTED = ("A restart occurred while this tool was in progress", "Tool call interrupted before completion")

TRACKER = """\
tracker:
  kind: files
  provider: {path: board}
  active_states: [Todo, In Progress]
  terminal_states: [Done, Cancelled]
"""

PROMPT = "You work on ticket {{ issue.identifier }}.\n"
WORKFLOW = """\
---
TRACKER
polling: {interval_ms: POLLING}
workspace: {root: workspaces}
repository: {url: REPOSITORY, base: main}
agent: {max_concurrent_agents: 4, retry_backoff_ms: 200, max_retry_backoff_ms: 1000AGENT}
reporting:
  comment_interval_ms: INTERVAL
  transitions: {started: In Progress, succeeded: In ReviewMOVES}
MORE
---
PROMPT"""


class DaemonUnderTest:
    """One installation: a board, its repository, the settings, and the runs of the command on them."""

    def __init__(self, root: Path, tool_dir: Path, model_url: str) -> None:
        self.root = root
        self.board, self.repository, self.store = root / "board", root / "repository", root / "store"
        self.workspaces, self.temporary = root / "workspaces", root / "t"  # short: a doctor takes no long one
        self.marks = root / "marks"
        """The one place beside its workspace where an agent may write, whatever isolates it."""
        key = repository_key(str(self.repository))
        self.conversations = tool_dir / "workspace" / "conversations" / "repos" / key
        self.tracker = TRACKER
        """That section of WORKFLOW.md."""
        self.repository_url = "repository"
        self.moves = ""
        """Further transitions."""
        self.comment_interval_ms = 0
        """Least time between two edits of the status comment."""
        self.prompt = PROMPT
        self.process: anyio.abc.Process | None = None
        self._runs = 0
        self.environment = {
            **os.environ,
            "HOME": str(root / "home"),
            "TMPDIR": str(self.temporary),
            "OPENSYMPHONY_TOOL_DIR": str(tool_dir),
            "LLM_MODEL": "openai/scripted",
            "LLM_BASE_URL": model_url,
            "LLM_API_KEY": "canary-key",
        }
        # Compiled once, a command starts in half a second instead of five.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for directory in (self.temporary, self.marks, root / "home"):
            directory.mkdir(parents=True)

    async def lay_out(self, more: str = "", *, agent: str = "") -> None:
        """Repository, an empty board, WORKFLOW.md with `more` keys (`agent`: below `agent`), opensymphony.toml."""
        made = self.root / "made"
        await make_demo(made)
        shutil.move(made / "repository", self.repository)
        shutil.rmtree(made)
        self.board.mkdir()
        (self.root / "opensymphony.toml").write_text(
            f'[server]\nport = 0\n[store]\ndirectory = "{self.store}"\n[logs]\ndirectory = "{self.root / "logs"}"\n'
            f'[isolation]\nwritable = ["{self.marks}"]\n'
        )
        self.configure(more, agent=agent)

    def configure(self, more: str = "", *, agent: str = "", polling: str = "300") -> None:
        """Write WORKFLOW.md, as an editor does: the whole file is replaced. `polling` is in milliseconds."""
        new = self.root / ".WORKFLOW.md.swp"
        text = WORKFLOW.replace("TRACKER\n", self.tracker).replace("MORE\n", more)
        text = text.replace("POLLING", polling).replace("INTERVAL", str(self.comment_interval_ms))
        text = text.replace("REPOSITORY", self.repository_url).replace("MOVES", self.moves)
        text = text.replace("PROMPT", self.prompt)
        new.write_text(text.replace("AGENT", f", {agent}" if agent else ""))
        new.replace(self.root / "WORKFLOW.md")

    def ticket(self, name: str, state: str = "Todo", **head: object) -> None:
        """A person adds a ticket."""
        lines = [
            "---",
            f"title: Work on {name}",
            f"state: {state}",
            *(f"{key}: {value}" for key, value in head.items()),
        ]
        (self.board / f"{name}.md").write_text("\n".join([*lines, "---", "Do it.", ""]))

    def move(self, name: str, state: str) -> None:
        """A person edits the state of a ticket, as an editor does: the whole file is replaced."""
        path = self.board / f"{name}.md"
        text, count = re.subn(r"(?m)^state: .*$", f"state: {state}", path.read_text())
        assert count == 1
        new = path.with_name(f".{name}.md.swp")
        new.write_text(text)
        new.replace(path)

    def state(self, name: str) -> str:
        found = re.search(r"(?m)^state: (.*)$", (self.board / f"{name}.md").read_text())
        assert found is not None
        return found[1]

    def comments(self, name: str) -> str:
        return (self.board / f"{name}.comments.md").read_text()

    async def start(self, *arguments: str, cwd: Path | None = None) -> anyio.abc.Process:
        """Begin a command in a session of its own; its output goes to files, one pair for each run."""
        self._runs += 1
        where = cwd or self.root
        with self.said("out").open("wb") as out, self.said("err").open("wb") as err:
            self.process = await anyio.open_process(
                [COMMAND, *arguments],
                cwd=where,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        return self.process

    def said(self, stream: str) -> Path:
        """The file of what the newest command said."""
        return self.root / f"run-{self._runs}.{stream}"

    def told(self) -> str:
        """What the newest command said on standard error."""
        return self.said("err").read_text(errors="replace")

    async def ended(self, seconds: float = _PATIENCE_S) -> int:
        """Wait for the newest command to end; its exit code."""
        assert self.process is not None
        with anyio.move_on_after(seconds):
            return await self.process.wait()
        raise AssertionError(f"it did not end within {seconds} s: {self.told()[-3000:]}")

    async def command(self, *arguments: str, seconds: float = _PATIENCE_S) -> tuple[int, str, str]:
        """Another command to its end, beside the one that runs: exit code, standard output, standard error."""
        with anyio.fail_after(seconds):
            done = await anyio.run_process(
                [COMMAND, *arguments], cwd=self.root, env=self.environment, check=False, start_new_session=True
            )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    async def run_once(self, seconds: float = _PATIENCE_S) -> None:
        await self.start("run", "--once")
        code = await self.ended(seconds)
        assert code == 0, self.told()[-3000:]

    async def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def snapshot(self) -> Snapshot | None:
        """The daemon's picture over its own interface; None while it does not answer."""
        try:
            return await anyio.to_thread.run_sync(lambda: fetch_snapshot(find_daemon(str(self.store))))
        except (InstanceError, FileNotFoundError):
            return None

    async def until(
        self, what: str, condition: Callable[[Snapshot], object], seconds: float = _PATIENCE_S, *, alive: bool = True
    ) -> Snapshot:
        """Wait for a condition on the daemon's picture."""
        seen: Snapshot | None = None
        with anyio.move_on_after(seconds):
            while True:
                seen = await self.snapshot() or seen
                if seen is not None and condition(seen):
                    return seen
                assert self.process is not None
                assert not alive or self.process.returncode is None, f"it ended early: {self.told()[-3000:]}"
                await anyio.sleep(0.1)
        shown = msgspec.json.format(msgspec.json.encode(seen)).decode() if seen else "nothing"
        raise AssertionError(f"not within {seconds} s: {what}; seen: {shown}\n{self.told()[-3000:]}")

    async def wait_for(self, what: str, condition: Callable[[], object], seconds: float = _PATIENCE_S) -> None:
        """Wait for anything else."""
        with anyio.move_on_after(seconds):
            while not await anyio.to_thread.run_sync(condition):
                await anyio.sleep(0.1)
            return
        raise AssertionError(f"not within {seconds} s: {what}\n{self.told()[-3000:]}")

    async def git(self, *arguments: str, cwd: Path | None = None) -> str:
        done = await anyio.run_process(["git", *arguments], cwd=cwd or self.repository)
        return done.stdout.decode().strip()

    async def commits(self, branch: str) -> list[str]:
        """Subjects of what a branch of the repository has more than main."""
        return (await self.git("log", "--format=%s", f"main..{branch}")).splitlines()

    def processes(self, having: str = "") -> dict[int, str]:
        """Command lines of the live processes of ours, by pid; `having` chooses among them."""
        found: dict[int, str] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if entry.name == str(os.getpid()) or str(self.root).encode() not in (entry / "environ").read_bytes():
                    continue
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue
            if line and having in line:  # a zombie has no command line any more
                found[int(entry.name)] = line
        return found

    def stored_conversations(self) -> list[Path]:
        """The directories of all conversations about the repository that an agent-server keeps."""
        return [path.parent for path in self.conversations.rglob("base_state.json")]

    def user_messages(self) -> list[str]:
        """What was said to the agents, over all conversations."""
        events = [
            msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
            for path in sorted(self.conversations.rglob("event-*.json"))
        ]
        return [
            str(event["llm_message"]["content"][0]["text"])
            for event in events
            if event.get("kind") == "MessageEvent" and event.get("source") == "user"
        ]

    async def clean_up(self) -> None:
        """After the test, however it went: no process, no conversation."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        shutil.rmtree(self.conversations, ignore_errors=True)


def view(snapshot: Snapshot, name: str) -> TicketView | None:
    return next((one for one in snapshot.tickets if one.identifier == name), None)


def has(name: str, **fields: object) -> Callable[[Snapshot], bool]:
    """Whether a ticket's view has these values."""

    def condition(snapshot: Snapshot) -> bool:
        found = view(snapshot, name)
        return found is not None and all(getattr(found, key) == value for key, value in fields.items())

    return condition


def both(*conditions: Callable[[Snapshot], object]) -> Callable[[Snapshot], bool]:
    return lambda snapshot: all(condition(snapshot) for condition in conditions)


def shell(command: str, delay_ms: int = 0) -> ToolCall:
    return ToolCall(name="terminal", arguments={"command": command}, delay_ms=delay_ms)


def once(mark: Path, command: str) -> str:
    """A command that is carried out the first time only: a call cut off is made again and must end then."""
    return f"[ -e {mark} ] || {{ touch {mark}; {command}; }}"


def commit(name: str, number: int = 1) -> ToolCall:
    """One commit, also when it is made twice or a first try was killed half-way."""
    write = f"find .git -name '*.lock' -delete; echo {name} > {name}-{number}.txt; git add -A"
    return shell(f"{write}; git diff --cached --quiet || git commit -qm '{name} {number}'")


def finish(message: str = "done") -> ToolCall:
    return ToolCall(name="finish", arguments={"message": message})


Step = Reply | Callable[[], Reply]


def scripted(scripts: Mapping[str, Sequence[Step]]) -> Play:
    """Each ticket's steps in order, its last one again and again; a call that was cut off is made again.

    Remembers nothing, as `demo/story.py`. Steps that a restart has to find changed are callables.
    """

    def play(messages: list[Message]) -> Reply:
        first = next(text_of(message) for message in messages if message.get("role") == "user")
        found = re.search(r"You work on ticket ([A-Z0-9-]+)\.", first)
        assert found is not None, f"no ticket in {first!r}"
        steps = scripts[found[1]]
        step = steps[min(_settled(messages), len(steps) - 1)]
        return step() if callable(step) else step

    return play


def _settled(messages: Sequence[Message]) -> int:
    results = [text_of(message) for message in messages if message.get("role") == "tool"]
    return sum(not any(words in result for words in _INTERRUPTED) for result in results)
