"""Several servers share the tickets, each conversation staying on its own; fake servers, really started."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest

from opensymphony.agents import Runtime, StoresAtRest, end_left_running, left_running, open_runtime
from opensymphony.agents.openhands.fleet import server_of
from opensymphony.agents.openhands.ownership import read_record, write_record
from opensymphony.clock import Clock
from opensymphony.errors import InstanceError
from opensymphony.interfaces import ConversationRequest
from opensymphony.model import CommandKey, ConversationId, TurnEnd, TurnProgress
from opensymphony.processes import process_start_time
from opensymphony.workflow.policy import LocalServerPolicy, OpenHandsPolicy
from tests.fakes.stub_installation import install_fake
from tests.scheduler.playbook import policy

ENVIRONMENT = {"LLM_MODEL": "openai/m", "LLM_API_KEY": "k", "LLM_BASE_URL": "http://127.0.0.1:1/v1"}


class Site:
    """Where servers are installed and keep what they keep."""

    def __init__(self, root: Path) -> None:
        self.root, self.state, self.active = root, root / "state", root / "stores" / "active"
        (root / "agents").mkdir()
        (root / "agents" / "default.json").write_text('[{"calls": [], "says": "Done."}]')
        install_fake(root / "tools", root / "agents")

    def open(
        self,
        count: int,
        *,
        only: str | None = None,
        before_start: Callable[[StoresAtRest], Awaitable[None]] | None = None,
    ) -> Runtime:
        chosen = policy(openhands=OpenHandsPolicy(local_server=LocalServerPolicy(count=count)))
        return open_runtime(
            lambda: chosen,
            tool_dir=self.root / "tools",
            state_dir=self.state,
            conversations_dir=self.active,
            environment=ENVIRONMENT,
            clock=Clock(),
            before_start=before_start,
            only=only,
        )

    @asynccontextmanager
    async def running(self, count: int, *, only: str | None = None, leave: bool = False) -> AsyncIterator[Runtime]:
        runtime = self.open(count, only=only)
        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(60):
                await tasks.start(runtime.server.run)
            yield runtime
            if leave:
                runtime.server.detach()
            await runtime.agents.close()
            tasks.cancel_scope.cancel()

    def request(
        self, number: int, conversation: int | None = None, predecessor: ConversationId | None = None
    ) -> ConversationRequest:
        """A conversation about the ticket of a number; wherever the test runs, one after the other goes to the next server."""
        names = (self.root / "workspaces" / f"T-{number}-{suffix}" for suffix in range(1_000))
        # Of two or of three servers: which it is follows from a hash of the path.
        working_dir = next(name for name in names if server_of(str(name), 6) == (number - 1) % 6)
        working_dir.mkdir(parents=True, exist_ok=True)
        return ConversationRequest(
            conversation_id=ident(conversation or number),
            working_dir=str(working_dir),
            title="",
            predecessor=predecessor,
        )

    def held(self) -> dict[str, list[str]]:
        """Which store holds which conversations, by the last digits of their ids."""
        stores = sorted(self.active.parent.glob("active*"))
        return {store.name: sorted(place.name[-2:] for place in store.iterdir() if place.is_dir()) for store in stores}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def ident(number: int) -> ConversationId:
    return ConversationId(f"11111111-1111-4111-8111-1111111111{number:02}")


async def work(runtime: Runtime, conversation_id: ConversationId, key: str = "k/1") -> TurnEnd:
    async def nothing(progress: TurnProgress) -> None: ...

    await runtime.agents.send(conversation_id, CommandKey(key), "Do it.")
    return await runtime.agents.await_turn(conversation_id, CommandKey(key), nothing, resume=False)


def orphaned(pids: Sequence[int | None], site: Site) -> None:
    """As if the daemon that looked after them were gone."""
    records = [site.state / "agent-server.json", *site.state.glob("server-*/agent-server.json")]
    for record in records:
        text = record.read_text()
        assert f'"daemon_pid":{os.getpid()}' in text
        record.write_text(text.replace(f'"daemon_pid":{os.getpid()}', '"daemon_pid":4194000'))
    assert set(left_running(site.state)) == set(pids)


async def test_tickets_are_shared_and_each_stays_on_its_own(site: Site) -> None:
    """Both get some; conversations of a ticket meet; what is begun goes on where it is, also by a daemon that knows nothing."""
    async with site.running(2) as runtime:
        assert runtime.server.state().detail == "2 of 2 servers are ready"
        assert len({one.pid for one in runtime.server.state().servers}) == 2
        for number in range(1, 9):
            made = await runtime.agents.open(site.request(number))
            assert (made.created, made.id) == (True, ident(number))
            assert (await work(runtime, made.id)).status == "finished"
        held = site.held()
        assert sorted(held) == ["active", "active-2"]
        assert sorted(held["active"] + held["active-2"]) == [f"{number:02}" for number in range(1, 9)]
        assert all(held.values())
        await runtime.agents.open(site.request(3, 13))
        assert any({"03", "13"} <= set(names) for names in site.held().values())
    async with site.running(2) as another:
        for number in range(1, 9):
            found = await another.agents.open(site.request(number))
            assert (found.created, found.status) == (False, "finished")
        assert (await work(another, ident(3), "k/2")).status == "finished"
        assert {name: len(names) for name, names in site.held().items()} == {
            name: len(names) + ("03" in names) for name, names in held.items()
        }


async def test_one_that_stands_in_is_made_beside_its_predecessor(site: Site) -> None:
    """Wherever that is: its log is read there."""
    async with site.running(2) as runtime:
        for number in (1, 2, 3, 4):
            await runtime.agents.open(site.request(number))
            await work(runtime, ident(number))
            # Its workspace says the other server for some of these.
            request = site.request(number + 40, number + 20, predecessor=ident(number))
            assert (await runtime.agents.open(request)).predecessor_usage is not None
        for names in site.held().values():
            assert {str(int(name) + 20) for name in names if int(name) < 20} == {n for n in names if int(n) > 20}


async def test_one_server_dies_and_the_other_works_on(site: Site) -> None:
    """The conversations of the one are reached again when it is back; the picture says which it is."""
    async with site.running(2) as runtime:
        for number in range(1, 7):
            await runtime.agents.open(site.request(number))
        first, second = runtime.server.state().servers
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        with anyio.fail_after(30):
            while runtime.server.state().servers[0].pid == first.pid:
                await anyio.sleep(0.01)
            for number in range(1, 7):
                assert (await work(runtime, ident(number))).status == "finished"
        state = runtime.server.state()
        assert (state.status, state.restarts, state.servers[1].pid) == ("ready", 1, second.pid)


async def test_where_nobody_has_a_conversation_each_confirms_that_it_is_stopped(site: Site) -> None:
    async with site.running(2) as runtime:
        assert await runtime.agents.stop(ident(99)) is None
        for number in (1, 2, 3, 4):
            await runtime.agents.open(site.request(number))
            await work(runtime, ident(number))
    async with site.running(2) as another:
        for number in (1, 2, 3, 4):
            usage = await another.agents.stop(ident(number))
            assert usage is not None
        assert (await another.agents.probe(ident(4), site.request(4).working_dir)).alive is False


async def test_all_are_left_and_taken_over(site: Site) -> None:
    """Then with fewer: one too many is ended, and its conversations go on with the first."""
    async with site.running(3, leave=True) as runtime:
        pids = [one.pid for one in runtime.server.state().servers]
        for number in range(1, 13):
            await runtime.agents.open(site.request(number))
        held = site.held()
        assert sorted(held) == ["active", "active-2", "active-3"]
    orphaned(pids, site)
    async with site.running(3, leave=True) as runtime:
        assert [one.pid for one in runtime.server.state().servers] == pids
    orphaned(pids, site)
    abandoned: list[StoresAtRest] = []

    async def note(at_rest: StoresAtRest) -> None:
        abandoned.append(at_rest)

    runtime = site.open(1, before_start=note)
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(60):
            await tasks.start(runtime.server.run)
        assert runtime.server.state().pid == pids[0], "alone, it is as it was"
        assert list(site.state.glob("server-*/agent-server.json")) == [], "and all that they started"
        assert abandoned == [], "nothing is moved under a server that runs"
        await runtime.agents.close()
        tasks.cancel_scope.cancel()
    runtime = site.open(1, before_start=note)
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(60):
            await tasks.start(runtime.server.run)
        tasks.cancel_scope.cancel()
    stores = tuple(site.active.with_name(f"active-{number}") for number in (2, 3))
    assert abandoned == [StoresAtRest(store=site.active, abandoned=stores)]


async def test_those_that_were_left_are_ended(site: Site) -> None:
    """All of them; one whose daemon lives is refused."""
    async with site.running(2, leave=True) as runtime:
        pids = [one.pid for one in runtime.server.state().servers]
    orphaned(pids, site)
    second = site.state / "server-2" / "agent-server.json"
    record = read_record(second)
    assert record is not None
    alive = msgspec.structs.replace(record, daemon_pid=os.getppid(), daemon_start_time=process_start_time(os.getppid()))
    write_record(second, alive)
    with pytest.raises(InstanceError, match="owns this agent-server: stop it first"):
        await end_left_running(site.state)
    write_record(second, record)
    assert left_running(site.state) == (pids[1],)
    assert await end_left_running(site.state) >= 1
    assert left_running(site.state) == ()


async def test_for_one_conversation_its_server_alone_is_started(site: Site) -> None:
    """As `debug` wants it; the others are left as they are."""
    async with site.running(2) as runtime:
        for number in (1, 2, 3, 4):
            await runtime.agents.open(site.request(number))
        held = site.held()
    on_second = int(held["active-2"][0])
    async with site.running(2, only=ident(on_second)) as runtime:
        assert runtime.server.state().servers == ()
        assert (await work(runtime, ident(on_second), "debug/1")).status == "finished"
        assert not (site.state / "agent-server.json").exists()
        assert (site.state / "server-2" / "agent-server.json").exists()
