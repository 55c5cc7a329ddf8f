"""Which account is ours, and what is asked for a reading."""

from __future__ import annotations

from pathlib import Path

from opensymphony.model import PullRequestText
from opensymphony.services.bitbucket.code_host import BitbucketCodeHost
from tests.fakes.bitbucket import ADA, AGENT, BOT, FakeBitbucket
from tests.services.bitbucket.world import BitbucketBotWorld

BRANCH = "opensymphony/ABC-1"
TEXT = PullRequestText(branch=BRANCH, base="main", title="A title", body="A body")


async def test_an_api_token_is_asked_once_whose_it_is(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """And again never."""
    pull = bitbucket.open("b")
    for _ in range(2):
        await host.read(str(pull.id))
    assert host.account == AGENT
    assert bitbucket.requests.count(("GET", "/user")) == 1


async def test_an_access_token_is_known_by_what_it_has_opened(tmp_path: Path) -> None:
    """By the answer to what it has opened; after a restart, by the line in it."""
    world = BitbucketBotWorld(tmp_path)
    async with world.there() as bitbucket:
        bitbucket.push(BRANCH)
        async with world.open() as host:
            made = await host.publish(TEXT)
            assert host.account == BOT
            await host.comment(made.id, "status", "begun")
        async with world.open() as host:
            (thread,) = (await host.read(made.id)).threads
            assert thread.comments[0].is_ours and host.account == BOT


async def test_a_person_who_opened_ours_is_not_us(tmp_path: Path) -> None:
    """Else what they say in a review would count as ours, and be heard by nobody."""
    world = BitbucketBotWorld(tmp_path)
    async with world.there() as bitbucket:
        bitbucket.push(BRANCH)
        pull = bitbucket.open(BRANCH, author=ADA)
        bitbucket.say(pull, "please change this", author=ADA)
        async with world.open() as host:
            await host.publish(TEXT)
            (thread,) = (await host.read(str(pull.id))).threads
            assert not thread.comments[0].is_ours and host.account == ""


async def test_an_approval_alone_is_a_verdict(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """Where the state is not told."""
    pull = bitbucket.open("b")
    bitbucket.fail_next(
        "GET",
        r"/pullrequests/\d+",
        status=200,
        body={
            "id": pull.id,
            "state": "OPEN",
            "participants": [
                {"approved": True, "user": {"uuid": ADA}},
                {"approved": True, "user": None},
                {"approved": False, "user": {"uuid": AGENT}},
            ],
        },
    )
    assert [(one.author, one.verdict) for one in (await host.read(str(pull.id))).reviews] == [(ADA, "approved")]


async def test_where_the_host_cannot_tell_of_conflicts_nothing_is_said(
    bitbucket: FakeBitbucket, host: BitbucketCodeHost
) -> None:
    """As for a base branch that was deleted."""
    bitbucket.push(BRANCH)
    bitbucket.branch_off("old-base")
    pull = bitbucket.open(BRANCH, base="old-base")
    bitbucket.delete_branch("old-base")
    assert (await host.read(str(pull.id))).conflicts == ()


async def test_what_was_asked_is_counted(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    await host.find("b")
    state = host.state()
    assert state is not None and (state.requests, state.refused, state.paused_until_ms) == (1, 0, 0)
