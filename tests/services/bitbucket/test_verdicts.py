"""Which commit an approval is about: Bitbucket keeps approvals when new commits come, and only its activity tells."""

from __future__ import annotations

from typing import Any

from opensymphony.services.bitbucket.code_host import BitbucketCodeHost
from tests.fakes.bitbucket import ADA, AGENT, BOB, FakeBitbucket

DAY = "2026-01-01T00:00:"


def approvals(reading: Any) -> dict[str, str]:
    return {one.author: one.commit for one in reading.reviews if one.verdict == "approved"}


async def test_an_approval_is_of_the_head_that_it_was_given_to(
    bitbucket: FakeBitbucket, host: BitbucketCodeHost
) -> None:
    """It stands after a push, and is still one of the commit before."""
    first = bitbucket.push("b")
    pull = bitbucket.open("b")
    bitbucket.judge(pull, "approved")
    assert approvals(await host.read(str(pull.id))) == {ADA: first[:12]}
    second = bitbucket.push("b")
    bitbucket.judge(pull, "approved", author=BOB)
    assert approvals(await host.read(str(pull.id))) == {ADA: first[:12], BOB: second[:12]}
    bitbucket.judge(pull, "approved")
    assert approvals(await host.read(str(pull.id)))[ADA] == second[:12]


async def test_the_activity_is_read_only_where_somebody_has_approved(
    bitbucket: FakeBitbucket, host: BitbucketCodeHost
) -> None:
    """It is a request or more for each look."""
    bitbucket.push("b")
    pull = bitbucket.open("b")
    bitbucket.judge(pull, "changes_requested")
    (review,) = (await host.read(str(pull.id))).reviews
    assert review.verdict == "changes_requested" and review.commit == ""
    assert not [path for _, path in bitbucket.requests if path.endswith("/activity")]


async def test_our_own_approval_is_known_as_ours(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """It never counts."""
    bitbucket.push("b")
    pull = bitbucket.open("b")
    bitbucket.judge(pull, "approved", author=AGENT)
    (review,) = (await host.read(str(pull.id))).reviews
    assert review.is_ours


async def test_what_cannot_be_placed_is_of_no_commit(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """An approval before any push that is told, in the very moment of one, without a time, or by nobody."""
    bitbucket.push("b")
    pull = bitbucket.open("b")
    bitbucket.judge(pull, "approved")
    update = {"update": {"date": f"{DAY}10+00:00", "source": {"commit": {"hash": "a" * 12}}}}
    for approval in (
        {"date": f"{DAY}09+00:00", "user": {"uuid": ADA}},
        {"date": f"{DAY}10+00:00", "user": {"uuid": ADA}},
        {"date": "soon", "user": {"uuid": ADA}},
        {"date": f"{DAY}11+00:00", "user": None},
    ):
        body = {"values": [{"approval": approval}, update, {"comment": {}}, {"update": {"date": f"{DAY}20+00:00"}}]}
        bitbucket.fail_next("GET", r"/pullrequests/\d+/activity", status=200, body=body)
        assert approvals(await host.read(str(pull.id))) == {ADA: ""}
    body = {"values": [{"approval": {"date": f"{DAY}11+00:00", "user": {"uuid": ADA}}}, update]}
    bitbucket.fail_next("GET", r"/pullrequests/\d+/activity", status=200, body=body)
    assert approvals(await host.read(str(pull.id))) == {ADA: "a" * 12}
