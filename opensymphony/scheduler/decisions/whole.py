"""Conclusions about everything: boots, policies, polls, days, pauses and timers."""

from __future__ import annotations

from opensymphony.model import TicketId, Usage
from opensymphony.scheduler.decisions.roots import Concluded, OfTicket, TimerKind
from opensymphony.workflow.policy import Policy


class BootNoted(Concluded, frozen=True, kw_only=True):
    at_ms: int
    instance: str


class PolicyAdopted(Concluded, frozen=True, kw_only=True):
    policy: Policy


class PolicyErrorNoted(Concluded, frozen=True, kw_only=True):
    error: str


class PollNoted(Concluded, frozen=True, kw_only=True):
    at_ms: int
    error: str | None = None
    problems: tuple[str, ...] = ()


class DayTurned(Concluded, frozen=True, kw_only=True):
    """What is spent from now on counts for this day."""

    day: str
    before: str = ""
    """The day that has ended; empty where there was none, and in records of earlier releases."""
    spent: Usage = Usage()
    """In that one."""


class StorageErrorNoted(Concluded, frozen=True, kw_only=True):
    """None: the disk is well again."""

    error: str | None


class RequestNoted(Concluded, frozen=True, kw_only=True):
    """A person's request was taken up or refused; asked again, it gets this answer and changes nothing."""

    request_id: str
    accepted: bool
    answer: str
    subject: str = ""
    """What was asked: under the same id nothing else can be."""


class PauseSet(Concluded, frozen=True, kw_only=True):
    """Nothing starts on the ticket, or at all where none is named, until an operator resumes it."""

    at_ms: int
    ticket_id: TicketId | None
    paused: bool


class DrainBegun(Concluded, frozen=True, kw_only=True):
    pass


class TimersTaken(Concluded, frozen=True, kw_only=True):
    """Everything due until then was looked at."""

    until_ms: int


class TimerSet(OfTicket, frozen=True, kw_only=True):
    kind: TimerKind
    generation: int
    due_ms: int


class ServerGivenUp(Concluded, frozen=True, kw_only=True):
    """Nothing starts until the next boot."""

    error: str
