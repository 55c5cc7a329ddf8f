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
from opensymphony.processes import LiveProcess
from opensymphony.views import TranscriptEntry
from opensymphony.workflow.policy import LlmPolicy, Policy

if TYPE_CHECKING:
    from opensymphony.agents.openhands.model_call import ModelAnswer
    from opensymphony.agents.openhands.pages import Page
    from opensymphony.agents.openhands.prices import ModelPrices


class AgentServer(Protocol):
    """The server behind a runtime; `run` is its whole life."""

    async def run(self, *, task_status: TaskStatus[None] = ...) -> None: ...

    def detach(self) -> None: ...

    def state(self) -> ServerState: ...


class StoresAtRest(Struct, frozen=True, kw_only=True):
    """The directories of conversations that no server uses while one starts."""

    store: Path
    """Its own."""
    abandoned: tuple[Path, ...] = ()
    """Those of servers that there are not any more; told to the first server alone."""


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
    before_start: Callable[[StoresAtRest], Awaitable[None]] | None = None,
    fresh: bool = False,
    read_session_key: Callable[[], Awaitable[str]] | None = None,
    isolation: Isolation = NOT_ISOLATED,
    only: str | None = None,
) -> Runtime:
    """Agents on OpenHands agent-servers: of our own, as many as the policy asks for, or the one that it names.

    Raises `InstallationError` when our own is not installed whole.

    `environment` is where the names in the policy's `llm` section are looked up: the model's key goes to the server with
    each conversation and nowhere else; `read_environment` reads it again, where a key may have been changed. `prices` is the
    model with its prices filled in, for what a server that does not know them calls free. `before_start` is awaited before
    the first start of each server of ours, one after the other; `fresh`: those that an earlier start left are ended, not taken
    over. `read_session_key` reads the key of another's server. `only`: of ours, the one alone that has this conversation.
    """
    from opensymphony.agents.openhands.external import ExternalServer
    from opensymphony.agents.openhands.fleet import open_fleet
    from opensymphony.agents.openhands.runtime import OpenHandsRuntime
    from opensymphony.agents.openhands.server import Server

    def agents_on(server: Server) -> AgentRuntime:
        return OpenHandsRuntime(
            server,
            policy=lambda: policy().openhands.conversation,
            environment=environment,
            clock=clock,
            prices=prices,
            read_environment=read_environment,
        )

    openhands = policy().openhands
    if openhands.is_external:
        server = ExternalServer(openhands.transport.base_url or "", read_session_key)
        return Runtime(agents=agents_on(server), server=server)
    fleet = open_fleet(
        agents_on,
        python=_python(tool_dir, needed=openhands.local_server.command is None),
        state_dir=state_dir,
        conversations_dir=conversations_dir,
        policy=policy(),
        clock=clock,
        before_start=before_start,
        fresh=fresh,
        isolation=isolation,
        only=only,
    )
    return Runtime(agents=fleet, server=fleet)


def _python(tool_dir: Path, *, needed: bool) -> str:
    from opensymphony.agents.openhands.installation import check, python_path

    installed = check(tool_dir)
    if installed.status != "complete" and needed:
        raise InstallationError(f"{installed.detail}: run `opensymphony install openhands`")
    return python_path(tool_dir)


def left_running(state_dir: Path) -> tuple[int, ...]:
    """The pids of agent-servers that an earlier daemon left and nobody looks after. Blocking."""
    from opensymphony.agents.openhands.fleet import all_left_running

    return all_left_running(state_dir)


async def end_left_running(state_dir: Path) -> int:
    """Interrupt their agents and end them, with everything they started; how many processes there were.

    Raises `InstanceError` when a daemon looks after one.
    """
    from opensymphony.agents.openhands.fleet import end_all_left

    return await end_all_left(state_dir)


def installation_state(tool_dir: Path) -> tuple[str, str]:
    """Whether the agent-server is installed whole (`complete`), and what is known about it."""
    from opensymphony.agents.openhands.installation import check

    state = check(tool_dir)
    return state.status, state.detail or f"{state.version} in {tool_dir}"


def model_prices(model: str, tool_dir: Path) -> ModelPrices | None:
    """What the installed agent-server takes the model to cost; None when it is not installed or does not know it. Blocking."""
    from opensymphony.agents.openhands.prices import find

    return find(tool_dir, model)


async def ask_model(
    llm: LlmPolicy,
    prices: LlmPolicy,
    environment: Mapping[str, str],
    *,
    tool_dir: Path,
    home: Path,
    nonce: str,
    isolation: Isolation,
) -> ModelAnswer:
    """One small call of the model, as agents would make it. Raises `InstallationError`, or `AgentServerError` without a model.

    `prices` is the model with its prices, for what the client calls free. `home` is a directory in which the client may leave
    something; everything that is started carries `nonce`.
    """
    from opensymphony.agents.openhands.model_call import call_model

    python = _python(tool_dir, needed=True)
    return await call_model(llm, prices, environment, python=python, home=home, nonce=nonce, isolation=isolation)


def processes_of(state_dir: Path) -> tuple[LiveProcess, ...]:
    """Everything that the servers of a store have started and that runs, whoever looks after it. Blocking."""
    from opensymphony.agents.openhands.fleet import all_processes

    return all_processes(state_dir)


def archive_conversations(
    conversations_dir: Path,
    archives_dir: Path,
    *,
    closed: frozenset[str],
    wanted: frozenset[str],
    leaving: Sequence[Path] = (),
    in_use: Sequence[Path] = (),
) -> tuple[int, int]:
    """Put conversations of closed tickets away and take wanted ones out again; how many of each.

    Only while no server uses the directory. Those wanted also leave the stores `leaving`; those of stores `in_use` stay.
    Blocking; never raises.
    """
    from opensymphony.agents.openhands.archives import put_in_order

    return put_in_order([conversations_dir], archives_dir, closed=closed, wanted=wanted, leaving=leaving, in_use=in_use)


def read_transcript_page(
    conversation_dir: Path,
    *,
    limit: int,
    before: int | None = None,
    after: int | None = None,
    clean: Callable[[str], str] = str,
) -> Page:
    """Part of what was said and done, bounded in every respect: the newest entries, or those before or after an event.

    `clean` takes out of a text what nobody may see. From the files alone. Blocking.
    """
    from opensymphony.agents.openhands.pages import read_page

    return read_page(conversation_dir, limit=limit, before=before, after=after, clean=clean)


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
