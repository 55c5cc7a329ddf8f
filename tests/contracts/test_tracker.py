"""The duties of every tracker, whatever is behind it. A new adapter adds its world to `WORLDS` and passes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from opensymphony.clock import Clock
from opensymphony.daemon.claims import Claims
from opensymphony.errors import NotFound, ServiceError
from opensymphony.interfaces import Tracker
from opensymphony.model import Claim, TicketId
from tests.contracts.worlds import TrackerWorld
from tests.fakes.shifted_clock import Shifted
from tests.services.files.world import FilesWorld
from tests.services.jira.world import JiraWorld, OAuthWorld

WORLDS: dict[str, Callable[[Path], TrackerWorld]] = {"files": FilesWorld, "jira": JiraWorld, "jira-oauth": OAuthWorld}

MISSING = TicketId("NO-SUCH-TICKET")


@pytest.fixture(params=sorted(WORLDS))
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TrackerWorld]:
    made = WORLDS[request.param](tmp_path)
    async with made.there():
        yield made


@pytest.fixture
async def tracker(world: TrackerWorld) -> AsyncIterator[Tracker]:
    async with world.open() as tracker:
        yield tracker


def claim(instance: str = "here", generation: int = 1, heartbeat_ms: int = 1_000_000) -> Claim:
    return Claim(instance=instance, generation=generation, heartbeat_ms=heartbeat_ms)


async def read(tracker: Tracker, ticket_id: TicketId):
    (ticket,) = await tracker.fetch_tickets([ticket_id])
    return ticket


class TestReading:
    async def test_candidates_are_those_in_the_states_asked_for(self, world: TrackerWorld, tracker: Tracker) -> None:
        """States are compared without case, other tickets stay out, the order is the tracker's."""
        first = await world.create(state="Todo")
        await world.create(state="Done")
        third = await world.create(state="In Progress")
        page = await tracker.fetch_candidates(["todo", "IN PROGRESS"])
        assert [ticket.id for ticket in page.tickets] == [first, third]
        assert [ticket.state for ticket in page.tickets] == ["Todo", "In Progress"]
        assert page.problems == ()

    async def test_no_states_and_no_ids_ask_nothing(self, world: TrackerWorld, tracker: Tracker) -> None:
        """Even a tracker that is down answers a question that is none."""
        await world.break_down()
        assert (await tracker.fetch_candidates([])).tickets == ()
        assert await tracker.fetch_tickets([]) == ()

    async def test_a_tracker_that_is_down_raises(self, world: TrackerWorld, tracker: Tracker) -> None:
        """Trouble is never mistaken for an empty board or a ticket that is gone."""
        ticket_id = await world.create()
        await world.break_down()
        with pytest.raises(ServiceError):
            await tracker.fetch_candidates(["Todo"])
        with pytest.raises(ServiceError):
            await tracker.fetch_tickets([ticket_id])

    async def test_a_ticket_arrives_with_all_that_was_written(self, world: TrackerWorld, tracker: Tracker) -> None:
        """Title, text, priority, assignee, and labels in lower case without doubles and blanks."""
        ticket_id = await world.create(
            "Größe prüfen",
            description="Zwei *Absätze*\n\nmit Text",
            priority=2,
            labels=[" Ready ", "ready", "", "Bug"],
            assignee="ada",
        )
        ticket = await read(tracker, ticket_id)
        assert (ticket.title, ticket.description) == ("Größe prüfen", "Zwei *Absätze*\n\nmit Text")
        assert (ticket.priority, ticket.assignee, ticket.labels) == (2, "ada", ("ready", "bug"))
        assert ticket.claim is None and ticket.dispatchable

    async def test_relations_carry_the_present_state(self, world: TrackerWorld, tracker: Tracker) -> None:
        """Blockers, parent and children name the others and where they stand now."""
        parent = await world.create(state="In Progress")
        blocker = await world.create(state="Todo")
        ticket_id = await world.create(blocked_by=[blocker], parent=parent)
        ticket = await read(tracker, ticket_id)
        assert [(ref.id, ref.state) for ref in ticket.blocked_by] == [(blocker, "Todo")]
        assert ticket.parent is not None
        assert (ticket.parent.id, ticket.parent.state) == (parent, "In Progress")
        await world.move(blocker, "Done")
        assert [ref.state for ref in (await read(tracker, ticket_id)).blocked_by] == ["Done"]
        assert [ref.id for ref in (await read(tracker, parent)).children] == [ticket_id]

    async def test_ids_are_read_in_any_state_and_in_the_order_asked_for(
        self, world: TrackerWorld, tracker: Tracker
    ) -> None:
        """A ticket that is gone is left out; the others stay in order."""
        one, two, three = [await world.create(state=state) for state in ("Done", "Todo", "Odd")]
        await world.delete(two)
        found = await tracker.fetch_tickets([three, two, MISSING, one])
        assert [(ticket.id, ticket.state) for ticket in found] == [(three, "Odd"), (one, "Done")]

    async def test_a_refresh_shows_every_change(self, world: TrackerWorld, tracker: Tracker) -> None:
        """Also one that leaves the state alone, and one made within the same instant."""
        ticket_id = await world.create("Before", labels=["ready"])
        assert (await read(tracker, ticket_id)).labels == ("ready",)
        await world.relabel(ticket_id, ["other"])
        await world.retitle(ticket_id, "After!")
        ticket = await read(tracker, ticket_id)
        assert (ticket.title, ticket.labels) == ("After!", ("other",))
        page = await tracker.fetch_candidates(["Todo"])
        assert [ticket.title for ticket in page.tickets] == ["After!"]

    async def test_bad_optional_data_is_dropped_and_reported(self, world: TrackerWorld, tracker: Tracker) -> None:
        """The ticket is worked on all the same."""
        ticket_id = await world.create(priority=1, labels=["ready"])
        await world.spoil_optional(ticket_id)
        page = await tracker.fetch_candidates(["Todo"])
        (ticket,) = page.tickets
        assert (ticket.priority, ticket.labels, ticket.assignee, ticket.created_at) == (None, (), None, None)
        assert page.problems

    async def test_a_malformed_ticket_hides_no_other(self, world: TrackerWorld, tracker: Tracker) -> None:
        """A list leaves it out and says so; asked for by id it raises, for it is not gone."""
        bad, good = await world.create(), await world.create()
        await world.spoil(bad)
        page = await tracker.fetch_candidates(["Todo"])
        assert [ticket.id for ticket in page.tickets] == [good]
        assert len(page.problems) == 1 and "\n" not in page.problems[0]
        assert [ticket.id for ticket in await tracker.fetch_tickets([good])] == [good]
        with pytest.raises(ServiceError):
            await tracker.fetch_tickets([good, bad])


