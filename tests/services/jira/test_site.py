"""Which site and project: what the adapter makes of a provider that was read already."""

from __future__ import annotations

from typing import Any

import pytest

from opensymphony.errors import ConfigurationError
from opensymphony.services.jira.site import read_site
from opensymphony.workflow.policy import TrackerPolicy

GOOD: dict[str, Any] = {"base_url": "https://acme.atlassian.net/", "project_key": "PROJ", "email": "a@example.com"}


def read(**provider: Any):
    return read_site(TrackerPolicy(kind="jira", provider={**GOOD, **provider}))


def test_a_good_one_is_read() -> None:
    """With what is left out, and without what nobody knows."""
    site = read(unknown="x", blocker_link=None)
    assert (site.base_url, site.auth, site.api_token_env) == ("https://acme.atlassian.net", "basic", "JIRA_API_TOKEN")
    assert (site.blocker_link, site.gateway_url) == ("Blocks", "https://api.atlassian.com")
    assert read(email=None).auth == "bearer"
    assert (read(oauth_client_id="app").auth, site.oauth_token_url) == (
        "oauth",
        "https://auth.atlassian.com/oauth/token",
    )
    assert not site.is_local
    assert read(base_url="http://localhost:80").is_local
    assert read(base_url="http://127.0.0.1:80").base_url == "http://127.0.0.1:80"


@pytest.mark.parametrize(
    ("provider", "says"),
    [
        (
            {"base_url": None, "project_key": ""},
            "base_url: is missing; WORKFLOW.md: tracker.provider.project_key: is missing",
        ),
        ({"base_url": 7}, "base_url: must be a text"),
        ({"base_url": "acme"}, "base_url: is no address"),
        ({"base_url": "http://acme.example"}, "base_url: must be https"),
        ({"api_url": "https://user:word@acme.example"}, "api_url: must hold no credential"),
        ({"gateway_url": "https://[::1"}, "gateway_url: is no address"),
        ({"oauth_token_url": "http://auth.example/token"}, "oauth_token_url: must be https"),
    ],
)
def test_what_cannot_be_meant_is_refused(provider: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(**provider)
    assert says in str(caught.value)
