"""Trackers, code hosts and chats, one folder for each service; here is the table of their names."""

from __future__ import annotations

from collections.abc import Callable

from opensymphony.clock import Clock
from opensymphony.errors import ConfigurationError, Problem
from opensymphony.interfaces import Tracker
from opensymphony.workflow.policy import TrackerPolicy


def open_tracker(policy: TrackerPolicy, clock: Clock) -> Tracker:
    """The tracker that the policy names. Raises `ConfigurationError`; does not ask the service anything yet."""
    opener = TRACKERS.get(policy.kind)
    if opener is None:
        message = f"no tracker is called {policy.kind!r}; this release has: {', '.join(sorted(TRACKERS))}"
        problem = Problem(file="WORKFLOW.md", key="tracker.kind", message=message, code="unsupported_tracker_kind")
        raise ConfigurationError([problem])
    return opener(policy, clock)


def _files(policy: TrackerPolicy, clock: Clock) -> Tracker:
    from opensymphony.services.files.tracker import FilesTracker

    return FilesTracker(policy, clock)


TRACKERS: dict[str, Callable[[TrackerPolicy, Clock], Tracker]] = {"files": _files}
"""By `tracker.kind`. Each imports its service only when it is asked for."""
