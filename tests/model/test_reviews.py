"""What a code host says can stand in the journal."""

import msgspec
import pytest

from opensymphony.model import (
    CommitCheck,
    PullRequest,
    PullRequestReading,
    Review,
    ReviewComment,
    ReviewThread,
    is_same_commit,
)


def test_a_reading_survives_the_journal() -> None:
    """It is the same after it was written and read."""
    pull = PullRequest(id="7", url="https://host/7", title="Mend", state="open", branch="b", base="main", head="c" * 12)
    said = ReviewComment(id="1", author="{ada}", text="why?")
    reading = PullRequestReading(
        pull_request=pull,
        threads=(ReviewThread(id="1", comments=(said,), path="a.py", line=3),),
        reviews=(Review(author="{ada}", verdict="changes_requested"),),
        checks=(CommitCheck(key="ci", name="CI", state="failed"),),
        conflicts=("a.py",),
    )
    assert msgspec.json.decode(msgspec.json.encode(reading), type=PullRequestReading) == reading


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a" * 40, "a" * 12, True),
        ("A" * 12, "a" * 40, True),
        ("a" * 12, "a" * 11 + "b", False),
        ("", "a" * 40, False),
        ("", "", False),
        ("aaaaaa", "a" * 40, False),
    ],
)
def test_commits_are_the_same_by_as_much_as_is_said_of_them(one: str, other: str, same: bool) -> None:
    """Too little says nothing."""
    assert is_same_commit(one, other) is is_same_commit(other, one) is same
