"""What WORKFLOW.md may say about pull requests and their reviews."""

from __future__ import annotations

import pytest


def test_defaults_open_nothing_and_obey_nobody(read) -> None:
    """Without a code host there are no pull requests, and nobody's comments are instructions."""
    policy = read("repository: {url: .}").policy
    assert policy is not None and policy.code_host is None and policy.review.instructions_from == ()


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("pull_request: {title: '{{ issue.nonsense }}'}", "pull_request.title"),
        ("pull_request: {title: '{{ words }}'}", "pull_request.title"),
        ("pull_request: {body: '{% if %}'}", "pull_request.body"),
        ("review: {max_rounds: 0}", "review.max_rounds"),
        ("review: {quiet_ms: soon}", "review.quiet_ms"),
        ("reporting: {transitions: {merged: Todo}}", "reporting.transitions.merged"),
    ],
)
def test_what_is_wrong_is_named(told, more: str, key: str) -> None:
    """By its key, before any ticket has come."""
    assert [(severity, named) for severity, named, _ in told(more)] == [("error", key)]
