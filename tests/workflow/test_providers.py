"""What a WORKFLOW.md may say about its tracker."""

from __future__ import annotations

import pytest

JIRA = "tracker: {{kind: jira, provider: {{{provider}}}{more}}}"
GOOD = "base_url: 'https://acme.atlassian.net', project_key: PROJ, email: a@example.com"


def front(provider: str = GOOD, more: str = "") -> str:
    return JIRA.format(provider=provider, more=more)


def test_a_jira_site_is_read(read) -> None:
    """The site's own names of states where none are given; a token is named and never taken in."""
    loaded = read(front(GOOD + ", api_token: $MY_TOKEN, jql: 'labels = agent'"), tracker="")
    assert loaded.problems == ()
    tracker = loaded.policy.tracker
    assert tracker.active_states == ("To Do", "In Progress")
    assert tracker.provider == {
        "base_url": "https://acme.atlassian.net",
        "project_key": "PROJ",
        "email": "a@example.com",
        "jql": "labels = agent",
        "api_token_env": "MY_TOKEN",
    }
    assert read(front(more=", active_states: [Open]"), tracker="").policy.tracker.active_states == ("Open",)


def test_what_the_environment_says_is_taken_in(read) -> None:
    """The names of the founding documents, and Symphony's; what the file says counts more."""
    around = {"JIRA_URL": "https://env.atlassian.net", "JIRA_USER_EMAIL": "env@example.com"}
    provider = read(front("project_key: PROJ"), tracker="", environment=around).policy.tracker.provider
    assert (provider["base_url"], provider["email"]) == ("https://env.atlassian.net", "env@example.com")
    provider = read(front(), tracker="", environment=around).policy.tracker.provider
    assert provider["base_url"] == "https://acme.atlassian.net"


@pytest.mark.parametrize(
    ("provider", "key", "says"),
    [
        ("project_key: PROJ", "base_url", "is missing: write https://NAME.atlassian.net, or set JIRA_URL"),
        ("base_url: 'https://a.example'", "project_key", "is missing"),
        (GOOD + ", api_token: abcdef", "api_token", "$NAME"),
        (GOOD.replace("PROJ", "'P R'"), "project_key", "is no key of a project"),
        (GOOD.replace("https:", "http:"), "base_url", "must be https"),
        (GOOD.replace("acme.", "u:p@acme."), "base_url", "no credential"),
        (GOOD.replace("'https://acme.atlassian.net'", "acme"), "base_url", "is no address"),
        (GOOD + ", jql: 'labels = x ORDER BY rank'", "jql", "must be a condition alone"),
        (GOOD + ", acceptance_criteria_field: criteria", "acceptance_criteria_field", "is no id of a field"),
        (GOOD + ", blocker_link: [x]", "blocker_link", "must be a text"),
        (GOOD + ", oauth_client_id: 7", "oauth_client_id", "must be a text"),
        (GOOD + ", oauth_token_url: 'http://auth.example/token'", "oauth_token_url", "must be https"),
    ],
)
def test_what_cannot_be_meant_is_refused(read, provider: str, key: str, says: str) -> None:
    """One line with the key and what to write."""
    loaded = read(front(provider), tracker="")
    assert loaded.policy is None
    [problem] = loaded.problems
    assert problem.key == f"tracker.provider.{key}"
    assert says in problem.message


def test_an_unknown_key_is_a_warning_with_the_nearest_one(read) -> None:
    loaded = read(front(GOOD + ", projekt_key: X, webhook: y"), tracker="")
    assert loaded.policy is not None
    assert [problem.message for problem in loaded.problems] == [
        "unknown key: did you mean project_key?",
        "unknown key: it has no effect",
    ]


def test_an_oauth_app_is_named(read) -> None:
    """In the file or by a variable; a token that is named as well has no effect."""
    loaded = read(front(GOOD + ", oauth_client_id: $APP"), tracker="", environment={"APP": "app-1"})
    assert loaded.problems == ()
    assert loaded.policy.tracker.provider["oauth_client_id"] == "app-1"
    loaded = read(front(GOOD + ", oauth_client_id: app-1, api_token: $MY_TOKEN"), tracker="")
    assert loaded.policy is not None
    [problem] = loaded.problems
    assert (problem.key, problem.severity) == ("tracker.provider.api_token", "warning")
