"""The real agent-server, one for all live tests, with a scripted model whose play each test sets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from uuid import UUID

import anyio
import pytest

from opensymphony.agents.openhands.environment import Places
from opensymphony.agents.openhands.installation import python_path
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.agents.openhands.supervisor import Supervisor
from opensymphony.clock import Clock, new_id
from opensymphony.demo.model import Message, ModelEndpoint, Reply, Text, serve_model
from opensymphony.interfaces import ConversationRequest
from opensymphony.model import CommandKey, ConversationId, TurnEnd, TurnProgress
from opensymphony.processes import list_processes
from opensymphony.workflow.policy import ConversationPolicy, LocalServerPolicy
from tests.live.daemon_under_test import DaemonUnderTest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for the whole session, in which the server lives."""
    return "asyncio"


@pytest.fixture(scope="session")
def server_python(request: pytest.FixtureRequest) -> str:
    """The interpreter of the agent-server: the shared installation's, unless OPENSYMPHONY_TEST_SERVER_PYTHON names one."""
    given = os.environ.get("OPENSYMPHONY_TEST_SERVER_PYTHON")
    return given or python_path(request.getfixturevalue("agent_server_tool_dir"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a server stay together; each of the others brings its own and goes to whoever is free, the longest
    first: the last one would be waited for alone."""
    items.sort(key=lambda item: item.path.name != "test_docs.py")
    for item in items:
        if "supervisor" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("shared server"))


class Stage:
    """What the scripted model plays at the moment."""

    def __init__(self) -> None:
        self.play: Callable[[list[Message]], Reply] = lambda messages: Text(text="nothing to do")

    def script(self, *replies: Reply) -> None:
        """Each turn plays the replies in order, then the last one again; a call repeated gets the same answer."""

        def play(messages: list[Message]) -> Reply:
            said = 0
            for message in reversed(messages):
                if message["role"] == "user":
                    break
                said += message["role"] == "assistant"
            return replies[min(said, len(replies) - 1)]

        self.play = play


class Live:
    """A runtime on a real server, with the shortcuts that the tests share."""

    def __init__(self, runtime: OpenHandsRuntime, supervisor: Supervisor, directory: Path) -> None:
        self.runtime = runtime
        self.supervisor = supervisor
        self.directory = directory
        self.progress: list[TurnProgress] = []

    async def open(self) -> ConversationId:
        conversation_id = ConversationId(str(UUID(new_id())))
        working_dir = self.directory / conversation_id
        working_dir.mkdir()
        request = ConversationRequest(conversation_id=conversation_id, working_dir=str(working_dir), title="A test")
        assert (await self.runtime.open(request)).created
        return conversation_id

    async def report(self, progress: TurnProgress) -> None:
        self.progress.append(progress)

    async def turn(self, conversation_id: ConversationId, key: str, text: str = "Do it.") -> TurnEnd:
        await self.runtime.send(conversation_id, CommandKey(key), text)
        return await self.await_turn(conversation_id, key)

    async def await_turn(self, conversation_id: ConversationId, key: str, *, resume: bool = False) -> TurnEnd:
        return await self.runtime.await_turn(conversation_id, CommandKey(key), self.report, resume=resume)

    async def until(self, condition: Callable[[], object], seconds: float = 120) -> None:
        with anyio.fail_after(seconds):
            while not condition():
                await anyio.sleep(0.05)


def sleeps_in(directory: Path) -> bool:
    """Whether a command of an agent sleeps in its directory."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if "sleep" in (entry / "comm").read_text() and str((entry / "cwd").readlink()) == str(directory):
                return True
        except OSError:
            continue
    return False


def policy() -> ConversationPolicy:
    return ConversationPolicy()


def model_environment(endpoint: ModelEndpoint) -> Mapping[str, str]:
    return {"LLM_MODEL": "openai/scripted", "LLM_BASE_URL": endpoint.base_url, "LLM_API_KEY": "canary-key"}


def places(root: Path) -> Places:
    return Places(state=root / "state", conversations=root / "conversations")


@pytest.fixture(scope="session")
def stage() -> Stage:
    return Stage()


@pytest.fixture(scope="session")
async def endpoint(stage: Stage) -> AsyncIterator[ModelEndpoint]:
    async with serve_model(lambda messages: stage.play(messages)) as serving:
        yield serving


@pytest.fixture(scope="session")
async def supervisor(server_python: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Supervisor]:
    """The shared server; when the session is over, nothing that it started is left."""
    root = tmp_path_factory.mktemp("server")
    made = Supervisor(python=server_python, places=places(root), policy=LocalServerPolicy(), clock=Clock())
    async with anyio.create_task_group() as tasks:
        await tasks.start(made.run)
        yield made
        nonce = made.nonce
        tasks.cancel_scope.cancel()
    assert list_processes(nonce) == ()


@pytest.fixture
async def live(supervisor: Supervisor, endpoint: ModelEndpoint, tmp_path: Path) -> AsyncIterator[Live]:
    runtime = OpenHandsRuntime(supervisor, policy=policy, environment=model_environment(endpoint), clock=Clock())
    yield Live(runtime, supervisor, tmp_path)
    await runtime.close()


def borrow_tool_dir(shared: Path, root: Path) -> Path:
    """A tool directory with the shared installation and conversations of its own: tests run side by side."""
    made = root / "tools"
    made.mkdir()
    for entry in shared.iterdir():
        if entry.name != "workspace":
            (made / entry.name).symlink_to(entry.resolve())
    return made


@pytest.fixture
async def daemon(endpoint: ModelEndpoint, agent_server_tool_dir: Path) -> AsyncIterator[DaemonUnderTest]:
    """An installation of its own that nothing was made in yet; after the test nothing of it is left."""
    # A short path: sockets of tmux below it have room for about 100 characters.
    with tempfile.TemporaryDirectory(prefix="os-") as directory:
        root = Path(directory).resolve()
        made = DaemonUnderTest(root, borrow_tool_dir(agent_server_tool_dir, root), endpoint.base_url)
        try:
            yield made
        finally:
            await made.clean_up()
