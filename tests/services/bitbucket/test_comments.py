"""Our comments, in the cases that only a crash or a person brings about."""

from __future__ import annotations

import pytest

from opensymphony.errors import Refused, Unreachable
from opensymphony.services.bitbucket.code_host import BitbucketCodeHost
from opensymphony.services.bitbucket.marks import signed
from tests.fakes.bitbucket import ADA, AGENT, BOT, FakeBitbucket
from tests.services.bitbucket.world import BitbucketBotWorld, BitbucketWorld


async def test_of_two_that_a_crash_has_left_the_older_stays(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """The later one is taken off."""
    pull = bitbucket.open("b")
    older = bitbucket.say(pull, signed("one", "status"), author=AGENT)
    bitbucket.say(pull, signed("two", "status"), author=AGENT)
    assert await host.comment(str(pull.id), "status", "three") == str(older)
    assert bitbucket.comment_texts(pull) == [signed("three", "status")]


async def test_what_has_not_changed_is_not_written(bitbucket: FakeBitbucket, world: BitbucketWorld) -> None:
    """A restart tells nobody anything."""
    pull = bitbucket.open("b")
    bitbucket.say(pull, signed("one", "status"), author=AGENT)
    async with world.open() as host:
        await host.comment(str(pull.id), "status", "one")
    assert "edits" not in pull.comments[0]


async def test_a_lost_comment_that_was_never_written_is_said_to_be_lost(
    bitbucket: FakeBitbucket, host: BitbucketCodeHost
) -> None:
    """The next try writes it."""
    pull = bitbucket.open("b")
    bitbucket.fail_next("POST", r"/pullrequests/\d+/comments", status=502)
    with pytest.raises(Unreachable):
        await host.comment(str(pull.id), "status", "one")
    await host.comment(str(pull.id), "status", "one")
    assert len(pull.comments) == 1


async def test_nobody_is_mentioned_by_an_agent(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    pull = bitbucket.open("b")
    await host.comment(str(pull.id), "status", "ask @{557058:1}")
    assert "@{" not in bitbucket.comment_texts(pull)[0]


async def test_an_answer_to_a_deleted_beginning_follows_what_is_left(
    bitbucket: FakeBitbucket, host: BitbucketCodeHost
) -> None:
    """Bitbucket takes no answer to what was deleted."""
    pull = bitbucket.open("b")
    root = bitbucket.say(pull, "gone")
    left = bitbucket.say(pull, "left", parent=root)
    bitbucket.delete_comment(pull, root)
    await host.comment(str(pull.id), "a", "answer", thread_id=str(root))
    assert pull.comments[-1]["parent"] == left


async def test_without_an_account_ours_is_what_we_may_edit(tmp_path) -> None:
    """A copied marker is tried, refused, and left to who wrote it; then the account is known."""
    world = BitbucketBotWorld(tmp_path)
    async with world.there() as bitbucket:
        pull = bitbucket.open("b")
        bitbucket.say(pull, signed("copied", "status"), author=ADA)
        ours = bitbucket.say(pull, signed("one", "status"), author=BOT)
        bitbucket.say(pull, signed("two", "status"), author=BOT)
        async with world.open() as host:
            assert await host.comment(str(pull.id), "status", "three") == str(ours)
            assert host.account == BOT
        assert bitbucket.comment_texts(pull) == [signed("copied", "status"), signed("three", "status")]


async def test_a_missing_permission_is_said(bitbucket: FakeBitbucket, host: BitbucketCodeHost) -> None:
    """And not taken for somebody else's comment."""
    pull = bitbucket.open("b")
    bitbucket.missing_scopes = {"pullrequest"}
    with pytest.raises(Refused, match="scope pullrequest"):
        await host.comment(str(pull.id), "status", "one")
