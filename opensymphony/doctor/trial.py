"""An agent-server, a workspace and a conversation that exist for a try only; what can be done with them, one call each."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from uuid import UUID

import anyio
import msgspec
from anyio.abc import TaskGroup, TaskStatus

from opensymphony.agents import Runtime, open_runtime
from opensymphony.clock import Clock, new_id
from opensymphony.demo.model import Message, Play, Reply, Text, ToolCall
from opensymphony.doctor.place import Place
from opensymphony.doctor.steps import StepFailed
from opensymphony.errors import AgentServerError, OpenSymphonyError
from opensymphony.interfaces import ConversationRequest, WorkspaceRequest
from opensymphony.isolation import Isolation
from opensymphony.logs import redacted
from opensymphony.model import CommandKey, Conversation, ConversationId, TurnEnd, TurnProgress, Workspace
from opensymphony.settings import Settings
from opensymphony.workflow.policy import (
    ConfirmationPolicy,
    ConversationPolicy,
    HooksPolicy,
    Policy,
    TransportPolicy,
    WorkspacePolicy,
)
from opensymphony.workflow.prompt import sample_ticket
from opensymphony.workspace.manager import WorkspaceManager

TRACE = "doctor.txt"
"""The file in which the scripted agent leaves a line a turn."""
LINE = "works"
IDENTIFIER = "DOCTOR-1"
MESSAGE = "This is a test of the agent-server. Nothing is to be done: finish at once."
REQUEST = f"This is a test. Run exactly `echo {LINE} >> {TRACE}` in the terminal, once, then finish. Do nothing else."
_LOG_HINT = re.compile(r" \(log: [^)]*\)")
_ANSWERED = "messages read: "
_TRACE_BYTES_MAX = 4_096
_NO_FILE = f"{TRACE} in the agent's workspace is no ordinary file"

replace = msgspec.structs.replace


def for_trial(policy: Policy, place: Place, *, steps_max: int | None = None) -> Policy:
    """The policy's agent and server, without whatever is about tickets, repositories and people."""
    openhands = policy.openhands
    conversation: ConversationPolicy = replace(
        openhands.conversation,
        confirmation_policy=ConfirmationPolicy(),
        max_iterations=steps_max or openhands.conversation.max_iterations,
    )
    # One server at a port of its own: the daemon's may be running.
    server = replace(openhands.local_server, count=1)
    return replace(
        policy,
        repository=None,
        code_host=None,
        hooks=HooksPolicy(),
        workspace=WorkspacePolicy(root=str(place.workspaces)),
        openhands=replace(openhands, conversation=conversation, local_server=server, transport=TransportPolicy()),
    )


def scripted(policy: Policy) -> Play:
    """An agent that leaves a line in a file, where it has a terminal, and says how many messages it has read."""
    agent = policy.openhands.conversation.agent

    def reply(messages: list[Message]) -> Reply:
        read = sum(message.get("role") == "user" for message in messages)
        acted = 0
        for message in reversed(messages):
            if message.get("role") == "user":
                break
            acted += message.get("role") == "tool"
        if not acted and "terminal" in agent.tools:
            return ToolCall(name="terminal", arguments={"command": f"echo {LINE} >> {TRACE}"})
        said = f"{_ANSWERED}{read}"
        if "FinishTool" in agent.include_default_tools:
            return ToolCall(name="finish", arguments={"message": said})
        return Text(text=said)

    return reply


def messages_read(text: str) -> int:
    """What the scripted agent said in the end."""
    found = re.search(rf"{_ANSWERED}(\d+)", text)
    return int(found[1]) if found else 0


