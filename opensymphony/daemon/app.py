"""Builds the daemon, owns its tasks, and takes it down again in reverse.

Start: locks, journal, recovery, orphans of the last boot, agent-server (in the background), loop, executor, poller, listener.
Stop: no new work, agents interrupted and confirmed, agent-server ended, every child of this boot ended, journal closed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup, TaskStatus
from msgspec import Struct

from opensymphony import __version__
from opensymphony.agents import Runtime, open_runtime
from opensymphony.api.access import write_token
from opensymphony.api.client import ADDRESS_FILE, Address
from opensymphony.api.events import Feed
from opensymphony.api.routes import build_app
from opensymphony.api.server import serve_app
from opensymphony.clock import Clock, new_id, new_secret
from opensymphony.daemon.archiving import archive, archives_dir, conversations_dir
from opensymphony.daemon.calendar import Calendar
from opensymphony.daemon.checks import require_git
from opensymphony.daemon.compaction import keep_small
from opensymphony.daemon.control import DaemonControl
from opensymphony.daemon.executor import Executor
from opensymphony.daemon.ingress import Reviewed, Tracked, open_ingress
from opensymphony.daemon.loop import Loop
from opensymphony.daemon.manifests import Manifests
from opensymphony.daemon.model_access import host_secrets, session_key
from opensymphony.daemon.narration import Narration
from opensymphony.daemon.notification import Notifier
from opensymphony.daemon.past import PastReadings
from opensymphony.daemon.poller import Poller
from opensymphony.daemon.recovery import recover, unfinished
from opensymphony.daemon.reload import ReadPolicy, Reload
from opensymphony.daemon.rest import wait_for_rest
from opensymphony.daemon.retention import Retention
from opensymphony.daemon.reviews import ReviewPoller
from opensymphony.daemon.shutdown import drain, end_children, end_last_boot, leave
from opensymphony.daemon.storage import StorageWatch
from opensymphony.errors import ConfigurationError, InstanceError, Problem
from opensymphony.interfaces import CodeHost, Tracker
from opensymphony.isolation import NOT_ISOLATED, Isolation
from opensymphony.logs import get_logger
from opensymphony.private_files import write_private
from opensymphony.scheduler import events as e
from opensymphony.scheduler.records import FORMAT
from opensymphony.scheduler.state import State
from opensymphony.services import Secrets, open_code_host, open_code_host_webhook, open_tracker
from opensymphony.settings import Settings, is_loopback
from opensymphony.store.lock import LOCK_FILE, InstanceLock, refuse_nested
from opensymphony.store.sqlite import Journal
from opensymphony.workflow.policy import CodeHostPolicy, Policy
from opensymphony.workspace.manager import WorkspaceManager

Price = Callable[[Policy], Policy]
"""The policy with its model's prices; raises `ConfigurationError` when a budget cannot be counted. Blocking."""

ReadEnvironment = Callable[[Policy], Awaitable[Mapping[str, str]]]
"""The model's key and address under the names that the policy gives them, read anew."""

OpenRuntime = Callable[..., Runtime]
"""Opens where agents run; takes what `agents.open_runtime` takes."""

OpenCodeHost = Callable[[CodeHostPolicy, Clock, Secrets], CodeHost]
"""Opens where pull requests are."""

log = get_logger(__name__)


class _Parts(Struct, frozen=True, kw_only=True):
    """What a boot has opened."""

    instance: str
    journal: Journal
    loop: Loop
    tracker: Tracker
    workspaces: WorkspaceManager
    runtime: Runtime
    notifier: Notifier
    poller: Poller
    code_host: CodeHost | None


