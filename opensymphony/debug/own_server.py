"""An agent-server for one look into a conversation while no daemon runs.

It runs in the isolation that the policy names, holds the daemon's locks, so that none starts meanwhile, and takes over a
server of ours that was left running. At the end everything is ended again, unless an agent is at work or the server was
there before: then it is left as `shutdown --detach` leaves it.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal

from opensymphony.agents import Runtime, left_running, open_runtime
from opensymphony.clock import Clock, new_id
from opensymphony.daemon.archiving import conversations_dir
from opensymphony.daemon.confinement import chosen_isolation, is_root
from opensymphony.daemon.model_access import model_environment, session_key, with_model
from opensymphony.errors import InstanceError, OpenSymphonyError
from opensymphony.model import CommandKey, ConversationId, TurnEnd, TurnProgress
from opensymphony.settings import Settings
from opensymphony.store.lock import LOCK_FILE, InstanceLock
from opensymphony.workflow.policy import Policy

KEY_PREFIX = "debug/"
"""Of the keys of messages that a person sends past the daemon."""


class OwnServer:
    """Sends messages and watches the turns that they begin."""

    def __init__(self, portal: BlockingPortal, runtime: Runtime, conversation_id: str) -> None:
        self._portal = portal
        self._agents = runtime.agents
        self._conversation_id = ConversationId(conversation_id)
        self._turn: Future[TurnEnd] | None = None

    @property
    def working(self) -> bool:
        """Whether an agent is at work on what was sent."""
        return self._turn is not None and not self._turn.done()

    def send(self, text: str) -> None:
        """Raises `AgentServerError`."""
        key = CommandKey(f"{KEY_PREFIX}{new_id()}")
        self._portal.call(self._agents.send, self._conversation_id, key, text)
        wait = partial(self._agents.await_turn, self._conversation_id, key, _nothing, resume=False)
        self._turn = self._portal.start_task_soon(wait)

    def interrupt(self) -> None:
        """Return when nothing runs any more."""
        self._portal.call(self._agents.stop, self._conversation_id)

    def end(self) -> str:
        """How the last turn ended, once it has; empty before the first and while it goes on."""
        if self._turn is None or not self._turn.done():
            return ""
        try:
            end = self._turn.result()
        except OpenSymphonyError as error:
            return str(error)
        return f"{end.status}: {end.failure.detail}" if end.failure else end.status


@contextmanager
def own_server(settings: Settings, policy: Policy, conversation_id: str) -> Generator[OwnServer]:
    """Ready when it is entered. Raises an `OpenSymphonyError`, with the last lines of the server's log when it fails."""
    store, root = Path(settings.store_dir), Path(policy.workspace.root)
    chosen = with_model(policy, settings)
    isolation = chosen_isolation(chosen, settings)
    if isolation.level == "none" and is_root():
        raise InstanceError(
            "isolation is none and this user is root: `opensymphony run` says what can be done about it"
        )
    with ExitStack() as stack:
        for directory, what in ((store, "the store"), (root, "the workspace root")):
            stack.enter_context(InstanceLock(directory / LOCK_FILE, f"{what} {directory}"))
        left = left_running(store)
        portal = stack.enter_context(start_blocking_portal())
        runtime = open_runtime(
            lambda: chosen,
            tool_dir=Path(settings.tool_dir),
            state_dir=store,
            conversations_dir=conversations_dir(settings, policy),
            environment=portal.call(model_environment, chosen, settings),
            clock=Clock(),
            read_session_key=session_key(settings, chosen),
            isolation=isolation,
            only=conversation_id,
        )
        life, _ = portal.start_task(runtime.server.run)
        server = OwnServer(portal, runtime, conversation_id)
        try:
            yield server
        finally:
            if runtime.server.state().pid in left or server.working:
                portal.call(runtime.server.detach)
            life.cancel()
            with suppress(BaseException):  # its cancellation is how it ends
                life.result()
            portal.call(runtime.agents.close)


async def _nothing(progress: TurnProgress) -> None:
    """The files of the conversation tell the person what happens."""
