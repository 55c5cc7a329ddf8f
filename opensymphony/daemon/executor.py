"""Carries commands out, each exactly as decided, and hands their outcomes back as events.

The only place where decisions meet adapters. Every command is one task; a stop cancels the task of what it stops, waits for
its end, and only then interrupts the agent. Writes to one ticket keep their order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup
from msgspec import structs

from opensymphony.clock import Clock
from opensymphony.daemon.claims import Claims
from opensymphony.errors import OpenSymphonyError, Refused, ServiceError, Unreachable
from opensymphony.interfaces import AgentRuntime, CodeHost, ConversationRequest, Tracker, Workspaces
from opensymphony.logs import get_logger, redacted
from opensymphony.model import CommandKey, PullRequest, Ticket, TicketId, TurnProgress, encodable
from opensymphony.reporting import MARKER
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.merging import why_unmerged
from opensymphony.scheduler.reviews import has_instructions
from opensymphony.scheduler.state import State

log = get_logger(__name__)

_TRACKER_WRITES = (c.ClaimTicket, c.ReleaseClaim, c.TransitionTicket, c.WriteComment, c.LinkPullRequest)


class _Task:
    """A command in flight."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.ended = anyio.Event()


class Executor:
    """Starts commands in a task group that the daemon owns."""

    def __init__(
        self,
        tasks: TaskGroup,
        post: Callable[[e.Event], Any],
        state: State,
        clock: Clock,
        tracker: Tracker,
        workspaces: Workspaces,
        runtime: AgentRuntime,
        notify: Callable[[c.NotifyPerson], Awaitable[None]],
        code_host: CodeHost | None = None,
    ) -> None:
        self._tasks = tasks
        self._post = post
        self._state = state
        self._clock = clock
        self._tracker = tracker
        self._claims = Claims(tracker, clock)
        self._workspaces = workspaces
        self._runtime = runtime
        self._notify = notify
        self._code_host = code_host
        self.told_to_pause: Callable[[int], None] = lambda pause_ms: None
        """Told what a service asked for, in milliseconds: who else asks it should wait too."""
        self._in_flight: dict[CommandKey, _Task] = {}
        self._lanes: dict[TicketId, list[CommandKey]] = {}
        self._lane_moved = anyio.Event()

    def start(self, command: c.Command, *, recovered: bool = False) -> None:
        """Begin a command. `recovered`: it was wanted before we died and may have been done already."""
        self._in_flight[command.key] = _Task()
        if isinstance(command, _TRACKER_WRITES):
            self._lanes.setdefault(command.ticket_id, []).append(command.key)
        self._tasks.start_soon(self._run, command, recovered, name=command.key)

    async def _run(self, command: c.Command, recovered: bool) -> None:
        task = self._in_flight[command.key]
        event: e.Event | None = None
        try:
            with task.scope:
                if isinstance(command, _TRACKER_WRITES):
                    await self._wait_for_turn(command)
                event = await self._attempt(command, recovered)
        finally:
            del self._in_flight[command.key]
            self._leave_lane(command)
            task.ended.set()
        if event is not None:
            await self._post(event)

    async def _wait_for_turn(self, command: c.Command) -> None:
        while self._lanes[command.ticket_id][0] != command.key:
            await self._lane_moved.wait()

    def _leave_lane(self, command: c.Command) -> None:
        lane = self._lanes.get(command.ticket_id)
        if lane is None or command.key not in lane:
            return
        lane.remove(command.key)
        if not lane:
            del self._lanes[command.ticket_id]
        self._lane_moved.set()
        self._lane_moved = anyio.Event()

    async def _attempt(self, command: c.Command, recovered: bool) -> e.Event:
        try:
            return await self._execute(command, recovered)
        except OpenSymphonyError as error:
            log.warning("command failed", command=command.key, error=str(error))
            if isinstance(error, ServiceError) and error.retry_after_ms is not None:
                self.told_to_pause(error.retry_after_ms)
            return self._failed(command, error)
        except Exception as error:
            # A defect of ours: it must not take the other tickets down with it.
            log.exception("command failed unexpectedly", command=command.key)
            return self._failed(command, error)

    def _failed(self, command: c.Command, error: Exception) -> e.CommandFailed:
        known = isinstance(error, OpenSymphonyError)
        return e.CommandFailed(
            at_ms=self._clock.now_ms(),
            key=command.key,
            jitter=self._clock.jitter(),
            error=encodable(" ".join(str(error).split())) or type(error).__name__,
            error_class=error.error_class if known else "retry",
            retry_after_ms=error.retry_after_ms if isinstance(error, ServiceError) else None,
        )

    def _ticket(self, command: c.Command) -> Ticket:
        return self._state.entries[command.ticket_id].ticket

    def _settled(self, kind: Callable[..., e.Event], command: c.Command, **fields: object) -> e.Event:
        return kind(at_ms=self._clock.now_ms(), key=command.key, jitter=self._clock.jitter(), **fields)

    async def _execute(self, command: c.Command, recovered: bool) -> e.Event:
        match command:
            case c.RereadTicket():
                found = await self._tracker.fetch_tickets([command.ticket_id])
                return self._settled(e.TicketReread, command, ticket=found[0] if found else None)
            case c.ClaimTicket() | c.ReleaseClaim() | c.TransitionTicket() | c.WriteComment() | c.LinkPullRequest():
                return await self._write_to_ticket(command)
            case c.PrepareWorkspace() | c.RunHook() | c.CollectWork() | c.VerifyWork() | c.PushCommit():
                return await self._use_workspace(command)
            case c.CleanWorkspace():
                cleanup = await self._workspaces.clean(command.workspace, self._ticket(command))
                return self._settled(e.WorkspaceCleaned, command, cleanup=cleanup)
            case c.FingerprintWorkspace():
                looks = await self._workspaces.fingerprint(command.workspace)
                return self._settled(e.WorkspaceFingerprinted, command, fingerprint=looks)
            case c.ProbeAgent():
                liveness = await self._runtime.probe(command.conversation_id, command.working_dir)
                return self._settled(e.AgentProbed, command, liveness=liveness)
            case c.PublishPullRequest() | c.AnswerThread() | c.MergePullRequest():
                return await self._use_code_host(command)
            case c.NotifyPerson():
                await self._notify(command)
                return self._settled(e.PersonNotified, command)
            case c.OpenConversation() | c.SendMessage() | c.AwaitTurn():
                return await self._use_agent(command, recovered)
            case c.StopRun():
                return await self._stop(command)

    async def _write_to_ticket(
        self, command: c.ClaimTicket | c.ReleaseClaim | c.TransitionTicket | c.WriteComment | c.LinkPullRequest
    ) -> e.Event:
        tracker, ticket_id = self._tracker, command.ticket_id
        match command:
            case c.ClaimTicket():
                claimed = await self._claims.claim(ticket_id, command.claim, stale_after_ms=command.stale_after_ms)
                return self._settled(e.ClaimSettled, command, answer=claimed)
            case c.ReleaseClaim():
                await self._claims.release(ticket_id, command.claim)
                return self._settled(e.ClaimReleased, command)
            case c.TransitionTicket():
                moved = await tracker.transition(ticket_id, from_states=command.from_states, to_state=command.to_state)
                return self._settled(e.TicketTransitioned, command, answer=moved)
            case c.WriteComment():
                await tracker.upsert_comment(ticket_id, MARKER, redacted(command.body))
                return self._settled(e.CommentWritten, command)
            case c.LinkPullRequest():
                await tracker.link(ticket_id, command.pull_request)
                return self._settled(e.PullRequestLinked, command)

    async def _use_code_host(self, command: c.PublishPullRequest | c.AnswerThread | c.MergePullRequest) -> e.Event:
        host = self._code_host
        if host is None:
            raise Refused("code host", "WORKFLOW.md names none any more: name it again under code_host")
        match command:
            case c.PublishPullRequest():
                published = await host.publish(structs.replace(command.text, body=redacted(command.text.body)))
                return self._settled(e.PullRequestPublished, command, pull_request=published)
            case c.AnswerThread():
                thread = command.thread_id
                body = redacted(command.body)
                await host.comment(command.pull_request_id, command.marker, body, thread_id=thread)
                if command.resolve:
                    await host.resolve(command.pull_request_id, thread)
                return self._settled(e.ThreadAnswered, command)
            case c.MergePullRequest():
                return self._settled(e.PullRequestMerged, command, pull_request=await self._merge(host, command))

    async def _merge(self, host: CodeHost, command: c.MergePullRequest) -> PullRequest:
        """If it still may be: a crash, or a full disk, may lie between the decision and now."""
        reading = await host.read(command.pull_request_id)
        entry, policy = self._state.entries[command.ticket_id], self._state.policy
        if reading.pull_request.state == "merged":
            return reading.pull_request
        against = "there is no policy" if policy is None else why_unmerged(self._state, entry, policy, reading)
        if not against and policy is not None and entry.pull is not None:
            news = has_instructions(entry.pull, reading, policy.review)
            against = "something was said about it that is not heard yet" if news else ""
        if against:
            raise Unreachable("code host", f"it is not merged after all: {against}")
        return await host.merge(command.pull_request_id, command.head, command.method)

    async def _use_workspace(
        self, command: c.PrepareWorkspace | c.RunHook | c.CollectWork | c.VerifyWork | c.PushCommit
    ) -> e.Event:
        workspaces = self._workspaces
        match command:
            case c.PrepareWorkspace():
                made = await workspaces.prepare(command.request)
                return self._settled(e.WorkspacePrepared, command, workspace=made)
            case c.RunHook():
                ran = await workspaces.run_hook(command.workspace, command.name, self._ticket(command))
                return self._settled(e.HookRan, command, result=ran)
            case c.CollectWork():
                work = await workspaces.collect(command.workspace)
                return self._settled(e.WorkCollected, command, work=work)
            case c.VerifyWork():
                said = await workspaces.verify(
                    command.workspace, command.command, command.timeout_ms, self._ticket(command)
                )
                return self._settled(e.WorkVerified, command, verification=said)
            case c.PushCommit():
                await workspaces.push(command.workspace, command.commit)
                return self._settled(e.CommitPushed, command)

    async def _use_agent(self, command: c.OpenConversation | c.SendMessage | c.AwaitTurn, recovered: bool) -> e.Event:
        runtime = self._runtime
        match command:
            case c.OpenConversation():
                request = ConversationRequest(
                    conversation_id=command.conversation_id,
                    working_dir=command.working_dir,
                    title=command.title,
                    predecessor=command.predecessor,
                )
                opened = await runtime.open(request)
                return self._settled(e.ConversationOpened, command, conversation=opened)
            case c.SendMessage():
                await runtime.send(command.conversation_id, command.key, command.text)
                return self._settled(e.MessageSent, command)
            case c.AwaitTurn():

                async def report(progress: TurnProgress) -> None:
                    await self._post(
                        e.TurnProgressed(
                            at_ms=self._clock.now_ms(),
                            ticket_id=command.ticket_id,
                            generation=command.generation,
                            progress=progress,
                        )
                    )

                ended = await runtime.await_turn(
                    command.conversation_id,
                    command.message_key,
                    report,
                    resume=recovered,
                    granted=command.granted,
                    after=command.after,
                )
                return self._settled(e.TurnEnded, command, end=ended)

    async def _stop(self, command: c.StopRun) -> e.Event:
        target = self._in_flight.get(command.target_key) if command.target_key is not None else None
        if target is not None:
            target.scope.cancel()
            await target.ended.wait()
        usage = None
        if command.conversation_id is not None:
            usage = await self._runtime.stop(command.conversation_id)
        return self._settled(e.RunStopped, command, usage=usage)
