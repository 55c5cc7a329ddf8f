"""What a pull request says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from opensymphony.errors import ConfigurationError
from opensymphony.workflow.policy import PullRequestPolicy
from opensymphony.workflow.prompt import sample_ticket
from opensymphony.workflow.pull_request import BODY_CHARS_MAX, TITLE_CHARS_MAX, render_body, render_title

KNOWN = {"summary": "- Mend it", "verification": "`make test` passed", "cost": "5 tokens", "words": "> Done."}


def test_a_title_is_one_line_within_its_limit() -> None:
    """Whatever the ticket is called."""
    ticket = msgspec.structs.replace(sample_ticket(), title="a\n\tb " + "x" * 1_000)
    title = render_title(PullRequestPolicy(), ticket)
    assert title.startswith("PROJ-1: a b xxx") and len(title) == TITLE_CHARS_MAX
    assert render_title(PullRequestPolicy(title="{% if false %}x{% endif %}"), ticket) == "PROJ-1"


def test_a_body_says_everything_that_is_known() -> None:
    """And nothing about what is not."""
    body = render_body(PullRequestPolicy(), sample_ticket(), KNOWN)
    assert body.startswith("Ticket: [PROJ-1](https://tracker.example/PROJ-1)")
    assert all(text in body for text in KNOWN.values())
    bare = render_body(PullRequestPolicy(), msgspec.structs.replace(sample_ticket(), url=None), {})
    assert bare == "Ticket: PROJ-1"


def test_a_body_of_one_s_own_has_the_same_words() -> None:
    """Within a limit."""
    policy = PullRequestPolicy(body="{{ issue.key }}|{{ summary }}|{{ verification }}|{{ cost }}|{{ words }}")
    assert render_body(policy, sample_ticket(), KNOWN) == "PROJ-1|- Mend it|`make test` passed|5 tokens|> Done."
    assert len(render_body(policy, sample_ticket(), {"summary": "x" * 200_000})) == BODY_CHARS_MAX


def test_a_template_that_fails_names_its_key() -> None:
    """So that a person finds it."""
    with pytest.raises(ConfigurationError, match=r"pull_request\.body"):
        render_body(PullRequestPolicy(body="{{ issue.title | date: '%Y' }}"), sample_ticket(), {})


_HOST = """
code_host: {kind: bitbucket}
repository: {url: https://bitbucket.org/acme/app.git}
"""


@pytest.mark.parametrize(
    ("front", "said"),
    [
        ("merge: {when: approved}", "merge.approvers: names nobody"),
        ("merge: {when: approved, approvers: ['{a}', '{A}'], approvals: 2}", "merge.approvals: is 2, but only 1 may"),
        ("merge: {when: always}", "merge.when"),
        ("merge: {when: approved, approvers: ['*'], method: octopus}", "merge.method"),
        ("merge: {when: approved, approvers: ['*'], approvals: 0}", "merge.approvals"),
    ],
)
def test_what_could_never_be_merged_is_said_at_the_start(read: Any, front: str, said: str) -> None:
    """Rather than every day in each pull request."""
    found = [str(problem) for problem in read(_HOST + front).problems]
    assert any(said in problem for problem in found), found


@pytest.mark.parametrize(
    "front",
    [
        "merge: {when: approved, approvals: 3, approvers: ['*']}",
        "review: {instructions_from: ['{a}']}\nmerge: {when: approved}",
        "merge: {approvals: 3}",
    ],
)
def test_what_can_be_merged_is_no_problem(read: Any, front: str) -> None:
    """Nor is what is never merged."""
    assert not [problem for problem in read(_HOST + front).problems if "merge" in str(problem)]


def test_without_a_code_host_there_is_nothing_to_merge(read: Any) -> None:
    """It is a warning: the branch is pushed all the same."""
    (problem,) = read("merge: {when: approved, approvers: ['*']}").problems
    assert problem.severity == "warning" and "has no effect without code_host" in problem.message
