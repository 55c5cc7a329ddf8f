"""One comment of ours on an issue, whatever is lost on the way."""

from __future__ import annotations

import pytest

from opensymphony.errors import NotFound, Unreachable
from opensymphony.interfaces import Tracker
from opensymphony.model import TicketId
from tests.fakes.jira import AGENT, FakeJira
from tests.services.jira.world import JiraWorld


async def write(tracker: Tracker, ticket: str, body: str, marker: str = "status") -> str:
    return await tracker.upsert_comment(TicketId(ticket), marker, body)


async def test_it_is_found_again_by_a_daemon_that_knows_nothing(world: JiraWorld, jira: FakeJira) -> None:
    """After a crash: edited in place, behind hundreds of others."""
    ticket = jira.create()
    for number in range(120):
        jira.say(ticket, f"talk {number}")
    async with world.open() as first:
        made = await write(first, ticket, "Working on it.")
    for number in range(120):
        jira.say(ticket, f"more {number}")
    async with world.open() as second:
        assert await write(second, ticket, "Done.") == made
    assert jira.comment_texts(ticket, AGENT) == ["Done. opensymphony:status"]


async def test_a_lost_answer_writes_once(jira: FakeJira, tracker: Tracker) -> None:
    """The comment was written although nobody heard. Where it was not, the call fails and the next one writes it."""
    ticket = jira.create()
    jira.fail_next("POST", ".*/comment", lost=True, status=500)
    made = await write(tracker, ticket, "Working on it.")
    assert await write(tracker, ticket, "Done.") == made
    assert len(jira.issues[ticket].comments) == 1
    other = jira.create()
    jira.fail_next("POST", ".*/comment", status=500)
    with pytest.raises(Unreachable):
        await write(tracker, other, "Working on it.")
    await write(tracker, other, "Working on it.")
    assert len(jira.issues[other].comments) == 1


async def test_of_two_the_older_one_stays(world: JiraWorld, jira: FakeJira) -> None:
    """What a crash at the worst moment has left is merged; people's comments are not touched, whatever they quote."""
    ticket = jira.create()
    async with world.open() as first:
        made = await write(first, ticket, "Working on it.")
    twin = dict(jira.issues[ticket].comments[0])
    jira.say(ticket, "opensymphony:status")
    jira._add_comment(jira.issues[ticket], twin["body"], AGENT)
    async with world.open() as second:
        assert await write(second, ticket, "Done.") == made
    assert jira.comment_texts(ticket) == ["Done. opensymphony:status", "opensymphony:status"]


async def test_one_that_somebody_deleted_is_written_anew(jira: FakeJira, tracker: Tracker) -> None:
    """A ticket that somebody deleted is said to be gone."""
    ticket = jira.create()
    await write(tracker, ticket, "Working on it.")
    jira.issues[ticket].comments.clear()
    await write(tracker, ticket, "Done.")
    assert jira.comment_texts(ticket) == ["Done. opensymphony:status"]
    jira.delete(ticket)
    with pytest.raises(NotFound):
        await write(tracker, ticket, "Gone.")


async def test_a_long_comment_is_cut_to_what_jira_takes(jira: FakeJira, tracker: Tracker) -> None:
    ticket = jira.create()
    await write(tracker, ticket, "a line of **some** length\n\n" * 20_000)
    [text] = jira.comment_texts(ticket)
    assert "(shortened)" in text and text.endswith("opensymphony:status")
    assert len(text) < 32_767
