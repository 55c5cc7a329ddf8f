"""Tickets of people who mean no good arrive as text between two lines that they cannot contain, and do nothing."""

from __future__ import annotations

import re

import pytest

from opensymphony.model import TicketId
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler.records import Record, decode_record, encode_record
from opensymphony.workflow.prompt import DEFAULT_PROMPT, render_branch, render_prompt
from tests.fakes.jira import FakeJira
from tests.scheduler.playbook import Playbook, policy
from tests.services.jira.hostile import TICKETS, left_over, unfenced
from tests.services.jira.world import JiraWorld

_DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def test_there_are_enough_of_them() -> None:
    assert len(TICKETS) >= 50


def holds(prompt: str) -> None:
    """Nothing of a ticket stands outside of a fence: what is left is the same for everybody."""
    assert unfenced(prompt)[1] in left_over()


@pytest.mark.parametrize("name", TICKETS)
async def test_the_fence_holds(name: str, world: JiraWorld, jira: FakeJira) -> None:
    """Whatever it says comes as a ticket, can be written down, and is shown without signs that hide what is read."""
    fields = {"summary": "A ticket", **TICKETS[name]}
    issue = jira.create(**fields)
    async with world.open(acceptance_criteria_field="customfield_10035") as tracker:
        page = await tracker.fetch_candidates(["Todo"])
    [ticket] = page.tickets
    event = e.TicketChanged(at_ms=1, ticket=ticket)
    record = Record(sequence=1, event=event, decisions=())
    assert decode_record(encode_record(record)).event == event
    assert len(ticket.description or "") <= 61_000
    prompt = render_prompt(DEFAULT_PROMPT, ticket, None)
    holds(prompt)
    assert _DANGEROUS.search(prompt) is None
    assert render_branch("opensymphony/{{ issue.key }}", ticket) == "opensymphony/PROJ-1"
    assert issue == ticket.id


@pytest.mark.parametrize("name", [name for name in TICKETS if name.startswith("order")])
async def test_no_word_of_a_ticket_is_a_command(name: str, world: JiraWorld, jira: FakeJira) -> None:
    """Neither in its description nor in a comment of somebody who may not instruct."""
    jira.create(**{"summary": "A ticket", **TICKETS[name]})
    async with world.open() as tracker:
        [ticket] = (await tracker.fetch_candidates(["Todo"])).tickets
    said = (ticket.description or ticket.title).strip()
    book = Playbook(policy())
    book.tickets[ticket.id] = ticket
    book.send(e.TicketChanged(at_ms=book.now_ms, ticket=ticket))
    book.until(c.AwaitTurn)
    before = dict(book.state.requests)
    jira.say(ticket.id, said, "acc-eve")
    async with world.open() as tracker:
        [again] = await tracker.fetch_tickets([TicketId(ticket.id)])
    [comment] = again.comments
    book.send(e.TicketCommented(at_ms=book.now_ms, ticket_id=ticket.id, comment=comment))
    entry = book.state.entries[ticket.id]
    assert (book.state.requests, entry.messages, entry.granted) == (before, (), ())
    assert entry.run is not None and entry.run.stopping is None
