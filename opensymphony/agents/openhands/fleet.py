"""Several agent-servers that share the tickets: each conversation stays on the server whose store holds it.

In: servers with a runtime and a store each. Out: one runtime and one server to everybody else. A new conversation goes where
its ticket's workspace says, so that all conversations of a ticket meet on one server.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus
from msgspec import Struct

from opensymphony.agents import StoresAtRest
from opensymphony.agents.openhands.environment import Places
from opensymphony.agents.openhands.ownership import end_orphan, left_running, read_record
from opensymphony.agents.openhands.server import Server
from opensymphony.agents.openhands.supervisor import Supervisor
from opensymphony.clock import Clock
from opensymphony.interfaces import AgentRuntime, ConversationRequest, ReportProgress
from opensymphony.isolation import Isolation
from opensymphony.model import (
    CommandKey,
    Conversation,
    ConversationId,
    Liveness,
    LogPosition,
    ServerState,
    TurnEnd,
    Usage,
)
from opensymphony.processes import LiveProcess, list_processes
from opensymphony.workflow.policy import Policy

_STATE_NAME = re.compile(r"server-([0-9]{1,3})")
_NUMBER_MAX = 999
_REMEMBERED_MAX = 4096
_WORST_FIRST = ("failed", "restarting", "starting", "stopped", "external", "ready")


def places_of(state_dir: Path, conversations_dir: Path, number: int) -> Places:
    """Where the server of a number, from 1, keeps what it keeps; the first as a server that is alone does."""
    if number == 1:
        return Places(state=state_dir, conversations=conversations_dir)
    store = conversations_dir.with_name(f"{conversations_dir.name}-{number}")
    return Places(state=state_dir / f"server-{number}", conversations=store)


def known_numbers(state_dir: Path) -> list[int]:
    """Of servers that were ever started for this store, the first always among them. Blocking."""
    found = (_STATE_NAME.fullmatch(place.name) for place in state_dir.glob("server-*") if place.is_dir())
    return sorted({1, *(int(match[1]) for match in found if match is not None)})


def all_left_running(state_dir: Path) -> tuple[int, ...]:
    """Pids of the servers of ours that nobody looks after. Blocking."""
    records = (places_of(state_dir, state_dir, number).owner_record for number in known_numbers(state_dir))
    return tuple(pid for record in records if (pid := left_running(record)) is not None)


def all_processes(state_dir: Path) -> tuple[LiveProcess, ...]:
    """What the servers of a store have started and that runs. Blocking."""
    records = (read_record(places_of(state_dir, state_dir, number).owner_record) for number in known_numbers(state_dir))
    return tuple(found for record in records if record is not None for found in list_processes(record.nonce))


async def end_all_left(state_dir: Path, *, above: int = 0) -> int:
    """End the servers that were left, with everything they started; how many processes there were.

    Only those with a number `above` this one. Raises `InstanceError` when a daemon looks after one.
    """
    numbers = await anyio.to_thread.run_sync(known_numbers, state_dir)
    wanted = [places_of(state_dir, state_dir, number).owner_record for number in numbers if number > above]
    return sum([await end_orphan(record) for record in wanted])


def beyond(conversations_dir: Path, count: int) -> list[Path]:
    """The stores of servers with a number above `count`, of an earlier life with more of them. Blocking."""
    prefix = f"{conversations_dir.name}-"
    found = ((place, place.name.removeprefix(prefix)) for place in conversations_dir.parent.glob(f"{prefix}*"))
    return sorted(place for place, number in found if number.isdecimal() and int(number) > count)


BeforeStart = Callable[[StoresAtRest], Awaitable[None]]


class OneServer(Protocol):
    """What a fleet asks of each of its servers; the supervisor of a managed one is such."""

    async def run(self, *, task_status: TaskStatus[None] = ...) -> None: ...

    def detach(self) -> None: ...

    def state(self) -> ServerState: ...


class Member(Struct, frozen=True, kw_only=True):
    """One server of a fleet."""

    server: OneServer
    agents: AgentRuntime
    store: Path
    """Where it keeps its conversations, each in a directory named by its id without dashes."""


class Fleet:
    """Satisfies `interfaces.AgentRuntime` and `agents.AgentServer`."""

    def __init__(self, members: Sequence[Member], state_dir: Path, *, count: int) -> None:
        """Servers with a number above `count` are of an earlier life, and are ended."""
        self._members = tuple(members)
        self._state_dir = state_dir
        self._count = count
        self._placed: dict[ConversationId, Member] = {}
        """Also those that are being made, which no store holds yet."""
        self._begun = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run every server until cancelled; those of an earlier life with more of them are ended first.

        Raises what a server raises whose first start fails, and ends the others then.
        """
        with anyio.CancelScope(shield=True):
            await end_all_left(self._state_dir, above=self._count)
        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as starting:
                for member in self._members:
                    starting.start_soon(tasks.start, member.server.run)
            self._begun.set()
            task_status.started()

    def detach(self) -> None:
        """When `run` is cancelled, leave every server and its agents as they are."""
        for member in self._members:
            member.server.detach()

    def state(self) -> ServerState:
        """How the worst of them is, with all of them in `servers`; one that is alone speaks for itself."""
        states = tuple(member.server.state() for member in self._members)
        if len(states) == 1:
            return states[0]
        worst = min(states, key=lambda state: _WORST_FIRST.index(state.status))
        ready = sum(state.status == "ready" for state in states)
        more = f"; server {states.index(worst) + 1}: {worst.detail}" if worst.detail else ""
        return ServerState(
            status=worst.status,
            version=worst.version,
            detail=f"{ready} of {len(states)} servers are ready{more}",
            restarts=sum(state.restarts for state in states),
            servers=states,
        )

    async def close(self) -> None:
        """Give back every connection; the servers go on."""
        for member in self._members:
            await member.agents.close()

    async def open(self, request: ConversationRequest) -> Conversation:
        """On the server that has the conversation, or the one that it stands in for; else where its workspace says.

        Nothing is made before each server has begun: until then conversations may come out of the archive.
        """
        await self._begun.wait()
        member = self._holder(request.conversation_id)
        if member is None and request.predecessor is not None:
            member = self._holder(request.predecessor)
        if member is None:
            member = self._by_workspace(request.working_dir)
        if len(self._placed) >= _REMEMBERED_MAX:
            self._placed.clear()
        self._placed[request.conversation_id] = member
        return await member.agents.open(request)

    async def send(self, conversation_id: ConversationId, key: CommandKey, text: str) -> None:
        await self._of(conversation_id).agents.send(conversation_id, key, text)

    async def await_turn(
        self,
        conversation_id: ConversationId,
        key: CommandKey,
        report: ReportProgress,
        *,
        resume: bool,
        granted: Sequence[str] = (),
        after: LogPosition | None = None,
    ) -> TurnEnd:
        agents = self._of(conversation_id).agents
        return await agents.await_turn(conversation_id, key, report, resume=resume, granted=granted, after=after)

    async def stop(self, conversation_id: ConversationId) -> Usage | None:
        """Confirmed by the server that has it; where none is known to have it, by each of them."""
        member = self._holder(conversation_id)
        if member is not None:
            return await member.agents.stop(conversation_id)
        usages = [await one.agents.stop(conversation_id) for one in self._members]
        return next((usage for usage in usages if usage is not None), None)

    async def probe(self, conversation_id: ConversationId, working_dir: str) -> Liveness:
        member = self._holder(conversation_id) or self._by_workspace(working_dir)
        return await member.agents.probe(conversation_id, working_dir)

    def _of(self, conversation_id: ConversationId) -> Member:
        """The first says that a conversation which nobody has is gone."""
        return self._holder(conversation_id) or self._members[0]

    def _holder(self, conversation_id: ConversationId) -> Member | None:
        if len(self._members) == 1:
            return self._members[0]
        placed = self._placed.get(conversation_id)
        if placed is not None:
            return placed
        name = conversation_id.replace("-", "")
        return next((member for member in self._members if (member.store / name).is_dir()), None)

    def _by_workspace(self, working_dir: str) -> Member:
        return self._members[server_of(working_dir, len(self._members))]


