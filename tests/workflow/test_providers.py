"""What a WORKFLOW.md may say about its tracker and its code host."""

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


HOST = "repository: {{url: '{url}'}}\ncode_host: {{kind: bitbucket, provider: {{{provider}}}}}"


@pytest.mark.parametrize(
    "url",
    [
        "https://bitbucket.org/acme/app.git",
        "https://bitbucket.org/acme/app",
        "git@bitbucket.org:acme/app.git",
        "ssh://git@bitbucket.org/acme/app.git",
        "ssh://git@altssh.bitbucket.org:443/acme/app.git",
    ],
)
def test_a_code_host_is_completed_from_the_address(read, url: str) -> None:
    """Workspace and repository where the address has them; what the file says counts more; the token is only named."""
    loaded = read(HOST.format(url=url, provider="token: $MINE"))
    assert loaded.problems == ()
    assert loaded.policy.code_host.provider == {
        "workspace": "acme",
        "repository": "app",
        "api_url": "https://api.bitbucket.org/2.0",
        "token_env": "MINE",
    }
    provider = read(HOST.format(url=url, provider="workspace: other, email: a@example.com")).policy.code_host.provider
    assert (provider["workspace"], provider["repository"], provider["email"]) == ("other", "app", "a@example.com")


@pytest.mark.parametrize(
    ("url", "provider", "key", "says"),
    [
        ("https://github.com/acme/app", "", "repository.url", "is not on bitbucket.org, which code_host.kind says"),
        ("upstream.git", "workspace: a, repository: b", "repository.url", "is not on bitbucket.org"),
        ("https://bitbucket.org/acme", "", "code_host.provider.workspace", "is missing: write it as in"),
        ("https://bitbucket.org/a/b", "workspace: 'a b'", "code_host.provider.workspace", "is no slug"),
        ("https://bitbucket.org/a/b", "repository: '..'", "code_host.provider.repository", "is no slug"),
        ("https://bitbucket.org/a/b", "api_url: 'http://proxy.example/2.0'", "code_host.provider.api_url", "must be https"),
        ("https://bitbucket.org/a/b", "email: 'a:b@example.com'", "code_host.provider.email", "no colon"),
        ("https://bitbucket.org/a/b", "git_user: [x]", "code_host.provider.git_user", "must be a text"),
        ("https://bitbucket.org/a/b", "token: abc", "code_host.provider.token", "$NAME"),
    ],
)  # fmt: skip
def test_a_code_host_that_cannot_be_meant_is_refused(read, url: str, provider: str, key: str, says: str) -> None:
    """One line with the key and what to write; the token never goes to another host than its own."""
    loaded = read(HOST.format(url=url, provider=provider))
    assert loaded.policy is None
    problem = loaded.problems[0]
    assert problem.key == key
    assert says in problem.message


@pytest.mark.parametrize(
    ("front", "key", "says"),
    [
        ("code_host: {kind: bitbucket}", "code_host", "needs a repository"),
        ("repository: {url: 'x'}\ncode_host: {kind: github}", "code_host.kind", "known, but not in this release"),
        (
            "repository: {url: 'x'}\ncode_host: {kind: svn}",
            "code_host.kind",
            "is not known: this release has bitbucket",
        ),
    ],
)
def test_a_code_host_has_a_kind_and_a_repository(read, front: str, key: str, says: str) -> None:
    loaded = read(front)
    assert loaded.policy is None
    [problem] = loaded.problems
    assert problem.key == key
    assert says in problem.message


def test_an_unknown_key_of_a_code_host_is_a_warning(read) -> None:
    loaded = read(HOST.format(url="https://bitbucket.org/a/b", provider="repo: b"))
    assert loaded.policy is not None
    assert [problem.key for problem in loaded.problems] == ["code_host.provider.repo"]