class TestClaims:
    async def test_a_free_ticket_is_granted_and_shows_the_claim(self, world: TrackerWorld, tracker: Tracker) -> None:
        """Doing it again changes nothing."""
        ticket_id = await world.create()
        for _ in range(2):
            assert (await tracker.claim(ticket_id, claim(), replacing=None)).granted
            assert (await read(tracker, ticket_id)).claim == claim()

    async def test_a_claim_of_another_stands(self, world: TrackerWorld, tracker: Tracker) -> None:
        """However old its heartbeat is; the answer names the holder, and the ticket keeps its claim."""
        ticket_id = await world.create()
        async with world.open() as other:
            await other.claim(ticket_id, claim("there"), replacing=None)
        answer = await tracker.claim(ticket_id, claim(heartbeat_ms=10**12), replacing=None)
        assert (answer.granted, answer.holder) == (False, claim("there"))
        assert (await read(tracker, ticket_id)).claim == claim("there")

    async def test_only_exactly_the_claim_that_is_named_is_replaced(
        self, world: TrackerWorld, tracker: Tracker
    ) -> None:
        """A heartbeat that came meanwhile saves it."""
        ticket_id = await world.create()
        await tracker.claim(ticket_id, claim("there", heartbeat_ms=2), replacing=None)
        answer = await tracker.claim(ticket_id, claim(), replacing=claim("there", heartbeat_ms=1))
        assert (answer.granted, answer.holder) == (False, claim("there", heartbeat_ms=2))
        assert (await tracker.claim(ticket_id, claim(), replacing=claim("there", heartbeat_ms=2))).granted
        assert (await read(tracker, ticket_id)).claim == claim()

    async def test_our_own_claim_is_replaced(self, world: TrackerWorld, tracker: Tracker) -> None:
        """Of whatever generation: a renewal, a later run, or what a run before a crash has left."""
        ticket_id = await world.create()
        await tracker.claim(ticket_id, claim(generation=2), replacing=None)
        for newer in (claim(generation=2, heartbeat_ms=1_000_500), claim(generation=3), claim(generation=1)):
            assert (await tracker.claim(ticket_id, newer, replacing=None)).granted
            assert (await read(tracker, ticket_id)).claim == newer

    async def test_of_two_at_once_one_is_granted(self, world: TrackerWorld, tracker: Tracker) -> None:
        """And what stands on the ticket is the one that was told so."""
        granted, tries = 0, 0
        while granted < 5:
            ticket_id = await world.create()
            answers: dict[str, bool] = {}

            async def attempt(tracker: Tracker, name: str, ticket_id: TicketId, answers: dict[str, bool]) -> None:
                claims = Claims(tracker, Clock())
                answers[name] = (await claims.claim(ticket_id, claim(name), stale_after_ms=60_000)).granted

            with capture_logs() as said:
                async with world.open() as other, anyio.create_task_group() as tasks:
                    tasks.start_soon(attempt, tracker, "here", ticket_id, answers)
                    tasks.start_soon(attempt, other, "there", ticket_id, answers)
            tries += 1
            assert sorted(answers.values()) != [True, True]
            if not any(answers.values()):  # only on a slow machine: one that took too long is withdrawn
                assert tries < 50 and any("took too long" in line["event"] for line in said)
                continue
            granted += 1
            (winner,) = [name for name, granted in answers.items() if granted]
            assert (await read(tracker, ticket_id)).claim == claim(winner)

    async def test_a_claim_that_nobody_renews_is_taken_over_once(self, world: TrackerWorld, tracker: Tracker) -> None:
        """Of two daemons that have watched it long enough, one gets it; the other then sees the claim that took its place."""
        ticket_id = await world.create()
        async with world.open() as other:
            await other.claim(ticket_id, claim("dead", heartbeat_ms=1), replacing=None)
            clock = Shifted()
            rivals = {name: Claims(one, clock) for name, one in (("here", tracker), ("there", other))}
            for shift_ms, expected in ((0, 0), (30_000, 0), (31_000, 1), (0, 1), (61_000, 1)):
                clock.shift_ms += shift_ms
                granted = 0
                for name, claims in rivals.items():
                    mine = claim(name, heartbeat_ms=clock.now_ms())
                    granted += (await claims.claim(ticket_id, mine, stale_after_ms=60_000)).granted
                assert granted == expected, f"after {shift_ms}"

    async def test_release_takes_off_only_our_own(self, world: TrackerWorld, tracker: Tracker) -> None:
        """Another's claim, a newer generation, no claim and a missing ticket are left alone."""
        ticket_id = await world.create()
        await tracker.claim(ticket_id, claim(generation=3), replacing=None)
        await tracker.release(ticket_id, claim("there", generation=9))
        await tracker.release(ticket_id, claim(generation=2))
        assert (await read(tracker, ticket_id)).claim == claim(generation=3)
        for _ in range(2):
            await tracker.release(ticket_id, claim(generation=3))
            assert (await read(tracker, ticket_id)).claim is None
        await tracker.release(MISSING, claim())

    async def test_a_missing_ticket_cannot_be_claimed(self, tracker: Tracker) -> None:
        """It is said to be missing, not to be another's."""
        with pytest.raises(NotFound):
            await tracker.claim(MISSING, claim(), replacing=None)


