"""How long it takes from "assigned", told by a webhook, to a `run` that the agent-server has accepted, and what of it is ours.

Goal (docs/services/jira.md): p95 of ours below 100 ms. The whole daemon runs in this process, on a store on this disk; the Jira
site and the agent-server are the tests' fakes, each in a process of its own, and git is real, on a small repository. Tickets
come one after the other; polls are an hour apart, so that only the webhook can begin the work. Of each ticket:

- *wall*: from before its webhook is sent until the answer to the message that begins the agent's run has come.
- *settle*: the two seconds for which a claim has to stand before it counts, asleep (`daemon/claims.py`).
- *tracker*, *server*, *git*: until answers have come and programs have ended; `waits.py` says from when.
- *ours*: wall less the union of these. So everything else is ours: the webhook and its acknowledgement, the writes of inbox and
  journal with their fsync, files, JSON, httpx around the wire, deciding, and waiting for a turn: of the event loop, and of the
  machine's cores, which the other processes and whatever else runs there use too.
- *processor*: what this process has computed meanwhile in all its threads, also during waits, as to start a git.

*Floor* beside it, in the same run: the same requests and the same git commands that a ticket took, for a new ticket of the same
kind, bare and one after the other. At last what the whole life of a ticket asks of the tracker, by kind, to the end of its run;
and what the daemon would add to that by polling at the default pace meanwhile (goal: below 60).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx

from benchmarks.waits import PARTS, Measured, Wait, Watch, measured, watched
from opensymphony import logs
from opensymphony.cli.loading import required
from opensymphony.daemon.app import Daemon
from opensymphony.daemon.control import DaemonControl
from opensymphony.views import Snapshot
from tests.fakes.jira import AGENT, EMAIL, TOKEN, WEBHOOK_SECRET, FakeJira
from tests.fakes.stub_installation import install_fake

TICKETS, WARM = 40, 3
"""The first ones make the mirror and open connections."""
LIFE_S, POLL_S, RENEWED_S, RENEWAL = 600, 30, 300, 3
"""For the estimate of a longer run: the default pace of polls, and what a renewal of the claim takes (read, write, read)."""
SOME = re.compile(r"/(\d+|opensymphony\.claim)(?=/|$)")
CONVERSATION = re.compile(r"/api/conversations/([0-9a-f-]{36})")
WORKFLOW = """\
---
tracker:
  kind: jira
  provider: {{base_url: '{url}', gateway_url: '{url}', email: {email}, project_key: PROJ}}
  active_states: [Todo, In Progress]
  terminal_states: [Done]
  assignee: me
