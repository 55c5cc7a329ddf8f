"""A board, a repository, a policy and the real command on them; everything is done and seen as from outside.

Tickets are edited as files, the daemon is asked over HTTP, and agents are the scripted ones of `tests/fakes/agent_server.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.fakes.stub_installation import ROOT, install_fake

Json = dict[str, Any]

WAIT_S = 30.0
LOOK_S = 0.05
GONE = (ProcessLookupError, FileNotFoundError, PermissionError)

POLICY: Json = {
    "tracker": {"kind": "files", "provider": {"path": "board"}},
    "polling": {"interval_ms": 100},
    "workspace": {"root": "workspaces"},
    "agent": {"retry_backoff_ms": 100_000},
    "reporting": {"transitions": {"succeeded": "In Review"}},
}
PROMPT = "Work on {{ issue.identifier }}."


class Said:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        assert "Traceback" not in out + err, err


class World:
    """One installation in a directory of its own."""

    def __init__(self, root: Path, *, repository: bool = False) -> None:
        self.root = root
        self.board, self.workspaces, self.agents = root / "board", root / "workspaces", root / "agents"
        self.store, self.logs = root / "store", root / "logs"
        self.repository = root / "repository"
        self.process: subprocess.Popen[bytes] | None = None
        self._polls = 0
        self.policy: Json = json.loads(json.dumps(POLICY))
        for directory in (self.board, self.agents, root / "home", root / "tmp"):
            directory.mkdir(parents=True)
        install_fake(root / "tools", self.agents)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root / "home"),
            "TMPDIR": str(root / "tmp"),
            "LANG": "C.UTF-8",
            "LLM_MODEL": "openai/scripted",
            "LLM_API_KEY": "canary-model-key",
            "OPENSYMPHONY_TOOL_DIR": str(root / "tools"),
        }
        (root / "opensymphony.toml").write_text(
            f'[server]\nport = 0\n[store]\ndirectory = "{self.store}"\n[logs]\ndirectory = "{self.logs}"\n'
            # The stand-in for the agent-server is a program of this repository, and what runs inside leaves marks in the world.
            f'[isolation]\nreadable = ["{ROOT}", "{sys.base_prefix}"]\nwritable = ["{root}"]\n'
        )
        self.script("default", {})
        if repository:
            self._make_repository()
        self.configure()

    def _make_repository(self) -> None:
        self.policy["repository"] = {"url": "repository", "base": "main"}
        self.git("init", "-q", "-b", "main", str(self.repository), cwd=self.root)
        (self.repository / "README.md").write_text("A project.\n")
        self.git("add", "-A")
        self.git("-c", "user.name=T", "-c", "user.email=t@example.invalid", "commit", "-q", "-m", "begin")

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=cwd or self.repository, env=self.environment, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    # What a person writes

    def configure(self, prompt: str = PROMPT, **sections: Json | None) -> None:
        """Write WORKFLOW.md with these keys laid over those before; a section that is None goes."""
        for name, keys in sections.items():
            if keys is None:
                self.policy.pop(name, None)
            else:
                self.policy[name] = {**self.policy.get(name, {}), **keys}
        self.write_workflow(f"---\n{json.dumps(self.policy, indent=1)}\n---\n{prompt}\n")

    def write_workflow(self, text: str, name: str = "WORKFLOW.md") -> Path:
        path = self.root / name
        _replace(path, text)
        return path

    def ticket(self, name: str, state: str = "Todo", body: str = "What to do.", **head: object) -> None:
        lines = "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items())
        _replace(self.board / f"{name}.md", f"---\ntitle: Title of {name}\nstate: {state}\n{lines}---\n\n{body}\n")

    def move(self, name: str, state: str) -> None:
        """Edit one ticket's state and nothing else."""
        path = self.board / f"{name}.md"
        _replace(path, re.sub(r"(?m)^state: .*$", f"state: {state}", path.read_text()))

    def state_of(self, name: str) -> str:
        found = re.search(r"(?m)^state: (.*)$", (self.board / f"{name}.md").read_text())
        assert found is not None
        return found[1].strip()

    def script(self, name: str, *turns: Json) -> None:
        """What agents do in the turns of a ticket's conversation, the last one again and again."""
        _replace(self.agents / f"{name}.json", json.dumps(turns))

    def release(self, name: str) -> None:
        """Let agents go on that hold until this is said."""
        (self.agents / name).touch()

    def hook(self, name: str, ticket: str, text: str) -> None:
        """What a hook does for one ticket, besides writing down that it ran (daemons of `conftest.hooks_of`)."""
        _replace(self.root / "hooks" / f"{name}.{ticket}", text)

    def hooked(self, name: str, ticket: str) -> list[str]:
        """Where a hook ran for a ticket, run by run."""
        path = self.root / "hooks" / name
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split(" ", 1)[1] for line in lines if line.split(" ", 1)[0] == ticket]

    # The command

    def command(self, *arguments: str, cwd: Path | None = None, **environment: str | None) -> Said:
        """Run it to its end."""
        env = {name: value for name, value in {**self.environment, **environment}.items() if value is not None}
        done = subprocess.run(
            [sys.executable, "-m", "opensymphony", *arguments],
            cwd=cwd or self.root,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, wait: bool = True, **environment: str) -> World:
        """Begin `run`; with `wait`, its interface answers when this returns."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        with (self.root / "out").open("ab") as out, (self.root / "err").open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "opensymphony", "run", "--allow-root", *arguments],
                cwd=self.root,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        if wait:
            self.until("it answers", lambda: self.snapshot()["status"] == "running")
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)

    def kill(self) -> None:
        """As a crash does it: the daemon alone, without a word."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def told(self) -> str:
        """What the daemon has said on standard error in all its lives."""
        return (self.root / "err").read_text(errors="replace")

    def log(self, **fields: object) -> list[Json]:
        """Lines of the log that have these values."""
        found = [
            json.loads(line) for path in sorted(self.logs.glob("*.jsonl*")) for line in path.read_text().splitlines()
        ]
        return [line for line in found if all(line.get(key) == value for key, value in fields.items())]

    # What is seen

    def request(self, method: str, path: str, body: Json | None = None, **headers: str) -> tuple[int, Any]:
        """Ask the daemon that runs; status code and decoded answer."""
        address = json.loads((self.store / "daemon.json").read_text())
        token = Path(address["token_file"]).read_text()
        request = Request(
            f"http://{address['host']}:{address['port']}{path}",
            method=method,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers},
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def state(self) -> Json:
        """Symphony's state."""
        status, state = self.request("GET", "/api/v1/state")
        assert status == 200, state
        return state

    def snapshot(self) -> Json:
        status, snapshot = self.request("GET", "/api/v1/snapshot")
        assert status == 200, snapshot
        return snapshot

    def view(self, name: str) -> Json:
        """A ticket in the snapshot; empty when it is not there."""
        return next((one for one in self.snapshot()["tickets"] if one["identifier"] == name), {})

    def row(self, kind: str, name: str) -> Json:
        """A ticket in the rows `running`, `retrying` or `blocked` of the state; empty when it is not there."""
        return next((one for one in self.state()[kind] if one["issue_identifier"] == name), {})

    def seen(self, what: str = "", ticket: str | None = None) -> list[Json]:
        """What the agent-server was asked and its agents did."""
        path = self.agents / "seen.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [one for one in lines if what in ("", one["what"]) and ticket in (None, one.get("ticket"))]

    def texts(self, ticket: str) -> list[str]:
        """What the agents of a ticket were told, turn by turn."""
        return [one["text"] for one in self.seen("begin", ticket)]

    def until(self, what: str, condition: Callable[[], Any], seconds: float = WAIT_S) -> Any:
        """Wait until it holds, and return what it returned. A daemon that does not answer yet is waited for."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, json.JSONDecodeError):
                if found := condition():
                    return found
            assert self.process is None or self.process.poll() is None, f"it ended: {self.told()[-3000:]}"
            time.sleep(LOOK_S)
        shown = ""
        with contextlib.suppress(OSError):
            shown = json.dumps(self.snapshot()["tickets"], indent=1)[-3000:]
        raise AssertionError(f"not within {seconds} s: {what}\n{shown}\n{self.told()[-3000:]}")

    def until_phase(self, name: str, *phases: str) -> Json:
        return self.until(f"{name} is {phases}", lambda: (v := self.view(name)).get("phase") in phases and v)

    def begun(self, name: str, times: int = 1) -> list[Json]:
        """Wait until agents have begun so many turns for a ticket."""
        return self.until(f"turn {times} of {name}", lambda: len(b := self.seen("begin", name)) >= times and b)

    def polled(self, times: int = 1) -> None:
        """Wait until the board was read so often, each time from its beginning to its end, after this call.

        A poll is recognised by a file that it could not read, which it reports when it is through.
        """
        for _ in range(times):
            self._polls += 1
            odd = self.board / f"odd-{self._polls}.md"
            odd.write_text("no ticket\n")
            self.request("POST", "/api/v1/refresh")
            self.until("a poll", lambda odd=odd: any(odd.name in one for one in self.snapshot()["problems"]))
            odd.unlink()

    def processes(self, having: str = "") -> list[int]:
        """Live processes that carry a path of this world in their environment, but for the daemon itself."""
        found: list[int] = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(*GONE):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                theirs = str(self.root).encode() in (entry / "environ").read_bytes()
                if theirs and line and having in line and (self.process is None or entry.name != str(self.process.pid)):
                    found.append(int(entry.name))
        return found

    def end(self) -> None:
        """After a test, however it went: nothing is left. An end in good order is what C5 looks at."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        for pid in self.processes():
            with contextlib.suppress(*GONE):
                os.kill(pid, signal.SIGKILL)


def _replace(path: Path, text: str) -> None:
    """Save as most editors do."""
    new = path.with_name(f".{path.name}.swp")
    new.write_text(text)
    new.replace(path)


@contextmanager
def world(root: Path, *, repository: bool = False) -> Iterator[World]:
    made = World(root, repository=repository)
    try:
        yield made
    finally:
        made.end()
