"""The first WORKFLOW.md of a project."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensymphony.workflow import load
from opensymphony.workflow.starting import (
    EXAMPLE,
    Answers,
    bitbucket_address,
    first_policy,
    ignore_lines,
    template_of,
)

READY = Path(__file__).resolve().parents[2] / "workflows"
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20).filter(
    lambda text: text.strip() == text and not text.startswith("$")
)


def loaded(answers: Answers):
    text = first_policy((READY / template_of(answers) / "WORKFLOW.md").read_text(), answers)
    found = load(text, "WORKFLOW.md", {}, "/h", "/project")
    assert [problem for problem in found.problems if problem.severity == "error"] == []
    assert found.policy is not None
    return found.policy


def test_files_to_begin_with() -> None:
    """A label and one at a time; the base is the branch that is checked out."""
    policy = loaded(Answers(base="trunk", verify='make "all" # and more', tickets="my tickets"))
    assert (policy.tracker.required_labels, policy.agent.max_concurrent_agents) == (("agent",), 1)
    assert policy.tracker.provider["path"] == "/project/my tickets"
    assert policy.repository is not None
    assert (policy.repository.base, policy.verify.command) == ("trunk", 'make "all" # and more')


def test_jira_to_begin_with() -> None:
    """Only what is assigned to us, unless that is not wanted."""
    policy = loaded(Answers(tracker="jira", site="https://acme.atlassian.net", email="a+b@example.com", project="PROJ"))
    assert policy.tracker.provider["base_url"] == "https://acme.atlassian.net"
    assert (policy.tracker.provider["email"], policy.tracker.provider["project_key"]) == ("a+b@example.com", "PROJ")
    assert (policy.tracker.assignee, policy.tracker.required_labels, policy.agent.max_concurrent_agents) == (
        "me",
        ("agent",),
        1,
    )
    anybody = loaded(Answers(tracker="jira", site="https://a.example", project="PROJ", assigned=False, label=""))
    assert (anybody.tracker.assignee, anybody.tracker.required_labels) == (None, ())


@pytest.mark.parametrize("tracker", ["files", "jira"])
def test_without_a_repository_that_section_is_only_shown(tracker: str) -> None:
    answers = Answers(tracker=tracker, has_repository=False, site="https://a.example", project="PROJ")
    assert loaded(answers).repository is None
    text = first_policy((READY / tracker / "WORKFLOW.md").read_text(), answers)
    assert "# repository:" in text and "hooks.after_create" in text


@given(label=TEXT, verify=TEXT, base=TEXT, tickets=TEXT)
def test_any_answer_stands_there_as_it_was_given(label: str, verify: str, base: str, tickets: str) -> None:
    """Whatever YAML would make of it."""
    answers = Answers(label=label, verify=verify, base=base, tickets=tickets)
    text = first_policy((READY / "files" / "WORKFLOW.md").read_text(), answers)
    policy = load(text, "WORKFLOW.md", {}, "/h", "/project").policy
    if policy is not None:  # a template in it, or a folder that cannot be, is refused for itself
        assert policy.tracker.required_labels == (label.strip().lower(),)
        assert policy.verify.command == verify
        assert policy.repository is not None and policy.repository.base == base


def test_lines_to_ignore_are_added_once() -> None:
    assert ignore_lines("") == ".opensymphony/\n"
    assert ignore_lines("x") == "\n.opensymphony/\n"
    assert ignore_lines("x\n.opensymphony/\n") == ""
    assert "labels: [agent]" in EXAMPLE.format(label="agent")


def test_jira_with_pull_requests_on_bitbucket() -> None:
    """Both sign in with the same address, and the repository is the one of the remote."""
    told = {"site": "https://a.example", "project": "PROJ", "email": "a@example.com"}
    address = "https://bitbucket.org/acme/app.git"
    policy = loaded(Answers(tracker="jira", code_host="bitbucket", repository_url=address, **told))
    assert policy.code_host is not None and policy.repository is not None
    assert (policy.code_host.kind, policy.code_host.provider["email"]) == ("bitbucket", "a@example.com")
    assert policy.tracker.provider["email"] == "a@example.com"
    assert (policy.repository.url, policy.reporting.transitions.merged) == (address, "Done")
    bearer = loaded(Answers(tracker="jira", code_host="bitbucket", **(told | {"email": ""})))
    assert bearer.code_host is not None and "email" not in bearer.code_host.provider


@pytest.mark.parametrize(
    "remote",
    [
        "git@bitbucket.org:acme/app.git",
        "https://bitbucket.org/acme/app",
        "https://somebody@bitbucket.org/acme/app.git",
        "ssh://git@bitbucket.org/acme/app.git",
        "ssh://git@altssh.bitbucket.org:443/acme/app.git",
    ],
)
def test_a_remote_on_bitbucket_is_known_in_every_form(remote: str) -> None:
    assert bitbucket_address(remote) == "https://bitbucket.org/acme/app.git"


@pytest.mark.parametrize(
    "remote",
    [
        "",
        "git@github.com:acme/app.git",
        "https://bitbucket.org.evil.example/acme/app",
        "https://bitbucket.org/acme",
        "x",
    ],
)
def test_another_remote_is_not(remote: str) -> None:
    assert bitbucket_address(remote) == ""
