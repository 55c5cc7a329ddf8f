"""Trackers, code hosts and chats, one folder for each service; here is the table of their names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from opensymphony.clock import Clock
from opensymphony.errors import ConfigurationError, Problem
from opensymphony.interfaces import CodeHost, Registrar, Tracker, Webhook
from opensymphony.views import Check
from opensymphony.workflow.policy import CodeHostPolicy, Policy, TrackerPolicy

if TYPE_CHECKING:
    from opensymphony.services.jira.client import ReadToken
    from opensymphony.services.jira.site import Site

ReadSecret = Callable[[str, str | None], Awaitable[str]]
"""Reads a secret now, by its name in opensymphony.toml, [secrets], and the environment variable where it is otherwise.

Raises `ConfigurationError`.
"""


async def no_secrets(name: str, variable: str | None) -> str:
    """For a tracker that needs none."""
    message = f"{name} is needed, and no place is given where it could be read"
    raise ConfigurationError([Problem(file="opensymphony.toml", key=f"secrets.{name}", message=message)])


class Secrets(Struct, frozen=True, kw_only=True):
    """What a service signs in with: secrets that the operator has, and a place for those that it is given on the way."""

    read: ReadSecret = no_secrets
    is_given: Callable[[str], bool] = lambda name: False
    """Whether the operator says where this one is, without reading it."""
    directory: Path | None = None
    """Outlives the process, and is for its user alone; what is needed nowhere else is made when it is needed."""


NO_SECRETS = Secrets()


def open_tracker(policy: TrackerPolicy, clock: Clock, secrets: Secrets = NO_SECRETS) -> Tracker:
    """The tracker that the policy names. Raises `ConfigurationError`; does not ask the service anything yet."""
    opener = TRACKERS.get(policy.kind)
    if opener is None:
        message = f"no tracker is called {policy.kind!r}; this release has: {', '.join(sorted(TRACKERS))}"
        problem = Problem(file="WORKFLOW.md", key="tracker.kind", message=message, code="unsupported_tracker_kind")
        raise ConfigurationError([problem])
    return opener(policy, clock, secrets)


def _files(policy: TrackerPolicy, clock: Clock, secrets: Secrets) -> Tracker:
    from opensymphony.services.files.tracker import FilesTracker

    return FilesTracker(policy, clock)


def _jira(policy: TrackerPolicy, clock: Clock, secrets: Secrets) -> Tracker:
    from opensymphony.services.jira.site import read_site
    from opensymphony.services.jira.tracker import JiraTracker

    return JiraTracker(policy, clock, _jira_token(read_site(policy), clock, secrets))


def _jira_token(site: Site, clock: Clock, secrets: Secrets) -> ReadToken:
    """How we sign in to a site: by a token that a person has made, or by those of an OAuth app."""
    from opensymphony.services.jira.client import AccountToken
    from opensymphony.services.jira.oauth import CLIENT_SECRET, REFRESH_TOKEN, OAuthTokens

    if site.auth != "oauth":
        return AccountToken(lambda: secrets.read("jira_api_token", site.api_token_env))

    async def refresh_token() -> str | None:
        return await secrets.read(REFRESH_TOKEN, None) if secrets.is_given(REFRESH_TOKEN) else None

    if secrets.directory is None:
        message = "OAuth needs a store, where its tokens are kept"
        raise ConfigurationError([Problem(file="opensymphony.toml", key="store.directory", message=message)])
    return OAuthTokens(
        site,
        secrets.directory,
        clock,
        read_client_secret=lambda: secrets.read(CLIENT_SECRET, None),
        read_refresh_token=refresh_token,
    )


TRACKERS: dict[str, Callable[[TrackerPolicy, Clock, Secrets], Tracker]] = {"files": _files, "jira": _jira}
"""By `tracker.kind`. Each imports its service only when it is asked for."""


def open_code_host(policy: CodeHostPolicy, clock: Clock, secrets: Secrets = NO_SECRETS) -> CodeHost:
    """The code host that the policy names. Raises `ConfigurationError`; does not ask the service anything yet."""
    opener = CODE_HOSTS.get(policy.kind)
    if opener is None:
        message = f"no code host is called {policy.kind!r}; this release has: {', '.join(sorted(CODE_HOSTS))}"
        problem = Problem(file="WORKFLOW.md", key="code_host.kind", message=message, code="unsupported_code_host_kind")
        raise ConfigurationError([problem])
    return opener(policy, clock, secrets)


def _bitbucket(policy: CodeHostPolicy, clock: Clock, secrets: Secrets) -> CodeHost:
    from opensymphony.services.bitbucket.code_host import BitbucketCodeHost
    from opensymphony.services.bitbucket.repository import SECRET, read_repository

    variable = read_repository(policy).token_env
    return BitbucketCodeHost(policy, clock, lambda: secrets.read(SECRET, variable))


CODE_HOSTS: dict[str, Callable[[CodeHostPolicy, Clock, Secrets], CodeHost]] = {"bitbucket": _bitbucket}
"""By `code_host.kind`. Each imports its service only when it is asked for."""


async def check_tracker(policy: Policy, clock: Clock, secrets: Secrets) -> Sequence[Check]:
    """What a service can say about whether we may do our work there; nothing for one that has nothing to say."""
    checker = _CHECKERS.get(policy.tracker.kind)
    return await checker(policy, clock, secrets) if checker is not None else ()


async def _check_jira(policy: Policy, clock: Clock, secrets: Secrets) -> Sequence[Check]:
    from opensymphony.services.jira.checks import SiteChecks
    from opensymphony.services.jira.client import JiraClient
    from opensymphony.services.jira.oauth import REFRESH_TOKEN
    from opensymphony.services.jira.site import read_site

    site = read_site(policy.tracker)
    client = JiraClient(site, _jira_token(site, clock, secrets), clock)
    try:
        return await SiteChecks(client, policy, refreshes=secrets.is_given(REFRESH_TOKEN)).run()
    finally:
        await client.close()


_CHECKERS: dict[str, Callable[[Policy, Clock, Secrets], Awaitable[Sequence[Check]]]] = {"jira": _check_jira}


def open_webhooks(policy: TrackerPolicy) -> Sequence[Webhook]:
    """How the service of a tracker tells us that something happened; nothing for one that has no webhooks, or is not known.

    The first is the one that we can register; others are taken besides where their secret is given.
    """
    opener = _WEBHOOKS.get(policy.kind)
    return opener(policy) if opener is not None else ()


def _jira_webhooks(policy: TrackerPolicy) -> Sequence[Webhook]:
    from opensymphony.services.jira.site import uses_oauth
    from opensymphony.services.jira.webhook import AppWebhook, JiraWebhook

    return (AppWebhook(), JiraWebhook()) if uses_oauth(policy) else (JiraWebhook(),)


_WEBHOOKS: dict[str, Callable[[TrackerPolicy], Sequence[Webhook]]] = {"jira": _jira_webhooks}


def open_registrar(policy: TrackerPolicy, clock: Clock, secrets: Secrets) -> Registrar | None:
    """Where the service of a tracker is told to call us; None for one that has no webhooks."""
    opener = _REGISTRARS.get(policy.kind)
    return opener(policy, clock, secrets) if opener is not None else None


def _jira_registrar(policy: TrackerPolicy, clock: Clock, secrets: Secrets) -> Registrar:
    from opensymphony.services.jira.client import JiraClient
    from opensymphony.services.jira.dynamic_webhooks import DynamicRegistrar
    from opensymphony.services.jira.registration import JiraRegistrar
    from opensymphony.services.jira.site import read_site
    from opensymphony.services.jira.webhook import SECRET

    site = read_site(policy)
    client = JiraClient(site, _jira_token(site, clock, secrets), clock)
    if site.auth == "oauth":
        return DynamicRegistrar(client, clock)
    return JiraRegistrar(client, lambda: secrets.read(SECRET, None))


_REGISTRARS: dict[str, Callable[[TrackerPolicy, Clock, Secrets], Registrar]] = {"jira": _jira_registrar}


def open_code_host_webhook(policy: CodeHostPolicy) -> Webhook | None:
    """How a code host tells us that something happened; None for one that has no webhooks."""
    opener = _CODE_HOST_WEBHOOKS.get(policy.kind)
    return opener() if opener is not None else None


def _bitbucket_webhook() -> Webhook:
    from opensymphony.services.bitbucket.webhook import BitbucketWebhook

    return BitbucketWebhook()


_CODE_HOST_WEBHOOKS: dict[str, Callable[[], Webhook]] = {"bitbucket": _bitbucket_webhook}


def open_code_host_registrar(policy: CodeHostPolicy, clock: Clock, secrets: Secrets) -> Registrar | None:
    """Where a code host is told to call us; None for one that has no webhooks."""
    opener = _CODE_HOST_REGISTRARS.get(policy.kind)
    return opener(policy, clock, secrets) if opener is not None else None


def _bitbucket_registrar(policy: CodeHostPolicy, clock: Clock, secrets: Secrets) -> Registrar:
    from opensymphony.services.bitbucket.client import BitbucketClient
    from opensymphony.services.bitbucket.registration import BitbucketRegistrar
    from opensymphony.services.bitbucket.repository import SECRET as TOKEN
    from opensymphony.services.bitbucket.repository import read_repository
    from opensymphony.services.bitbucket.webhook import SECRET

    repository = read_repository(policy)
    client = BitbucketClient(repository, lambda: secrets.read(TOKEN, repository.token_env), clock)
    return BitbucketRegistrar(client, lambda: secrets.read(SECRET, None))


_CODE_HOST_REGISTRARS: dict[str, Callable[[CodeHostPolicy, Clock, Secrets], Registrar]] = {
    "bitbucket": _bitbucket_registrar
}
