"""Conclusions about a ticket's pull request and its review."""

from __future__ import annotations

from opensymphony.model import PullRequest, ThreadAnswer
from opensymphony.scheduler.decisions.roots import OfTicket


class PullRequestNoted(OfTicket, frozen=True, kw_only=True):
    """What the ticket's pull request is now."""

    pull_request: PullRequest


class PullRequestTied(OfTicket, frozen=True, kw_only=True):
    """The ticket shows the pull request with this address."""

    url: str


class ReviewHeard(OfTicket, frozen=True, kw_only=True):
    """News of a review were taken in; where `wake_ms` says so, the ticket starts again then."""

    heard: tuple[str, ...]
    wake_ms: int = 0


class RoundsCounted(OfTicket, frozen=True, kw_only=True):
    """So often a review has started the ticket again since a person last had to do with it."""

    rounds: int


class MergeAwaited(OfTicket, frozen=True, kw_only=True):
    """Why the pull request is not merged by itself; without a reason it is being merged."""

    reason: str
    refused: str = ""
    """The circumstances in which the code host has refused it."""
    again: bool = False
    """It was mere trouble: the next look at it tries again."""


class ThreadsSettled(OfTicket, frozen=True, kw_only=True):
    """What is to be answered in the threads that the agent was given."""

    answers: tuple[ThreadAnswer, ...]


class ThreadDone(OfTicket, frozen=True, kw_only=True):
    """A thread has its answer, or cannot have one."""

    thread_id: str
    marker: str = ""
    """Of that answer, since a newer one may be under way; empty in records of earlier releases."""
