"""Play a scheduler by hand: facts in, decisions and commands out, and every record folded a second time.

    book = Playbook(policy())
    book.ticket("A-1")
    book >> c.RereadTicket      # the command that must be pending now
    book.answer(c.RereadTicket)  # its ordinary outcome

After every event the journal so far is folded anew from its bytes: recovery must always equal the live state.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from opensymphony.model import (
    ClaimAnswer,
    Cleanup,
    Conversation,
    HookResult,
    Liveness,
    PullRequest,
    Ticket,
    TicketId,
    TransitionAnswer,
    TurnEnd,
    Usage,
    Verification,
    Work,
    Workspace,
)
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler import step
from opensymphony.scheduler.decisions import Decision
from opensymphony.scheduler.evolve import evolve
from opensymphony.scheduler.records import Record, decode_record, decode_state, encode_record, encode_state
from opensymphony.scheduler.state import Entry, State, next_due_ms
from opensymphony.workflow.policy import Policy, ReportingPolicy, RepositoryPolicy, TrackerPolicy, TransitionsPolicy

K = TypeVar("K", bound=c.Command)

GOOD_WORK = Work(commit="c" * 40, commits_ahead=1, files_changed=("a.py",), summary="Mend it")


def policy(**changes: Any) -> Policy:
    """A policy with a repository, a check and both transitions; `verify_command=None` leaves the check out."""
    verify = changes.pop("verify_command", "make test")
    base = Policy(
        tracker=TrackerPolicy(kind="files"),
        repository=RepositoryPolicy(url="/repository"),
        reporting=ReportingPolicy(transitions=TransitionsPolicy(started="In Progress", succeeded="In Review")),
        prompt="Do {{ issue.title }}.",
    )
    base = msgspec.structs.replace(base, verify=msgspec.structs.replace(base.verify, command=verify))
    return msgspec.structs.replace(base, **changes)


def ticket(name: str, state: str = "Todo", **fields: Any) -> Ticket:
    return Ticket(id=TicketId(name), identifier=name, title=f"Title of {name}", state=state, **fields)


class Playbook:
    """One scheduler under test."""

    def __init__(self, chosen: Policy | None = None) -> None:
        self.state = State()
        self.now_ms = 1_000_000
        self.records: list[bytes] = []
        self.tickets: dict[TicketId, Ticket] = {}
        self.fold_every = 1
        """After how many records the journal is folded anew and compared."""
        self.send(e.DaemonStarted(at_ms=self.now_ms, instance="one", version="test"))
        self.send(e.PolicyLoaded(at_ms=self.now_ms, policy=chosen or policy()))

    def send(self, event: e.Event) -> tuple[Decision, ...]:
        """Take an event; checks that the journal folds to the same state and that running it is consistent."""
        decisions = step(self.state, event)
        if decisions:
            record = Record(sequence=len(self.records) + 1, event=event, decisions=decisions)
            self.records.append(encode_record(record))
        if len(self.records) % self.fold_every == 0:
            assert encode_state(self.recovered()) == encode_state(self.state), "recovery differs from the live state"
        self.check()
        return decisions

    def recovered(self) -> State:
        state = State()
        for data in self.records:
            for decision in decode_record(data).decisions:
                evolve(state, decision)
        return decode_state(encode_state(state))

    def check(self) -> None:
        state = self.state
        assert set(state.running) == {key for key, entry in state.entries.items() if entry.run is not None}
        if state.policy is not None:
            assert len(state.running) <= state.policy.agent.max_concurrent_agents
        for entry in state.entries.values():
            if entry.run is not None and entry.run.key is not None:
                assert entry.run.key in state.pending, "a stage's command is pending"

    # facts -----------------------------------------------------------------------------------------------------

    def ticket(self, name: str, state: str = "Todo", **fields: Any) -> Entry:
        """The tracker shows this ticket."""
        shown = ticket(name, state, **fields)
        self.tickets[shown.id] = shown
        self.send(e.TicketChanged(at_ms=self.now_ms, ticket=shown))
        return self.state.entries[shown.id]

    def passes(self, elapsed_ms: int) -> tuple[Decision, ...]:
        """Let time pass, and everything that is due come, as the loop does."""
        self.now_ms += elapsed_ms
        decisions = self.send(e.TimePassed(at_ms=self.now_ms))
        while (due_ms := next_due_ms(self.state)) is not None and due_ms <= self.now_ms:
            decisions += self.send(e.TimePassed(at_ms=self.now_ms))
        return decisions

    def entry(self, name: str) -> Entry:
        return self.state.entries[TicketId(name)]

    # commands --------------------------------------------------------------------------------------------------

    def pending(self, kind: type[K], name: str | None = None) -> K:
        """The one pending command of this kind (of this ticket)."""
        found = [
            command
            for command in self.state.pending.values()
            if isinstance(command, kind) and (name is None or command.ticket_id == name)
        ]
        assert len(found) == 1, f"{kind.__name__}: {len(found)} pending, all: {self.kinds()}"
        return found[0]

    def kinds(self, name: str | None = None) -> list[str]:
        """Kinds of the pending commands, in order."""
        return [
            type(command).__name__
            for command in self.state.pending.values()
            if name is None or command.ticket_id == name
        ]

    def answer(self, kind: type[c.Command], name: str | None = None, **fields: Any) -> tuple[Decision, ...]:
        """Settle the pending command with its ordinary outcome, or with the fields given."""
        command = self.pending(kind, name)
        self.now_ms += 1
        return self.send(outcome(command, self.tickets.get(command.ticket_id), self.now_ms, **fields))

    def fail(self, kind: type[c.Command], error_class: str = "retry", name: str | None = None) -> tuple[Decision, ...]:
        command = self.pending(kind, name)
        self.now_ms += 1
        failed = e.CommandFailed(
            at_ms=self.now_ms, key=command.key, error="it broke", error_class=error_class, jitter=0.5
        )
        return self.send(failed)

    def until(self, kind: type[c.Command], name: str | None = None, limit: int = 50) -> c.Command:
        """Settle everything (of this ticket) in order until a command of this kind is pending."""
        for _ in range(limit):
            for command in self.state.pending.values():
                if isinstance(command, kind) and (name is None or command.ticket_id == name):
                    return command
            pending = self.state.pending.values()
            waiting = next((command for command in pending if name in (None, command.ticket_id)), None)
            if waiting is not None:
                self.answer_command(waiting)
            else:
                assert self.planned_passes(), f"no {kind.__name__} to come"
        raise AssertionError(f"no {kind.__name__} within {limit} outcomes")

    def planned_passes(self) -> bool:
        """Let the time pass until the next planned command of a run is due; False when there is none."""
        due = [entry.run.timers["stage_retry"] for entry in self.state.entries.values() if _is_planned(entry)]
        if due:
            self.passes(max(0, min(due) - self.now_ms))
        return bool(due)

    def answer_command(self, command: c.Command) -> None:
        self.now_ms += 1
        self.send(outcome(command, self.tickets.get(command.ticket_id), self.now_ms))

    def settle_all(self, limit: int = 200) -> None:
        """Settle everything in order until nothing is pending."""
        for _ in range(limit):
            waiting = next(iter(self.state.pending.values()), None)
            if waiting is not None:
                self.answer_command(waiting)
            elif not self.planned_passes():
                return
        raise AssertionError(f"still pending: {self.kinds()}")


def _is_planned(entry: Entry) -> bool:
    return entry.run is not None and entry.run.key is None and "stage_retry" in entry.run.timers


def outcome(command: c.Command, shown: Ticket | None, at_ms: int, **fields: Any) -> e.Event:
    """What ordinarily comes back from a command."""
    common: dict[str, Any] = {"at_ms": at_ms, "key": command.key, "jitter": 0.5}
    match command:
        case c.RereadTicket():
            return e.TicketReread(**common, ticket=fields.get("ticket", shown))
        case c.ClaimTicket():
            return e.ClaimSettled(**common, answer=fields.get("answer", ClaimAnswer(granted=True)))
        case c.TransitionTicket():
            answer = fields.get("answer", TransitionAnswer(moved=True, state=command.to_state))
            return e.TicketTransitioned(**common, answer=answer)
        case c.PrepareWorkspace():
            request = command.request
            made = Workspace(
                key=request.ticket.id, path=f"/ws/{request.ticket.id}", created=True, branch=request.branch
            )
            return e.WorkspacePrepared(**common, workspace=made)
        case c.RunHook():
            done = fields.get("result", HookResult(name=command.name, status="succeeded", exit_code=0))
            return e.HookRan(**common, result=done)
        case c.OpenConversation():
            created = fields.get("created", True)
            used = fields.get("usage", Usage())
            opened = Conversation(id=command.conversation_id, created=created, status="idle", usage=used)
            return e.ConversationOpened(**common, conversation=opened)
        case c.SendMessage():
            return e.MessageSent(**common)
        case c.AwaitTurn():
            used = Usage(prompt_tokens=100, completion_tokens=10, model_calls=3)
            return e.TurnEnded(
                **common, end=fields.get("end", TurnEnd(status="finished", final_text="Done.", usage=used))
            )
        case c.CollectWork():
            return e.WorkCollected(**common, work=fields.get("work", GOOD_WORK))
        case c.VerifyWork():
            passed = fields.get("passed", True)
            said = Verification(passed=passed, exit_code=0 if passed else 1, output_tail="output", duration_ms=5)
            return e.WorkVerified(**common, verification=said)
        case c.PushCommit():
            return e.CommitPushed(**common)
        case c.PublishPullRequest():
            made = PullRequest(
                id="7",
                url="https://host/7",
                title=command.text.title,
                state="open",
                branch=command.text.branch,
                base="main",
            )
            return e.PullRequestPublished(**common, pull_request=fields.get("pull_request", made))
        case c.LinkPullRequest():
            return e.PullRequestLinked(**common)
        case c.AnswerThread():
            return e.ThreadAnswered(**common)
        case c.MergePullRequest():
            return e.PullRequestMerged(**common, pull_request=fields["pull_request"])
        case c.WriteComment():
            return e.CommentWritten(**common)
        case c.ReleaseClaim():
            return e.ClaimReleased(**common)
        case c.StopRun():
            return e.RunStopped(**common, usage=fields.get("usage"))
        case c.CleanWorkspace():
            return e.WorkspaceCleaned(**common, cleanup=fields.get("cleanup", Cleanup(removed=True)))
        case c.ProbeAgent():
            return e.AgentProbed(
                **common, liveness=fields.get("liveness", Liveness(alive=True, detail="a build works"))
            )
        case c.FingerprintWorkspace():
            return e.WorkspaceFingerprinted(**common, fingerprint=fields.get("fingerprint", "as before"))
        case c.NotifyPerson():
            return e.PersonNotified(**common)
    raise AssertionError(f"no ordinary outcome for {type(command).__name__}")