polling: {{interval_ms: 3600000}}
workspace: {{root: workspaces}}
repository: {{url: repository, base: main}}
reporting: {{transitions: {{started: In Progress, succeeded: In Review}}}}
---
Work on {{{{ issue.identifier }}}}.
"""


class Site:
    """The Jira site in its process: a line goes in, a line comes out."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    async def ask(self, *words: str) -> Any:
        return await anyio.to_thread.run_sync(self._ask, words)

    def _ask(self, words: Sequence[str]) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def site(root: Path):
    """When its input ends, because we have ended or were killed, it removes what is left of us."""
    command = [sys.executable, "-m", "benchmarks.dispatch", str(root)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdin is not None
    try:
        yield Site(process)
    finally:
        process.stdin.close()
        process.wait()


async def be_the_site() -> None:
    """The other process, until its input ends."""
    jira = FakeJira()
    jira._specification = None  # to check each call takes longer than to answer it
    async with jira.serving():
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            match json.loads(line):
                case ["create"]:
                    made = jira.create("Do one thing", assignee="acc-ada")
                    answer: Any = [made, jira.issues[made].key]
                case ["assign", made]:
                    jira.edit(made, assignee=AGENT)
                    items = [{"field": "assignee", "to": AGENT, "toString": "Agent", "fromString": None}]
                    body, identifier = jira.event(made, items=items)
                    answer = [body.decode(), jira.signed(body, identifier)]
                case ["asked"]:
                    answer, jira.requests = jira.requests, []
                case _:
                    answer = jira.base_url
            print(json.dumps(answer), flush=True)


def clear(root: Path) -> None:
    """End what was started below a directory, as its environment tells, and remove it."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if entry.name != str(os.getpid()) and str(root).encode() in (entry / "environ").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
    shutil.rmtree(root, ignore_errors=True)


def lay_out(root: Path, url: str) -> int:
    """Everything that a daemon needs; the port for its webhooks."""
    repository, agents = root / "repository", root / "agents"
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.invalid"]
    subprocess.run([*git, "init", "-q", "-b", "main", str(repository)], check=True)
    subprocess.run([*git, "-C", str(repository), "commit", "-q", "--allow-empty", "-m", "begin"], check=True)
    agents.mkdir()
    turn = {"files": {"result.txt": "42\n"}, "commit": "Add the result"}
    (agents / "default.json").write_text(json.dumps([turn]))
    install_fake(root / "tools", agents)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (root / "WORKFLOW.md").write_text(WORKFLOW.format(url=url, email=EMAIL))
    (root / "opensymphony.toml").write_text(
        f'[server]\nport = 0\n[public]\nport = {port}\n[store]\ndirectory = "{root}/store"\n'
        f'[logs]\ndirectory = "{root}/logs"\n'
    )
    return port


class Bench:
    """One daemon, and what its tickets took."""

    def __init__(self, jira: Site, root: Path, watch: Watch, control: DaemonControl, port: int) -> None:
        self.jira, self.root, self.watch, self.control = jira, root, watch, control
        self.address = f"http://127.0.0.1:{port}/webhook/jira"
        self.http = httpx.AsyncClient(trust_env=False)
        self.taken: list[Measured] = []
        self.floors: list[float] = []
        self.requests: list[list[str]] = []
        """What each ticket asked of the tracker, to its end."""

    async def until(self, condition: Callable[[Snapshot], object]) -> None:
        while not condition(self.control.snapshot()):  # noqa: ASYNC110
            await anyio.sleep(0.02)

    async def begin(self, made: str) -> tuple[float, float]:
        """Assign it and tell so; when that was, by the wall and by what was computed."""
        body, headers = await self.jira.ask("assign", made)
        await self.jira.ask("asked")
        self.watch.clear()
        began, computed = time.perf_counter(), time.process_time()
        answer = await self.http.post(self.address, content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        await self.watch.told.wait()
        return began, computed

    async def poll(self) -> int:
        """How many requests a look at the board takes while an agent is at work and nothing else happens."""
        made, key = await self.jira.ask("create")
        turn = {"hold": "go", "files": {"result.txt": "42\n"}, "commit": "Add the result"}
        (self.root / "agents" / f"{key}.json").write_text(json.dumps([turn]))
        await self.begin(made)
        for _ in range(2):  # the first one reads what we have changed
            await self.jira.ask("asked")
            self.control.refresh()
            await anyio.sleep(1)
        asked = await self.jira.ask("asked")
        (self.root / "agents" / "go").touch()
        await self.until(lambda seen: all(one.phase == "in_review" for one in seen.tickets))
        return len(asked)

    async def ticket(self) -> tuple[list[Wait], Mapping[str, str]]:
        """One from its webhook to its end; the waits up to the run, and the names that are its own."""
        made, key = await self.jira.ask("create")
        began, computed = await self.begin(made)
        accepted, waits = self.watch.accepted, [one for one in self.watch.waits if one.began < self.watch.accepted]
        self.taken.append(measured(began, accepted, self.watch.processor - computed, waits))
        await self.until(lambda seen: any(one.identifier == key and one.phase == "in_review" for one in seen.tickets))
        self.requests.append([f"{method} {SOME.sub('/...', path)}" for method, path in await self.jira.ask("asked")])
        [conversation] = {found[1] for one in waits if (found := CONVERSATION.search(one.shown))}
        return waits, {"id": made, "key": key, "conversation": conversation}

    async def floor(self, waits: Sequence[Wait], of: Mapping[str, str]) -> None:
        """The same for a new ticket, bare."""
        made, key = await self.jira.ask("create")
        (self.root / "workspaces" / key).mkdir()
        names = {of["conversation"]: str(uuid.uuid4()), of["key"]: key, of["id"]: made}
        names |= {uuid.UUID(of["conversation"]).hex: uuid.UUID(names[of["conversation"]]).hex}
        began = time.perf_counter()
        for one in waits:
            await one.again(names)
        self.floors.append((time.perf_counter() - began) * 1000)
        await anyio.sleep(0.5)  # its agent comes to its end

    async def run(self) -> None:
        await self.until(lambda seen: seen.server.status == "ready" and seen.polled_ms is not None)
        poll = await self.poll()  # while it is alone on the board
        for number in range(WARM + TICKETS):
            waits, names = await self.ticket()
            if number >= WARM:
                await self.floor(waits, names)
        self.taken, self.requests = self.taken[WARM:], self.requests[WARM:]
        self.tell(waits, poll)
        await self.http.aclose()

    def tell(self, waits: Sequence[Wait], poll: int) -> None:
        print(f"{len(self.taken)} tickets, one after the other; milliseconds")
        print(f"{'':<10} {'p50':>8} {'p95':>8} {'worst':>8}   {'of one ticket':>13}")
        counts = Counter(one.kind for one in waits)
        rows = {kind: [one.parts[kind] for one in self.taken] for kind in PARTS}
        rows = {
            "wall": [one.wall for one in self.taken],
            **rows,
            "ours": [one.ours for one in self.taken],
            "processor": [one.processor for one in self.taken],
        }
        for name, values in {**rows, "floor": self.floors}.items():
            print(
                f"{name:<10} {share(values, 50):8.1f} {share(values, 95):8.1f} {max(values):8.1f}   {counts[name] or '':>13}"
            )
        own = Counter(what for one in self.requests for what in one)
        most = max(len(one) for one in self.requests)
        print(f"\nrequests to the tracker for the whole life of a ticket: {most} at most; on average:")
        for what, number in own.most_common():
            print(f"  {number / len(self.requests):5.1f}  {what}")
        polls, renewals = poll * LIFE_S // POLL_S, RENEWAL * (LIFE_S // RENEWED_S)
        print(
            f"alone on the board for ten minutes: {most + polls + renewals}, {polls} of them polls, {renewals} its claim"
        )


def share(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def measure(root: Path) -> None:
    watch = Watch()
    with site(root) as jira, watched(watch):
        port = lay_out(root, await jira.ask("url"))
        settings, policy = required(str(root / "WORKFLOW.md"))
        daemon = Daemon(settings, policy, environment={"LLM_MODEL": "openai/scripted", "LLM_API_KEY": "none"})
        async with anyio.create_task_group() as tasks:
            control = await tasks.start(daemon.run)
            try:
                await Bench(jira, root, watch, control, port).run()
            finally:
                daemon.stop()


def main() -> None:
    if len(sys.argv) > 1:
        try:
            anyio.run(be_the_site)
        finally:
            clear(Path(sys.argv[1]))
        return
    logs.set_up(level="error")
    os.environ |= {"JIRA_API_TOKEN": TOKEN, "JIRA_WEBHOOK_SECRET": WEBHOOK_SECRET}
    place = Path.cwd() / ".cache"  # on the disk of the checkout, and never in a commit
    place.mkdir(exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="dispatch-", dir=place))
    os.environ["OPENSYMPHONY_TOOL_DIR"] = str(root / "tools")
    anyio.run(measure, root)


if __name__ == "__main__":
    main()