def server_of(working_dir: str, count: int) -> int:
    """Which of so many servers begins the conversation of a workspace, counted from 0; a hash, the same each time."""
    return int.from_bytes(hashlib.sha256(working_dir.encode()).digest()[:8]) % count


class _FirstStart:
    """What is awaited before a server starts for the first time, one server after the other; later starts move nothing."""

    def __init__(
        self, before_start: BeforeStart | None, one_by_one: anyio.Lock, find: Callable[[], StoresAtRest]
    ) -> None:
        self._before_start = before_start
        self._one_by_one = one_by_one
        self._find = find

    async def __call__(self) -> None:
        before_start, self._before_start = self._before_start, None
        if before_start is not None:
            async with self._one_by_one:
                await before_start(await anyio.to_thread.run_sync(self._find))


def open_fleet(
    agents_on: Callable[[Server], AgentRuntime],
    *,
    python: str,
    state_dir: Path,
    conversations_dir: Path,
    policy: Policy,
    clock: Clock,
    before_start: BeforeStart | None,
    fresh: bool,
    isolation: Isolation,
    only: str | None,
) -> Fleet:
    """As many managed servers as the policy asks for; see `agents.open_runtime` for the rest."""
    local, port = policy.openhands.local_server, policy.openhands.wanted_port
    one_by_one = anyio.Lock()
    members: list[Member] = []
    for number in range(1, local.count + 1):
        places = places_of(state_dir, conversations_dir, number)
        server = Supervisor(
            python=python,
            places=places,
            policy=local,
            clock=clock,
            port=port + number - 1 if port else 0,
            before_start=_FirstStart(
                before_start, one_by_one, partial(_at_rest, conversations_dir, number, local.count)
            ),
            fresh=fresh,
            isolation=isolation,
            workspace_root=policy.workspace.root,
        )
        members.append(Member(server=server, agents=agents_on(server), store=places.conversations))
    if only is None:
        return Fleet(members, state_dir, count=local.count)
    name = only.replace("-", "")
    holders = [one for one in members if (one.store / name).is_dir()]
    return Fleet(holders[:1] or members[:1], state_dir, count=_NUMBER_MAX)


def _at_rest(conversations_dir: Path, number: int, count: int) -> StoresAtRest:
    abandoned = beyond(conversations_dir, count) if number == 1 else []
    store = places_of(conversations_dir, conversations_dir, number).conversations
    return StoresAtRest(store=store, abandoned=tuple(abandoned))
