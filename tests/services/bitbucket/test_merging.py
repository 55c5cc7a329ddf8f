"""A merge at Bitbucket: right away or after a while, of the commit that is meant, and never twice."""

from __future__ import annotations

import pytest

from opensymphony.errors import BadAnswer, Refused, Unreachable
from opensymphony.services.bitbucket import merging
from opensymphony.services.bitbucket.code_host import BitbucketCodeHost
from tests.fakes.bitbucket import AGENT, FakeBitbucket


@pytest.mark.parametrize("method", ["merge_commit", "squash", "fast_forward"])
async def test_it_is_merged_the_way_that_is_asked_for(
    bitbucket: FakeBitbucket, host: BitbucketCodeHost, method: merging.MergeMethod
) -> None:
    """By the account that asks; the document accepts each way."""
    commit = bitbucket.push("b")
    pull = bitbucket.open("b", close_branch=True)
    done = await host.merge(str(pull.id), commit, method)
    assert (done.state, pull.state, pull.merged_by) == ("merged", "MERGED", AGENT)
    assert bitbucket.commit_of("b") is None, "what was said when it was opened holds"


async def test_a_merge_that_takes_long_is_waited_for(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """Bitbucket says where to ask."""
    host._merges._ask_again_s = 0.01
    bitbucket.merges_take = 3
    commit = bitbucket.push("b")
    pull = bitbucket.open("b")
    assert (await host.merge(str(pull.id), commit[:12], "merge_commit")).state == "merged"
    asked = [path for _, path in bitbucket.requests if "task-status" in path]
    assert len(asked) == 3


async def test_one_that_does_not_end_is_looked_at_again_later(
    bitbucket: FakeBitbucket, host: BitbucketCodeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may still end there; then it was merged."""
    monkeypatch.setattr(merging, "_WAIT_S", 0.05)
    host._merges._ask_again_s = 0.01
    bitbucket.merges_take = 10_000
    commit = bitbucket.push("b")
    pull = bitbucket.open("b")
    with pytest.raises(Unreachable, match="has not ended"):
        await host.merge(str(pull.id), commit, "squash")
    bitbucket.merge(pull)
    assert (await host.merge(str(pull.id), commit, "squash")).state == "merged"


async def test_a_place_to_ask_that_is_somebody_elses_is_not_asked(
    bitbucket: FakeBitbucket, host: BitbucketCodeHost
) -> None:
    """The token would go along."""
    commit = bitbucket.push("b")
    pull = bitbucket.open("b")
    headers = {"Location": "https://evil.example.com/task"}
    bitbucket.fail_next("POST", r"/pullrequests/\d+/merge", status=202, headers=headers)
    with pytest.raises(BadAnswer, match="leads away"):
        await host.merge(str(pull.id), commit, "squash")


@pytest.mark.parametrize("status", [409, 503, 555])
async def test_trouble_is_worth_another_try(bitbucket: FakeBitbucket, host: BitbucketCodeHost, status: int) -> None:
    """A branch that moved during the merge, a merge that took too long."""
    commit = bitbucket.push("b")
    pull = bitbucket.open("b")
    bitbucket.fail_next("POST", r"/pullrequests/\d+/merge", status=status)
    with pytest.raises(Unreachable):
        await host.merge(str(pull.id), commit, "squash")


async def test_what_its_repository_wants_is_said(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """In Bitbucket's own words."""
    bitbucket.merge_checks = ["At least 2 approvals are required"]
    commit = bitbucket.push("b")
    pull = bitbucket.open("b")
    with pytest.raises(Refused, match="2 approvals are required"):
        await host.merge(str(pull.id), commit, "squash")
    assert pull.state == "OPEN"


async def test_an_answer_that_is_no_merge_is_not_believed(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """It is looked at."""
    commit = bitbucket.push("b")
    pull = bitbucket.open("b")
    bitbucket.fail_next("POST", r"/pullrequests/\d+/merge", status=200, body={"state": "MERGED"})
    with pytest.raises(BadAnswer, match="is open after its merge"):
        await host.merge(str(pull.id), commit, "squash")
