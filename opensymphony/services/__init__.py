"""Trackers, code hosts and chats, one folder for each service; here is the table of their names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from opensymphony.clock import Clock
from opensymphony.errors import ConfigurationError, Problem
from opensymphony.interfaces import Tracker
from opensymphony.workflow.policy import TrackerPolicy

ReadSecret = Callable[[str, str | None], Awaitable[str]]
"""Reads a secret now, by its name in opensymphony.toml, [secrets], and the environment variable where it is otherwise.

Raises `ConfigurationError`.
"""


async def no_secrets(name: str, variable: str | None) -> str:
    """For a tracker that needs none."""
    message = f"{name} is needed, and no place is given where it could be read"
    raise ConfigurationError([Problem(file="opensymphony.toml", key=f"secrets.{name}", message=message)])


def open_tracker(policy: TrackerPolicy, clock: Clock, read_secret: ReadSecret = no_secrets) -> Tracker:
    """The tracker that the policy names. Raises `ConfigurationError`; does not ask the service anything yet."""
    opener = TRACKERS.get(policy.kind)
    if opener is None:
        message = f"no tracker is called {policy.kind!r}; this release has: {', '.join(sorted(TRACKERS))}"
        problem = Problem(file="WORKFLOW.md", key="tracker.kind", message=message, code="unsupported_tracker_kind")
        raise ConfigurationError([problem])
    return opener(policy, clock, read_secret)


def _files(policy: TrackerPolicy, clock: Clock, read_secret: ReadSecret) -> Tracker:
    from opensymphony.services.files.tracker import FilesTracker

    return FilesTracker(policy, clock)


def _jira(policy: TrackerPolicy, clock: Clock, read_secret: ReadSecret) -> Tracker:
    from opensymphony.services.jira.site import read_site
    from opensymphony.services.jira.tracker import JiraTracker

    variable = read_site(policy).api_token_env
    return JiraTracker(policy, clock, lambda: read_secret("jira_api_token", variable))


TRACKERS: dict[str, Callable[[TrackerPolicy, Clock, ReadSecret], Tracker]] = {"files": _files, "jira": _jira}
"""By `tracker.kind`. Each imports its service only when it is asked for."""