def read_trace(workspace: str) -> str | None:
    """What the agent left in its file; None where there is none. A real model may have made anything of it.

    Raises `StepFailed` for what is no ordinary file, and `OSError`. Blocking, but never waits for a pipe.
    """
    try:
        descriptor = os.open(Path(workspace) / TRACE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            raise StepFailed(_NO_FILE) from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StepFailed(_NO_FILE)
        return os.read(descriptor, _TRACE_BYTES_MAX).decode(errors="replace")
    finally:
        os.close(descriptor)


class Life:
    """What a daemon is to the server while it runs; a later one takes the server over."""

    def __init__(self, place: Place, settings: Settings, policy: Policy, environment: Mapping[str, str]) -> None:
        self.policy = policy
        self._environment = environment
        self._place = place
        self._settings = settings
        self._scope = anyio.CancelScope()
        self._over = anyio.Event()
        self._runtime: Runtime | None = None

    @property
    def runtime(self) -> Runtime:
        assert self._runtime is not None
        return self._runtime

    async def begin(self, tasks: TaskGroup, isolation: Isolation) -> None:
        """Return when the server is ready. Raises an `OpenSymphonyError`."""
        policy = self.policy
        self._runtime = open_runtime(
            lambda: policy,
            tool_dir=Path(self._settings.tool_dir),
            state_dir=self._place.state,
            conversations_dir=self._place.conversations,
            environment=self._environment,
            clock=Clock(),
            isolation=isolation,
        )
        try:
            await tasks.start(self._run)
        except BaseExceptionGroup as group:
            raise _of_ours(group) from group
        except AgentServerError as error:
            raise _without_log(error) from error

    async def _run(self, *, task_status: TaskStatus[None]) -> None:
        try:
            with self._scope:
                await self.runtime.server.run(task_status=task_status)
        finally:
            self._over.set()

    async def end(self, *, leave: bool) -> None:
        """End the server with everything it started, or leave it to the next life."""
        if self._runtime is None:
            return
        if leave:
            self._runtime.server.detach()
        self._scope.cancel()
        await self._over.wait()

    async def close(self) -> None:
        """Give back its connections."""
        if self._runtime is not None:
            await self._runtime.agents.close()


def _of_ours(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found = group.split(OpenSymphonyError)[0]
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return _without_log(found) if isinstance(found, AgentServerError) else found or group


def _without_log(error: AgentServerError) -> AgentServerError:
    """The log goes with everything else: nobody is sent to look for it."""
    return AgentServerError(_LOG_HINT.sub("", str(error)))


class Talk:
    """One conversation about one workspace."""

    def __init__(self, place: Place, policy: Policy, isolation: Isolation) -> None:
        self.id = ConversationId(str(UUID(new_id())))
        self._ticket = sample_ticket(IDENTIFIER)
        self._workspaces = WorkspaceManager(
            str(place.workspaces),
            str(place.state / "mirrors"),
            policy,
            place.nonce,
            isolation=isolation,
            scripts_home=str(place.home),
        )
        self._number = 0

    async def prepare(self) -> Workspace:
        """Make the workspace, or find it again."""
        return await self._workspaces.prepare(
            WorkspaceRequest(ticket=self._ticket, generation=1, repository_url=None, base=None, branch=None)
        )

    async def open(self, life: Life, workspace: Workspace) -> Conversation:
        request = ConversationRequest(conversation_id=self.id, working_dir=workspace.path, title="opensymphony doctor")
        found = await life.runtime.agents.open(request)
        if found.unfit:
            raise StepFailed(f"the conversation cannot be worked in: {found.unfit}")
        return found

    async def note(self, workspace: Workspace, found: Conversation) -> None:
        """Leave the manifest that people find in a workspace."""
        content = {"conversation_id": found.id, "working_dir": workspace.path}
        await self._workspaces.write_manifest(workspace, "conversation", content)

    async def say(self, life: Life, text: str) -> Turn:
        """Send a message; the turn is waited for by its `run`."""
        self._number += 1
        turn = Turn(life, self.id, CommandKey(f"doctor/{self.id}/{self._number}"))
        await life.runtime.agents.send(self.id, turn.key, text)
        return turn


class Turn:
    """What becomes of one message."""

    def __init__(self, life: Life, conversation_id: ConversationId, key: CommandKey) -> None:
        self.key = key
        self.moved = anyio.Event()
        """The stream has told something, or it has failed."""
        self.over = anyio.Event()
        wait = partial(life.runtime.agents.await_turn, conversation_id, key, self._report, resume=False)
        self._wait = wait
        self._end: TurnEnd | Exception | None = None

    async def run(self) -> None:
        """Wait for its end, which `result` tells."""
        try:
            self._end = await self._wait()
        except Exception as error:  # nobody else waits for it: it is the step's that asks for the result
            self._end = error
        finally:
            self.moved.set()
            self.over.set()

    def raise_if_failed(self) -> None:
        """Raises what has kept the turn from being followed."""
        if isinstance(self._end, Exception):
            raise self._end

    def result(self) -> TurnEnd:
        """Raises `StepFailed` for a turn that did not end well."""
        self.raise_if_failed()
        end = self._end
        assert isinstance(end, TurnEnd)
        if end.status != "finished":
            failure = end.failure
            detail = f"the agent ended as {end.status}" + (f": {redacted(failure.detail)[:500]}" if failure else "")
            raise StepFailed(detail, failure.advice if failure else "")
        return end

    async def _report(self, progress: TurnProgress) -> None:
        self.moved.set()
