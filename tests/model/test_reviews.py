"""What a code host says can stand in the journal."""

import msgspec

from opensymphony.model import (
    CommitCheck,
    PullRequest,
    PullRequestReading,
    Review,
    ReviewComment,
    ReviewThread,
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
