"""What each command does to the world, and the event that comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from opensymphony.errors import ErrorClass
from opensymphony.model import (
    Cleanup,
    Conversation,
    HookResult,
    Liveness,
    TurnEnd,
    Verification,
    Work,
    Workspace,
)
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.merging import why_unmerged

if TYPE_CHECKING:
    from tests.simulation.daemon import Daemon, Flight

_OF_TRACKER = (c.RereadTicket, c.ClaimTicket, c.ReleaseClaim, c.TransitionTicket, c.WriteComment)
_OF_SERVER = (c.OpenConversation, c.SendMessage)
_USUAL_MS: dict[type, tuple[int, int]] = {
    c.PrepareWorkspace: (300, 20_000),
    c.RunHook: (50, 30_000),
    c.VerifyWork: (1_000, 300_000),
    c.OpenConversation: (200, 5_000),
    c.StopRun: (20, 2_000),
    c.NotifyPerson: (20, 5_000),
}


def duration_ms(daemon: Daemon, command: c.Command) -> int:
    random = daemon.world.random
    if daemon.world.scenario.has("late") and random.random() < 0.01 and not isinstance(command, c.StopRun):
        return random.randint(30_000, 900_000)
    return random.randint(*_USUAL_MS.get(type(command), (20, 1_500)))


def failed(daemon: Daemon, command: c.Command, error: str, error_class: ErrorClass, **more: Any) -> e.CommandFailed:
    jitter = daemon.world.random.random()
    return e.CommandFailed(
        at_ms=daemon.now_ms, key=command.key, jitter=jitter, error=error, error_class=error_class, **more
    )


def perform(daemon: Daemon, command: c.Command) -> e.Event:
    """Have the effect, or some trouble instead, or both."""
    world, random = daemon.world, daemon.world.random
    if isinstance(command, _OF_TRACKER):
        if daemon.now_ms < daemon.tracker_down_ms:
            retry_after_ms = random.choice([None, None, 60_000])
            return failed(daemon, command, "the tracker cannot be reached", "retry", retry_after_ms=retry_after_ms)
        card = world.board.cards[command.ticket_id]
        if card.deleted and not isinstance(command, c.RereadTicket | c.ReleaseClaim):
            return failed(daemon, command, "there is no such ticket", "final")
    if world.scenario.has("failures") and not isinstance(command, c.StopRun) and random.random() < 0.02:
        kinds: list[ErrorClass] = ["retry", "retry", "retry", "person", "final"]
        return failed(daemon, command, "it broke", random.choice(kinds))
    if isinstance(command, _OF_SERVER) and world.scenario.has("failures") and random.random() < 0.001:
        daemon.later(1, daemon.server_lost)
        return failed(daemon, command, "the agent-server was given up", "server")
    outcome = _PERFORM[type(command)](daemon, command)
    world.watch.effect(daemon, command)
    lost = world.scenario.has("lost_answers") and not isinstance(command, c.StopRun) and random.random() < 0.01
    return failed(daemon, command, "the answer was lost", "retry") if lost else outcome


def _settled(kind: Any, daemon: Daemon, command: c.Command, **fields: Any) -> e.Event:
    return kind(at_ms=daemon.now_ms, key=command.key, jitter=daemon.world.random.random(), **fields)


def _reread(daemon: Daemon, command: c.RereadTicket) -> e.Event:
    return _settled(e.TicketReread, daemon, command, ticket=daemon.world.board.ticket(command.ticket_id))


def _claim(daemon: Daemon, command: c.ClaimTicket) -> e.Event:
    answer = daemon.world.board.claim(command.ticket_id, command.claim, command.stale_after_ms)
    return _settled(e.ClaimSettled, daemon, command, answer=answer)


def _release(daemon: Daemon, command: c.ReleaseClaim) -> e.Event:
    daemon.world.board.release(command.ticket_id, command.claim)
    return _settled(e.ClaimReleased, daemon, command)


def _transition(daemon: Daemon, command: c.TransitionTicket) -> e.Event:
    answer = daemon.world.board.transition(command.ticket_id, command.from_states, command.to_state)
    return _settled(e.TicketTransitioned, daemon, command, answer=answer)


def _comment(daemon: Daemon, command: c.WriteComment) -> e.Event:
    daemon.world.board.comment(command.ticket_id, daemon.name, command.generation, command.key)
    return _settled(e.CommentWritten, daemon, command)


def _prepare(daemon: Daemon, command: c.PrepareWorkspace) -> e.Event:
    request = command.request
    made = Workspace(key=request.ticket.id, path=f"/w/{request.ticket.id}", created=True, branch=request.branch)
    return _settled(e.WorkspacePrepared, daemon, command, workspace=made)


def _hook(daemon: Daemon, command: c.RunHook) -> e.Event:
    broken = daemon.world.scenario.has("failures") and daemon.world.random.random() < 0.03
    status = daemon.world.random.choice(["failed", "timed_out"]) if broken else "succeeded"
    result = HookResult(name=command.name, status=status, exit_code=1 if status == "failed" else 0)
    return _settled(e.HookRan, daemon, command, result=result)


def _open(daemon: Daemon, command: c.OpenConversation) -> e.Event:
    before = daemon.server.talks.get(command.predecessor) if command.predecessor is not None else None
    if before is not None:
        daemon.server.interrupt(before)
    talk, created = daemon.server.open(command.conversation_id, command.ticket_id)
    odd = not created and daemon.world.scenario.has("agents") and daemon.world.random.random() < 0.03
    opened = Conversation(
        id=talk.id,
        created=created,
        status="running" if talk.running else "idle",
        usage=talk.usage,
        unfit="its tools are others" if odd else "",
        predecessor_usage=before.usage if before is not None else None,
    )
    return _settled(e.ConversationOpened, daemon, command, conversation=opened)


def _send(daemon: Daemon, command: c.SendMessage) -> e.Event:
    daemon.server.send(daemon.server.talks[command.conversation_id], command.key)
    return _settled(e.MessageSent, daemon, command)


def await_turn(daemon: Daemon, flight: Flight) -> None:
    """Follow a turn to its end; after a crash of ours a paused agent is told to go on."""
    command = flight.command
    assert isinstance(command, c.AwaitTurn)
    talk = daemon.server.talks[command.conversation_id]
    daemon.follow(talk, flight)
    if flight.recovered:
        daemon.server.resume(talk)
    end = talk.ended.get(command.message_key)
    if end is None and not talk.running:
        end = TurnEnd(status="paused", usage=talk.usage)
    if end is not None:
        daemon.later(50, daemon.finish, flight, turn_ended(daemon, command, end))
    elif daemon.world.scenario.has("failures") and daemon.world.random.random() < 0.02:
        daemon.later(daemon.world.random.randint(1_000, 60_000), _lose, daemon, flight)


def _lose(daemon: Daemon, flight: Flight) -> None:
    """The daemon loses sight of the conversation, which goes on."""
    if not flight.cancelled and not flight.posted:
        daemon.finish(flight, failed(daemon, flight.command, "the agent-server does not answer", "retry"))


def turn_ended(daemon: Daemon, command: c.Command, end: TurnEnd) -> e.Event:
    entry = daemon.state.entries.get(command.ticket_id)
    if entry is not None and entry.pull is not None and end.status == "finished" and not end.asked:
        verdicts = [daemon.world.random.choice(["done", "not done", ""]) for _ in entry.pull.owed]
        said = [f"Thread {thread}: {word}: so" for thread, word in zip(entry.pull.owed, verdicts, strict=True) if word]
        end = replace(end, final_text="\n".join(said))
    return _settled(e.TurnEnded, daemon, command, end=end)


def _collect(daemon: Daemon, command: c.CollectWork) -> e.Event:
    draw = daemon.world.random.random()
    commit = f"{daemon.world.random.getrandbits(64):040x}"
    work = Work(commit=commit, commits_ahead=1, files_changed=("a.py",), summary="Mend it")
    entry = daemon.state.entries.get(command.ticket_id)
    if entry is not None and entry.commit is not None and draw > 0.7:
        work = replace(work, commit=entry.commit)
    elif draw < 0.08:
        work = Work(commit=None, commits_ahead=0)
    elif draw < 0.2:
        work = Work(commit=commit, commits_ahead=1, uncommitted=("b.py",))
    return _settled(e.WorkCollected, daemon, command, work=work)


def _verify(daemon: Daemon, command: c.VerifyWork) -> e.Event:
    passed = daemon.world.random.random() < 0.7
    said = Verification(passed=passed, exit_code=0 if passed else 1, output_tail="output", duration_ms=5)
    return _settled(e.WorkVerified, daemon, command, verification=said)


def _push(daemon: Daemon, command: c.PushCommit) -> e.Event:
    daemon.world.board.cards[command.ticket_id].head = command.commit
    return _settled(e.CommitPushed, daemon, command)


def _publish(daemon: Daemon, command: c.PublishPullRequest) -> e.Event:
    made = daemon.world.board.publish(command.ticket_id, command.text)
    return _settled(e.PullRequestPublished, daemon, command, pull_request=made)


def _link(daemon: Daemon, command: c.LinkPullRequest) -> e.Event:
    return _settled(e.PullRequestLinked, daemon, command)


def _answer(daemon: Daemon, command: c.AnswerThread) -> e.Event:
    card = daemon.world.board.cards[command.ticket_id]
    card.answers.add((f"{daemon.name} {command.pull_request_id} {command.thread_id}", command.marker))
    return _settled(e.ThreadAnswered, daemon, command)


def _merge(daemon: Daemon, command: c.MergePullRequest) -> e.Event:
    card = daemon.world.board.cards[command.ticket_id]
    pull = card.pull
    if pull is not None and pull.id == command.pull_request_id and pull.state == "open":
        entry, policy = daemon.state.entries[command.ticket_id], daemon.state.policy
        reading = daemon.world.board.reading(command.ticket_id)
        assert policy is not None and reading is not None
        against = why_unmerged(daemon.state, entry, policy, reading)
        if against:
            return failed(daemon, command, against, "retry")
        if card.head != command.head:
            return failed(daemon, command, "the branch is elsewhere by now", "person")
        draw = daemon.world.reviewers.random()
        if draw < 0.2:
            return failed(daemon, command, "no", "retry" if draw < 0.1 else "person")
    elif pull is None or pull.id != command.pull_request_id or pull.state != "merged":
        return failed(daemon, command, "it was declined", "person")
    return _settled(e.PullRequestMerged, daemon, command, pull_request=daemon.world.board.merge(command.ticket_id))


def _stop(daemon: Daemon, command: c.StopRun) -> e.Event:
    random, usage = daemon.world.random, None
    trouble = daemon.world.scenario.has("stops")
    if trouble and random.random() < 0.06:
        daemon.unobserved.add(command.ticket_id)
        return failed(daemon, command, "the agent-server does not answer", random.choice(["retry", "person", "final"]))
    talk = daemon.server.talks.get(command.conversation_id) if command.conversation_id is not None else None
    if talk is not None:
        daemon.server.interrupt(talk)
        seen = command.ticket_id not in daemon.unobserved | daemon.unheard
        usage = None if trouble and seen and random.random() < 0.05 else talk.usage
        daemon.unobserved.discard(command.ticket_id)
    return _settled(e.RunStopped, daemon, command, usage=usage)


def _clean(daemon: Daemon, command: c.CleanWorkspace) -> e.Event:
    kept = daemon.world.random.random() < 0.1
    cleanup = Cleanup(removed=not kept, reason="it holds work that was never pushed" if kept else "")
    return _settled(e.WorkspaceCleaned, daemon, command, cleanup=cleanup)


def _probe(daemon: Daemon, command: c.ProbeAgent) -> e.Event:
    talk = daemon.server.talks[command.conversation_id]
    return _settled(e.AgentProbed, daemon, command, liveness=Liveness(alive=talk.running and not talk.dead))


def _fingerprint(daemon: Daemon, command: c.FingerprintWorkspace) -> e.Event:
    random = daemon.world.random
    found = "" if random.random() < 0.1 else random.choice(["same", "same", f"{random.random()}"])
    return _settled(e.WorkspaceFingerprinted, daemon, command, fingerprint=found)


def _notify(daemon: Daemon, command: c.NotifyPerson) -> e.Event:
    return _settled(e.PersonNotified, daemon, command)


_PERFORM: dict[type, Any] = {
    c.RereadTicket: _reread,
    c.ClaimTicket: _claim,
    c.ReleaseClaim: _release,
    c.TransitionTicket: _transition,
    c.WriteComment: _comment,
    c.PrepareWorkspace: _prepare,
    c.RunHook: _hook,
    c.OpenConversation: _open,
    c.SendMessage: _send,
    c.CollectWork: _collect,
    c.VerifyWork: _verify,
    c.PushCommit: _push,
    c.PublishPullRequest: _publish,
    c.LinkPullRequest: _link,
    c.AnswerThread: _answer,
    c.MergePullRequest: _merge,
    c.StopRun: _stop,
    c.CleanWorkspace: _clean,
    c.ProbeAgent: _probe,
    c.FingerprintWorkspace: _fingerprint,
    c.NotifyPerson: _notify,
}