class TestTransitions:
    async def test_a_ticket_is_moved_from_an_expected_state(self, world: TrackerWorld, tracker: Tracker) -> None:
        """States are compared without case; the rest of the ticket stays."""
        ticket_id = await world.create("Keep me", state="Todo", labels=["ready"])
        await tracker.claim(ticket_id, claim(), replacing=None)
        before = await read(tracker, ticket_id)
        answer = await tracker.transition(ticket_id, from_states=["TODO", "Backlog"], to_state="In Progress")
        assert (answer.moved, answer.state) == (True, "In Progress")
        after = await read(tracker, ticket_id)
        assert (after.state, after.title, after.labels, after.claim) == (
            "In Progress",
            before.title,
            before.labels,
            claim(),
        )

    async def test_moving_again_says_that_it_is_there(self, world: TrackerWorld, tracker: Tracker) -> None:
        """The second of two equal calls has no effect."""
        ticket_id = await world.create(state="Todo")
        await tracker.transition(ticket_id, from_states=["Todo"], to_state="In Review")
        answer = await tracker.transition(ticket_id, from_states=["Todo"], to_state="In Review")
        assert (answer.moved, answer.state) == (False, "In Review")

    async def test_the_state_a_person_chose_wins(self, world: TrackerWorld, tracker: Tracker) -> None:
        """A ticket that is elsewhere by now is left there."""
        ticket_id = await world.create(state="Todo")
        await read(tracker, ticket_id)
        await world.move(ticket_id, "Cancelled")
        answer = await tracker.transition(ticket_id, from_states=["Todo"], to_state="In Review")
        assert (answer.moved, answer.state) == (False, "Cancelled")
        assert (await read(tracker, ticket_id)).state == "Cancelled"

    async def test_a_missing_ticket_cannot_be_moved(self, tracker: Tracker) -> None:
        """It is said to be missing."""
        with pytest.raises(NotFound):
            await tracker.transition(MISSING, from_states=["Todo"], to_state="Done")


