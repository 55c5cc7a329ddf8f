"""Collects what is decided for one ticket because of one event, and hands out its command keys in order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TypeVar

from opensymphony.model import CommandKey, ConversationId, Ticket, Usage
from opensymphony.scheduler.commands import Command
from opensymphony.scheduler.decisions import (
    CommandIssued,
    Decision,
    StageEntered,
    StagePlanned,
    TimerSet,
)
from opensymphony.scheduler.decisions.roots import TimerKind
from opensymphony.scheduler.machine import IllegalEvent, Stage, may_follow
from opensymphony.scheduler.state import Entry, Run, State
from opensymphony.workflow.policy import Policy

C = TypeVar("C", bound=Command)


class Plan:
    """Decisions for one ticket, in order. Reads the state, never changes it."""

    def __init__(self, state: State, entry: Entry, at_ms: int, *, new_run: bool = False, jitter: float = 0.0) -> None:
        assert state.policy is not None, "nothing is planned before a policy is in force"
        self.state = state
        self.policy: Policy = state.policy
        self.entry = entry
        self.at_ms = at_ms
        self.jitter = jitter
        self.decisions: list[Decision] = []
        self.used: Usage | None = None
        """What the event says was used and the state does not know yet."""
        self.generation = entry.generation + 1 if new_run else entry.generation
        self._step = 0 if new_run else entry.step

    @property
    def run(self) -> Run:
        assert self.entry.run is not None, f"ticket {self.entry.ticket.identifier} has no run"
        return self.entry.run

    @property
    def ticket(self) -> Ticket:
        return self.entry.ticket

    def add(self, *decisions: Decision) -> None:
        self.decisions.extend(decisions)

    def command(self, kind: Callable[..., C], **fields: object) -> C:
        """A command with the ticket's next key."""
        self._step += 1
        name = re.sub(r"(?<!^)(?=[A-Z])", "-", getattr(kind, "__name__", "command")).lower()
        key = CommandKey(f"{self.ticket.id}#{self.generation}/{self._step}/{name}")
        return kind(key=key, ticket_id=self.ticket.id, generation=self.generation, **fields)

    def enter(self, stage: Stage, kind: Callable[..., Command], **fields: object) -> None:
        """Go to a stage with its command."""
        before = self.entry.run.stage if self.entry.run is not None and self._step else stage
        if not may_follow(before, stage):
            raise IllegalEvent(f"ticket {self.ticket.identifier}: a run in the stage {before} cannot enter {stage}")
        command = self.command(kind, **fields)
        self.add(StageEntered(at_ms=self.at_ms, ticket_id=self.ticket.id, stage=stage, command=command))

    def enter_later(self, stage: Stage, kind: Callable[..., Command], due_ms: int, **fields: object) -> None:
        """Go to a stage whose command is wanted when due."""
        command = self.command(kind, **fields)
        self.add(StagePlanned(at_ms=self.at_ms, ticket_id=self.ticket.id, stage=stage, command=command, due_ms=due_ms))

    def timer(self, kind: TimerKind, due_ms: int) -> TimerSet:
        """A decision to look at the run again."""
        return TimerSet(kind=kind, ticket_id=self.ticket.id, generation=self.generation, due_ms=due_ms)

    def issue(self, kind: Callable[..., Command], **fields: object) -> None:
        """Want an effect beside the run's stage."""
        self.add(CommandIssued(at_ms=self.at_ms, command=self.command(kind, **fields)))


def conversation_id_for(instance: str, ticket: Ticket, generation: int, rehydrations: int = 0) -> ConversationId:
    """A UUID from instance, ticket, generation and how often another conversation was wanted: creating it twice creates one."""
    counted = f"\x1f{rehydrations}" if rehydrations else ""
    digest = hashlib.sha256(f"{instance}\x1f{ticket.id}\x1f{generation}{counted}".encode()).hexdigest()
    variant = "89ab"[int(digest[16], 16) % 4]
    return ConversationId(f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}")
