"""Agent runtimes, opened by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from anyio.abc import TaskStatus
from msgspec import Struct

from opensymphony.clock import Clock
from opensymphony.errors import InstallationError
from opensymphony.interfaces import AgentRuntime
from opensymphony.isolation import NOT_ISOLATED, Isolation
from opensymphony.model import ServerState
from opensymphony.views import TranscriptEntry
from opensymphony.workflow.policy import LlmPolicy, Policy

if TYPE_CHECKING:
    from opensymphony.agents.openhands.prices import ModelPrices


class AgentServer(Protocol):
    """The server behind a runtime; `run` is its whole life."""

    async def run(self, *, task_status: TaskStatus[None] = ...) -> None: ...

    def detach(self) -> None: ...

    def state(self) -> ServerState: ...


class Runtime(Struct, frozen=True, kw_only=True):
    """A runtime and the server it works on."""

    agents: AgentRuntime
    server: AgentServer


def open_runtime(
    policy: Callable[[], Policy],
    *,
    tool_dir: Path,
    state_dir: Path,
    conversations_dir: Path,
    environment: Mapping[str, str],
    clock: Clock,
    prices: Callable[[], LlmPolicy] | None = None,
    read_environment: Callable[[], Awaitable[Mapping[str, str]]] | None = None,
    before_start: Callable[[], Awaitable[None]] | None = None,
    fresh: bool = False,
    read_session_key: Callable[[], Awaitable[str]] | None = None,
    isolation: Isolation = NOT_ISOLATED,
) -> Runtime:
    """Agents on an OpenHands agent-server: one of our own, or the one that the policy names.

    Raises `InstallationError` when our own is not installed whole.

    `environment` is where the names in the policy's `llm` section are looked up: the model's key goes to the server with
    each conversation and nowhere else; `read_environment` reads it again, where a key may have been changed. `prices` is the
    model with its prices filled in, for what a server that does not know them calls free. `before_start` is awaited before
    each start of our server, while none runs; `fresh`: one that an earlier start left is ended, not taken over.
    `read_session_key` reads the key of another's server.
    """
    from opensymphony.agents.openhands.environment import Places
    from opensymphony.agents.openhands.external import ExternalServer
    from opensymphony.agents.openhands.installation import check, python_path
    from opensymphony.agents.openhands.runtime import OpenHandsRuntime
    from opensymphony.agents.openhands.supervisor import Supervisor

    openhands = policy().openhands
    if openhands.is_external:
        server = ExternalServer(openhands.transport.base_url or "", read_session_key)
    else:
        installed = check(tool_dir)
        if installed.status != "complete" and openhands.local_server.command is None:
            raise InstallationError(f"{installed.detail}: run `opensymphony install openhands`")
        server = Supervisor(
            python=python_path(tool_dir),
            places=Places(state=state_dir, conversations=conversations_dir),
            policy=openhands.local_server,
            clock=clock,
            port=openhands.wanted_port,
            before_start=before_start,
            fresh=fresh,
            isolation=isolation,
            workspace_root=policy().workspace.root,
        )
    agents = OpenHandsRuntime(
        server,
        policy=lambda: policy().openhands.conversation,
        environment=environment,
        clock=clock,
        prices=prices,
        read_environment=read_environment,
    )
    return Runtime(agents=agents, server=server)


def left_running(state_dir: Path) -> int | None:
    """The pid of an agent-server that an earlier daemon left and nobody looks after; None when there is none. Blocking."""
    from opensymphony.agents.openhands.environment import Places
    from opensymphony.agents.openhands.ownership import left_running as find

    return find(Places(state=state_dir, conversations=state_dir).owner_record)


async def end_left_running(state_dir: Path) -> int:
    """Interrupt its agents and end it, with everything it started; how many processes there were.

    Raises `InstanceError` when a daemon looks after it.
    """
    from opensymphony.agents.openhands.environment import Places
    from opensymphony.agents.openhands.ownership import end_orphan

    return await end_orphan(Places(state=state_dir, conversations=state_dir).owner_record)


def installation_state(tool_dir: Path) -> tuple[str, str]:
    """Whether the agent-server is installed whole (`complete`), and what is known about it."""
    from opensymphony.agents.openhands.installation import check

    state = check(tool_dir)
    return state.status, state.detail or f"{state.version} in {tool_dir}"


def model_prices(model: str, tool_dir: Path) -> ModelPrices | None:
    """What the installed agent-server takes the model to cost; None when it is not installed or does not know it. Blocking."""
    from opensymphony.agents.openhands.prices import find

    return find(tool_dir, model)


def archive_conversations(
    conversations_dirs: Sequence[Path],
    archives_dir: Path,
    *,
    closed: frozenset[str],
    wanted: frozenset[str],
    legacy_dir: Path | None = None,
) -> tuple[int, int]:
    """Put conversations of closed tickets away and take wanted ones out again; how many of each. Only while no server runs.

    Those wanted come into the first of the directories. Blocking; never raises.
    """
    from opensymphony.agents.openhands.archives import put_in_order

    return put_in_order(conversations_dirs, archives_dir, closed=closed, wanted=wanted, legacy=legacy_dir)


def read_transcript(conversation_dir: Path, *, after: int = -1, last: int | None = None) -> list[TranscriptEntry]:
    """What was said and done behind the event of a number, or the last entries of it; from the files alone. Blocking."""
    from opensymphony.agents.openhands.event_files import EventFiles
    from opensymphony.agents.openhands.transcript import entries

    files = EventFiles(conversation_dir)
    numbers = files.numbers(after)
    taken = len(numbers) if last is None else 4 * last  # most entries are of an event or two, and of some bookkeeping
    while True:
        newest = numbers[max(0, len(numbers) - taken) :]
        found = [entry for number, content in files.read(newest) for entry in entries(number, content)]
        if last is None or len(found) >= last or taken >= len(numbers):
            return found if last is None else found[max(0, len(found) - last) :]
        taken *= 4