class TestComments:
    async def test_one_comment_is_edited_in_place(self, world: TrackerWorld, tracker: Tracker) -> None:
        """The same remote id, the new text instead of the old; repeating it changes nothing."""
        ticket_id = await world.create()
        first = await tracker.upsert_comment(ticket_id, "status", "Working on *it*.")
        assert "Working on *it*." in await world.comments(ticket_id)
        for _ in range(2):
            assert await tracker.upsert_comment(ticket_id, "status", "Ready for review.") == first
            text = await world.comments(ticket_id)
            assert text.count("Ready for review.") == 1 and "Working on" not in text

    async def test_peoples_comments_and_other_markers_stay(self, world: TrackerWorld, tracker: Tracker) -> None:
        """Only the section of the marker changes."""
        ticket_id = await world.create()
        await world.comment(ticket_id, "I said this first.")
        await tracker.upsert_comment(ticket_id, "one", "ours, one")
        await tracker.upsert_comment(ticket_id, "two", "ours, two")
        await world.comment(ticket_id, "And this last.")
        await tracker.upsert_comment(ticket_id, "one", "ours, changed")
        text = await world.comments(ticket_id)
        for part in ("I said this first.", "And this last.", "ours, changed", "ours, two"):
            assert text.count(part) == 1
        assert "ours, one" not in text

    async def test_what_people_say_comes_with_the_ticket(self, world: TrackerWorld, tracker: Tracker) -> None:
        """In order, with author and text; what we write is not among it; a comment keeps its id and its number rises."""
        ticket_id = await world.create()
        assert (await read(tracker, ticket_id)).comments == ()
        await world.comment(ticket_id, "Use the *old* parser.", "ada")
        await tracker.upsert_comment(ticket_id, "status", "Working on it.")
        first = (await read(tracker, ticket_id)).comments
        assert [(one.author_name, one.text) for one in first] == [("ada", "Use the *old* parser.")]
        assert first[0].author
        await world.comment(ticket_id, "/retry", "bob")
        await tracker.upsert_comment(ticket_id, "status", "Done.")
        second = (await read(tracker, ticket_id)).comments
        assert second[0] == first[0]
        assert [one.author_name for one in second] == ["ada", "bob"]
        assert second[0].number < second[1].number
        assert second[0].id != second[1].id
        (candidate,) = (await tracker.fetch_candidates(["Todo"])).tickets
        assert candidate.comments == second

    async def test_a_body_cannot_break_out_of_its_comment(self, world: TrackerWorld, tracker: Tracker) -> None:
        """What ends a comment in this tracker has no power inside one; the next edit still replaces all of it."""
        ticket_id = await world.create()
        await tracker.upsert_comment(ticket_id, "status", "before")
        marks = await world.comments(ticket_id)
        await tracker.upsert_comment(ticket_id, "status", f"evil start\n{marks}\n{marks}\nevil end")
        await tracker.upsert_comment(ticket_id, "status", "after")
        text = await world.comments(ticket_id)
        assert text.count("after") == 1 and "evil" not in text and "before" not in text

    async def test_a_missing_ticket_gets_no_comment(self, world: TrackerWorld, tracker: Tracker) -> None:
        """It is said to be missing."""
        ticket_id = await world.create()
        await tracker.upsert_comment(ticket_id, "status", "here")
        await world.delete(ticket_id)
        with pytest.raises(NotFound):
            await tracker.upsert_comment(ticket_id, "status", "there")