class Daemon:
    """One boot of the daemon. `run` is its whole life."""

    def __init__(
        self,
        settings: Settings,
        policy: Policy,
        *,
        environment: Mapping[str, str],
        once: bool = False,
        announce: Callable[[str], None] | None = None,
        read_policy: ReadPolicy | None = None,
        fresh_server: bool = False,
        isolation: Isolation = NOT_ISOLATED,
        price: Price = lambda policy: policy,
        read_environment: ReadEnvironment | None = None,
        open_runtime: OpenRuntime = open_runtime,
        open_code_host: OpenCodeHost = open_code_host,
    ) -> None:
        """`environment` holds the model's key and address under the names that the policy gives them.

        `announce` is told the listener's address as soon as it is bound; `read_policy` reads WORKFLOW.md again
        when it has changed (None: it is not followed); `price` fills in what the model costs, which is for decisions and not
        for the agent-server; `read_environment` reads `environment` again; `open_runtime` says where agents run.
        `fresh_server`: an agent-server that an earlier start left is ended, not gone on with.
        `isolation` is what agents, hooks and checks run in.
        """
        self.settings = settings
        self.policy = policy
        self.priced = policy
        """The same with the model's prices: what is decided by."""
        self.once = once
        self.control: DaemonControl | None = None
        self.address: Address | None = None
        self._written = policy
        """As last read, in force or not yet."""
        self._environment = environment
        self._announce = announce
        self._read_policy = read_policy
        self._price = price
        self._read_environment = read_environment
        self._runtime_opener = open_runtime
        self._code_host_opener = open_code_host
        self._stop = anyio.Event()
        self._detaching = False
        self._fresh_server = fresh_server
        self.isolation = isolation
        self._store = Path(settings.store_dir)

    def stop(self) -> None:
        """Drain and end; returns at once. Called twice it does nothing more."""
        self._stop.set()

    def detach(self) -> None:
        """End and leave the agents at work: the next start goes on with them. Returns at once."""
        self._detaching = self._detaching or not self._stop.is_set()
        self._stop.set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    async def run(self, *, task_status: TaskStatus[DaemonControl] = anyio.TASK_STATUS_IGNORED) -> None:
        """Live until `stop`, or with `once` until nothing is left to do.

        Raises `ConfigurationError`, `InstanceError`, `StoreError`, `InstallationError`, `WorkspaceError` or `AgentServerError`,
        perhaps in a group, when it cannot start or go on, and with `once` a `ServiceError` when the tracker cannot be
        read; whatever was started is ended again before anything is raised.
        """
        if self.policy.repository is not None:
            await require_git()
        self.priced = await anyio.to_thread.run_sync(self._price, self.policy)
        async with AsyncExitStack() as stack:
            parts = await self._open(stack)
            async with anyio.create_task_group() as tasks:
                task_status.started(await self._start(parts, stack, tasks))
                await self._live(parts)
                if self._detaching:
                    await leave(parts.loop, parts.runtime.server.detach)
                else:
                    await drain(parts.loop)
                tasks.cancel_scope.cancel()
            await parts.loop.write_checkpoint()
            if self.control is not None:
                self.control.status = "stopped"
            log.info("stopped", records=parts.loop.sequence)

    async def _open(self, stack: AsyncExitStack) -> _Parts:
        """Take the locks, recover the state, end what the last boot left, and open every adapter."""
        root = Path(self.policy.workspace.root)
        refuse_nested(root)
        for directory, what in ((self._store, "the store"), (root, "the workspace root")):
            stack.enter_context(InstanceLock(directory / LOCK_FILE, f"{what} {directory}"))
        journal = await Journal.open(self._store / "journal.db", format_number=FORMAT)
        stack.push_async_callback(journal.close)
        instance = await journal.fact("instance", f"{socket.gethostname()}-{new_id()[:8]}")
        state, sequence = await recover(journal)
        clock = Clock(not_before_ms=state.now_ms)
        loop = Loop(state, sequence, journal, clock)
        stack.callback(loop.close)
        nonce = new_id()
        await end_last_boot(self._store, nonce)
        stack.push_async_callback(end_children, nonce)
        tracker = open_tracker(self.policy.tracker, clock, host_secrets(self.settings))
        stack.push_async_callback(tracker.close)
        code_host = None
        if self.policy.code_host is not None:
            code_host = self._code_host_opener(self.policy.code_host, clock, host_secrets(self.settings))
            stack.push_async_callback(code_host.close)
        workspaces = WorkspaceManager(
            str(root),
            str(self._store / "mirrors"),
            self.policy,
            nonce,
            isolation=self.isolation,
            scripts_home=str(self._store / "scripts-home"),
            read_login=code_host.git_login if code_host is not None else None,
        )
        runtime = self._open_runtime(state, clock)
        stack.push_async_callback(runtime.agents.close)
        return _Parts(
            instance=instance,
            journal=journal,
            loop=loop,
            tracker=tracker,
            workspaces=workspaces,
            runtime=runtime,
            notifier=Notifier(os.path.dirname(self.settings.workflow_path), nonce),
            poller=Poller(tracker, state, clock, loop.post),
            code_host=code_host,
        )

    async def _start(self, parts: _Parts, stack: AsyncExitStack, tasks: TaskGroup) -> DaemonControl:
        """Start every task; what the last boot had wanted is taken up again before anything new is looked for."""
        loop, clock, state = parts.loop, parts.loop.clock, parts.loop.state
        reload = self._follow(parts)
        control = self.control = DaemonControl(
            loop,
            parts.runtime.server.state,
            parts.poller.refresh,
            self.stop,
            detach=self.detach,
            next_poll_ms=lambda: parts.poller.next_ms,
            tracker=parts.tracker.state,
            policy_error_since_ms=lambda: reload.error_since_ms if reload is not None else None,
        )
        control.past = PastReadings(state, parts.journal.path, self.settings, lambda: self.policy, clock)
        manifests = Manifests(state, parts.workspaces)
        stack.callback(manifests.close)
        loop.watch(manifests)
        loop.watch(Narration(state))
        loop.watch(parts.poller.watch)
        adapters = parts.tracker, parts.workspaces, parts.runtime.agents, parts.notifier, parts.code_host
        executor = Executor(tasks, loop.post, state, clock, *adapters)
        calendar = Calendar(lambda: self.policy.budget.timezone, loop.post, clock, day=state.day)
        executor.told_to_pause = parts.poller.hold
        stack.callback(self._withdraw_address)
        self.address = await self._listen(tasks, control)
        if self._announce is not None:
            self._announce(self.address.url)
        tasks.start_soon(parts.runtime.server.run, name="agent-server")
        tasks.start_soon(manifests.run, name="manifests")
        await loop.post(e.DaemonStarted(at_ms=clock.now_ms(), instance=parts.instance, version=__version__))
        await loop.post(e.PolicyLoaded(at_ms=clock.now_ms(), policy=self.priced))
        await calendar.look()  # whose day it is, is known before anything can start
        wanted_before = frozenset(state.pending)
        tasks.start_soon(loop.run, executor.start, name="loop")
        self._watch_storage(parts, tasks)
        await loop.settled()  # what may not go on under the policy and its budgets is being stopped
        for command in unfinished(state, wanted_before):
            executor.start(command, recovered=True)
        tasks.start_soon(parts.poller.run, name="poller")
        reviewed = self._review(parts, tasks)
        tasks.start_soon(calendar.run, name="calendar")
        if reload is not None:
            tasks.start_soon(reload.run, name="reload")
        tracked = Tracked(
            policy=self.policy.tracker,
            tracker=parts.tracker,
            look_at=parts.poller.look_at,
            clock=clock,
            reviewed=reviewed,
        )
        control.ingress = await open_ingress(self.settings, tracked, stack, tasks)
        control.status = "running"
        log.info("started", instance=parts.instance, url=self.address.url, records=loop.sequence)
        return control

    def _review(self, parts: _Parts, tasks: TaskGroup) -> Reviewed | None:
        """Follow the reviews of pull requests, where there is a code host."""
        if parts.code_host is None or self.policy.code_host is None:
            return None
        reviews = ReviewPoller(parts.code_host, parts.workspaces, parts.loop.state, parts.loop.clock, parts.loop.post)
        parts.loop.watch(reviews.watch)
        tasks.start_soon(reviews.run, name="reviews")
        host = parts.code_host
        if self.control is not None:
            self.control.code_host = lambda: (host.state(), reviews.error)
        webhook = open_code_host_webhook(self.policy.code_host)
        if webhook is None:
            return None
        return Reviewed(service=self.policy.code_host.kind, webhooks=(webhook,), look_at=reviews.look_at)

    def _follow(self, parts: _Parts) -> Reload | None:
        if self._read_policy is None:
            return None

        def adopt(policy: Policy) -> None:
            self.policy, self.priced = self._written, policy
            parts.workspaces.use(policy)

        path = Path(self.settings.workflow_path)
        return Reload(path, self._read_again, self.priced, adopt, parts.loop.post, parts.loop.clock)

    def _read_again(self) -> tuple[Policy | None, Sequence[Problem]]:
        """WORKFLOW.md with prices; a budget that cannot be counted is a bad edit."""
        assert self._read_policy is not None
        policy, problems = self._read_policy()
        if policy is None:
            return None, problems
        self._written = policy
        try:
            return self._price(policy), problems
        except ConfigurationError as error:
            return None, (*problems, *error.problems)

    def _watch_storage(self, parts: _Parts, tasks: TaskGroup) -> None:
        """Look after the journal's size, the space on the disks, and what has been kept long enough."""
        loop = parts.loop
        places = {"the store": self._store, "the workspaces": Path(self.policy.workspace.root)}
        tasks.start_soon(StorageWatch(places, loop.post, loop.clock).run, name="storage")
        tasks.start_soon(keep_small, parts.journal, lambda: self.policy.retention, loop.clock, name="compaction")
        tasks.start_soon(self._retention(loop).run, name="retention")

    def _retention(self, loop: Loop) -> Retention:
        return Retention(
            logs_dir=Path(self.settings.logs_dir),
            archives_dir=archives_dir(self.settings, self.policy),
            state=loop.state,
            policy=lambda: self.policy,
            post=loop.post,
            clock=loop.clock,
        )

    def _open_runtime(self, state: State, clock: Clock) -> Runtime:
        return self._runtime_opener(
            lambda: self.policy,
            tool_dir=Path(self.settings.tool_dir),
            state_dir=self._store,
            conversations_dir=conversations_dir(self.settings, self.policy),
            environment=self._environment,
            read_environment=self._environment_again if self._read_environment is not None else None,
            clock=clock,
            prices=lambda: self.priced.openhands.conversation.agent.llm,
            fresh=self._fresh_server,
            isolation=self.isolation,
            read_session_key=session_key(self.settings, self.policy),
            before_start=partial(archive, state, self.settings, self.policy, clock),
        )

    async def _environment_again(self) -> Mapping[str, str]:
        assert self._read_environment is not None
        return await self._read_environment(self.policy)

    async def _live(self, parts: _Parts) -> None:
        async with anyio.create_task_group() as tasks:

            async def until_rest() -> None:
                await wait_for_rest(parts.loop, parts.poller)
                tasks.cancel_scope.cancel()

            if self.once:
                tasks.start_soon(until_rest)
            await self._stop.wait()
            tasks.cancel_scope.cancel()

    async def _listen(self, tasks: TaskGroup, control: DaemonControl) -> Address:
        token, token_file = new_secret(), self._store / "token"
        host, wanted = self.settings.host, self.settings.port
        if not is_loopback(host):  # settings and policy say so with their places; nothing else may open this either
            raise InstanceError(f"cannot listen on {host}: it is not a loopback address; use 127.0.0.1, and a tunnel")
        feed = Feed(control)
        serve = partial(serve_app, closing=feed.close)
        try:
            port: int = await tasks.start(serve, build_app(control, token, feed), host, wanted, name="listener")
        except OSError as error:
            raise InstanceError(
                f"cannot listen on {host}:{wanted} ({error.strerror or error}): "
                "stop what uses the port, or choose another with --port or server.port"
            ) from error
        write_token(token_file, token)
        address = Address(pid=os.getpid(), host=host, port=port, token_file=str(token_file))
        write_private(self._store / ADDRESS_FILE, msgspec.json.encode(address))
        return address

    def _withdraw_address(self) -> None:
        for name in (ADDRESS_FILE, "token"):
            (self._store / name).unlink(missing_ok=True)
