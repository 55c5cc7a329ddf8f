"""What Bitbucket alone has of pull requests, beyond the duties of every code host."""

from __future__ import annotations

import pytest

from opensymphony.errors import Refused
from opensymphony.model import PullRequestText
from opensymphony.services.bitbucket.code_host import BitbucketCodeHost
from opensymphony.services.bitbucket.pull_requests import cut, to_ms
from tests.fakes.bitbucket import ADA, AGENT, BOB, FakeBitbucket

BRANCH = "opensymphony/ABC-1"
TEXT = PullRequestText(branch=BRANCH, base="main", title="A title", body="A body")


async def test_a_host_that_refuses_a_second_one_leads_to_the_first(
    bitbucket: FakeBitbucket, host: BitbucketCodeHost
) -> None:
    """Somebody was quicker between our look and our request."""
    bitbucket.push(BRANCH)
    bitbucket.duplicates = "refused"
    bitbucket.fail_next("GET", "/pullrequests", status=200, body={"values": []})
    by_hand = bitbucket.open(BRANCH)
    assert (await host.publish(TEXT)).id == str(by_hand.id)
    assert by_hand.title == "By hand"


async def test_our_line_stands_only_in_what_we_opened(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """By it the account of an access token is known again; a person's pull request never gets it."""
    bitbucket.push(BRANCH)
    by_hand = bitbucket.open(BRANCH, author=ADA)
    await host.publish(TEXT)
    assert by_hand.description == ""
    bitbucket.push("other")
    ours = bitbucket.pulls[
        int((await host.publish(PullRequestText(branch="other", base="main", title="T", body="B"))).id)
    ]
    assert ours.description == "B\n\n[//]: # (opensymphony:pull-request)"


async def test_of_several_open_ones_ours_is_the_one_into_our_base(
    bitbucket: FakeBitbucket, host: BitbucketCodeHost
) -> None:
    """A person may have opened another into a release branch."""
    bitbucket.push(BRANCH)
    bitbucket.branch_off("release")
    wanted = bitbucket.open(BRANCH)
    other = bitbucket.open(BRANCH, base="release")
    assert (await host.publish(TEXT)).id == str(wanted.id)
    assert other.title == "By hand"


async def test_who_opens_it_does_not_review_it(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """Bitbucket refuses an author among the reviewers."""
    bitbucket.push(BRANCH)
    made = await host.publish(PullRequestText(branch=BRANCH, base="main", title="T", body="", reviewers=(AGENT, BOB)))
    assert bitbucket.pulls[int(made.id)].reviewers == [BOB]


async def test_an_unknown_reviewer_is_for_a_person(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """In the host's own words."""
    bitbucket.push(BRANCH)
    with pytest.raises(Refused, match="Malformed reviewers list"):
        await host.publish(PullRequestText(branch=BRANCH, base="main", title="T", body="", reviewers=("nobody",)))


async def test_a_branch_that_is_deleted_after_the_merge_asks_for_nothing(
    bitbucket: FakeBitbucket, host: BitbucketCodeHost
) -> None:
    """A command that is carried out again after a crash finds it merged."""
    bitbucket.push(BRANCH)
    made = await host.publish(TEXT)
    bitbucket.merge(bitbucket.pulls[int(made.id)])
    assert bitbucket.commit_of(BRANCH) is None
    again = await host.publish(TEXT)
    assert (again.id, again.state) == (made.id, "merged")


async def test_many_are_looked_for_at_once(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """One request for all that are open, one for each that is not."""
    pulls = [bitbucket.open(f"b{number}") for number in range(6)]
    bitbucket.decline(pulls[0])
    found = await host.fetch([str(one.id) for one in pulls])
    assert len(found) == 6
    assert len(bitbucket.requests) == 2


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-01-01T00:00:01.500000+00:00", 1_767_225_601_500),
        ("2026-01-01T00:00:01Z", 1_767_225_601_000),
        ("yesterday", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_a_time_is_read_or_nothing(text: str | None, ms: int) -> None:
    assert to_ms(text) == ms


def test_a_text_is_cut_at_a_line() -> None:
    """One that fits is left alone; one line that is too long is cut in itself."""
    assert cut("abc", 3) == "abc"
    assert cut("one\ntwo\nthree and more", 20) == "one\ntwo\n\n(cut)"
    assert cut("x" * 30, 20) == "x" * 10 + "\n\n(cut)"
