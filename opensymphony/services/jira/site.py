"""Which Jira site, which project, and how we sign in: the keys of `tracker.provider` for `kind: jira`."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from opensymphony.errors import ConfigurationError, Problem
from opensymphony.workflow.policy import TrackerPolicy, is_loopback

SERVICE = "jira"
GATEWAY = "https://api.atlassian.com"
TOKEN_URL = "https://auth.atlassian.com/oauth/token"


class Site(Struct, frozen=True, kw_only=True):
    """As resolved from WORKFLOW.md: no secret, only where one is."""

    base_url: str
    """Where people look at tickets: `https://acme.atlassian.net`, without a path."""
    project_key: str
    email: str | None = None
    """Of the account that the API token belongs to; without one the token is a bearer token."""
    api_token_env: str = "JIRA_API_TOKEN"
    oauth_client_id: str | None = None
    """Of an OAuth 2.0 app; with one, tokens are got from `oauth_token_url`, and `email` and `api_token_env` mean nothing."""
    oauth_token_url: str = TOKEN_URL
    api_url: str | None = None
    """Where the API is, when it is neither below `base_url` nor behind the gateway."""
    gateway_url: str = GATEWAY
    jql: str | None = None
    """A further condition on tickets."""
    acceptance_criteria_field: str | None = None
    """Id of a custom field, such as `customfield_10035`."""
    blocker_link: str = "Blocks"
    """Name of the type of link that says what blocks what."""

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, as in a test."""
        return is_loopback(urlsplit(self.base_url).hostname or "")

    @property
    def auth(self) -> Literal["basic", "bearer", "oauth"]:
        if self.oauth_client_id:
            return "oauth"
        return "basic" if self.email else "bearer"

    @property
    def token_remedy(self) -> str:
        """What to do when the site does not take our token."""
        if self.auth == "oauth":
            return "check the scopes of the OAuth app, and that whoever signed in to it allowed this site"
        return f"check {self.api_token_env}" + (" and tracker.provider.email" if self.email else "")


def uses_oauth(policy: TrackerPolicy) -> bool:
    """Whether we sign in by an OAuth app, also where the rest of the policy is wrong."""
    return bool(policy.provider.get("oauth_client_id"))


def read_site(policy: TrackerPolicy) -> Site:
    """The site of a resolved policy. Raises `ConfigurationError` with everything that is wrong."""
    problems: list[Problem] = []

    def note(key: str, message: str) -> None:
        problems.append(
            Problem(file="WORKFLOW.md", key=f"tracker.provider.{key}", message=message, code="invalid_tracker_provider")
        )

    known = {field.name for field in msgspec.structs.fields(Site)}
    given = {key: value for key, value in policy.provider.items() if key in known and value is not None}
    for key in ("base_url", "project_key"):
        if not given.get(key):
            note(key, "is missing")
            given[key] = ""
    for key, value in given.items():
        if not isinstance(value, str):
            note(key, "must be a text")
    if problems:
        raise ConfigurationError(problems)
    for key in ("base_url", "api_url", "gateway_url", "oauth_token_url"):
        fault = _address_fault(given.get(key))
        if fault:
            note(key, fault)
    if problems:
        raise ConfigurationError(problems)
    trimmed = {key: value.rstrip("/") if key.endswith("_url") else value for key, value in given.items()}
    return msgspec.convert(trimmed, Site)


def _address_fault(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        address = urlsplit(url)
        host = address.hostname
    except ValueError:
        host, address = None, urlsplit("")
    if not host or address.scheme not in ("https", "http"):
        return "is no address: write one such as https://acme.atlassian.net"
    if address.username or address.password or address.query or address.fragment:
        return "must hold no credential, query or fragment"
    if address.scheme == "http" and not is_loopback(host):
        return "must be https: the token goes there"
    return None
