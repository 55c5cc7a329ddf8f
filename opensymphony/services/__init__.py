"""Trackers, code hosts and chats, one folder for each service; here is the table of their names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from opensymphony.clock import Clock
from opensymphony.errors import ConfigurationError, Problem
from opensymphony.interfaces import CodeHost, Registrar, Tracker, Webhook
from opensymphony.views import Check
from opensymphony.workflow.policy import CodeHostPolicy, Policy, TrackerPolicy

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


def open_code_host(policy: CodeHostPolicy, clock: Clock, read_secret: ReadSecret = no_secrets) -> CodeHost:
    """The code host that the policy names. Raises `ConfigurationError`; does not ask the service anything yet."""
    opener = CODE_HOSTS.get(policy.kind)
    if opener is None:
        message = f"no code host is called {policy.kind!r}; this release has: {', '.join(sorted(CODE_HOSTS))}"
        problem = Problem(file="WORKFLOW.md", key="code_host.kind", message=message, code="unsupported_code_host_kind")
        raise ConfigurationError([problem])
    return opener(policy, clock, read_secret)


def _bitbucket(policy: CodeHostPolicy, clock: Clock, read_secret: ReadSecret) -> CodeHost:
    from opensymphony.services.bitbucket.code_host import BitbucketCodeHost
    from opensymphony.services.bitbucket.repository import SECRET, read_repository

    variable = read_repository(policy).token_env
    return BitbucketCodeHost(policy, clock, lambda: read_secret(SECRET, variable))


CODE_HOSTS: dict[str, Callable[[CodeHostPolicy, Clock, ReadSecret], CodeHost]] = {"bitbucket": _bitbucket}
"""By `code_host.kind`. Each imports its service only when it is asked for."""


async def check_tracker(policy: Policy, clock: Clock, read_secret: ReadSecret) -> Sequence[Check]:
    """What a service can say about whether we may do our work there; nothing for one that has nothing to say."""
    checker = _CHECKERS.get(policy.tracker.kind)
    return await checker(policy, clock, read_secret) if checker is not None else ()


async def _check_jira(policy: Policy, clock: Clock, read_secret: ReadSecret) -> Sequence[Check]:
    from opensymphony.services.jira.checks import SiteChecks
    from opensymphony.services.jira.client import JiraClient
    from opensymphony.services.jira.site import read_site

    site = read_site(policy.tracker)
    client = JiraClient(site, lambda: read_secret("jira_api_token", site.api_token_env), clock)
    try:
        return await SiteChecks(client, policy).run()
    finally:
        await client.close()


_CHECKERS: dict[str, Callable[[Policy, Clock, ReadSecret], Awaitable[Sequence[Check]]]] = {"jira": _check_jira}


def open_webhook(service: str) -> Webhook | None:
    """How the service tells us that something happened; None for one that has no webhooks, or is not known."""
    opener = _WEBHOOKS.get(service)
    return opener() if opener is not None else None


def _jira_webhook() -> Webhook:
    from opensymphony.services.jira.webhook import JiraWebhook

    return JiraWebhook()


_WEBHOOKS: dict[str, Callable[[], Webhook]] = {"jira": _jira_webhook}


def open_registrar(policy: TrackerPolicy, clock: Clock, read_secret: ReadSecret) -> Registrar | None:
    """Where the service of a tracker is told to call us; None for one that has no webhooks."""
    opener = _REGISTRARS.get(policy.kind)
    return opener(policy, clock, read_secret) if opener is not None else None


def _jira_registrar(policy: TrackerPolicy, clock: Clock, read_secret: ReadSecret) -> Registrar:
    from opensymphony.services.jira.client import JiraClient
    from opensymphony.services.jira.registration import JiraRegistrar
    from opensymphony.services.jira.site import read_site
    from opensymphony.services.jira.webhook import SECRET

    site = read_site(policy)
    client = JiraClient(site, lambda: read_secret("jira_api_token", site.api_token_env), clock)
    return JiraRegistrar(client, lambda: read_secret(SECRET, None))


_REGISTRARS: dict[str, Callable[[TrackerPolicy, Clock, ReadSecret], Registrar]] = {"jira": _jira_registrar}
