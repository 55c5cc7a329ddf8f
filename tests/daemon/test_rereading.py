"""Tickets that are read again by their ids, and those that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from opensymphony.clock import Clock
from opensymphony.daemon.rereading import ALONE_MAX, PROBLEMS_MAX, SEARCH_MAX, Rereader
from opensymphony.errors import BadAnswer, NotFound, Unreachable
from opensymphony.model import Ticket, TicketId
from tests.scheduler.playbook import ticket


class Shelf:
    """Tickets behind a tracker that answers all or nothing, as trackers do; every request is noted."""

    def __init__(self, count: int) -> None:
        self.ids = [TicketId(f"T-{number:04}") for number in range(count)]
        self.bad: dict[TicketId, Exception] = {}
        self.requests: list[list[TicketId]] = []
        self.read: list[TicketId] = []
        self.rereader = Rereader(self, Clock())  # type: ignore[arg-type]

    async def fetch_tickets(self, ids: Sequence[TicketId]) -> tuple[Ticket, ...]:
        self.requests.append(list(ids))
        for ticket_id in ids:
            if ticket_id in self.bad:
                raise self.bad[ticket_id]
        return tuple(ticket(ticket_id) for ticket_id in ids)

    def spoil(self, *numbers: int) -> None:
        for number in numbers:
            self.bad[self.ids[number]] = BadAnswer("shelf", f"{self.ids[number]} is torn")

    async def look(self, *urgent: int) -> int:
        """One look at everything; returns how many requests it took."""
        self.requests.clear()
        self.read.clear()

        async def take(asked: Sequence[TicketId], found: dict[TicketId, Ticket], began_ms: int) -> None:
            assert set(asked) == set(found)
            self.read += asked

        await self.rereader.read(self.ids, {self.ids[number] for number in urgent}, take)
        return len(self.requests)


async def test_good_tickets_are_asked_for_in_hundreds() -> None:
    """Each once."""
    shelf = Shelf(250)
    assert await shelf.look() == 3
    assert [len(request) for request in shelf.requests] == [100, 100, 50]
    assert shelf.read == shelf.ids
    assert shelf.rereader.problems() == []


async def test_one_bad_ticket_is_found_and_set_apart() -> None:
    """All the others are read at the same look; afterwards the bad one costs one request, and more and more rarely."""
    shelf = Shelf(100)
    shelf.spoil(37)
    assert await shelf.look() <= 15
    assert sorted(shelf.read) == [one for one in shelf.ids if one != shelf.ids[37]]
    assert shelf.rereader.problems() == ["shelf: T-0037 is torn"]
    later = [await shelf.look() for _ in range(40)]
    assert set(later) == {1, 2}
    tried = [number for number, requests in enumerate(later, start=1) if requests == 2]
    assert tried == [1, 3, 7, 15, 31]
    assert shelf.rereader.problems() == ["shelf: T-0037 is torn"]


async def test_a_mended_ticket_is_read_again() -> None:
    """It is a problem no more, and the others that were bad are tried at the next look."""
    shelf = Shelf(100)
    shelf.spoil(1, 2)
    for _ in range(8):
        await shelf.look()
    shelf.bad.clear()
    for _ in range(16):
        await shelf.look()
        if not shelf.rereader.problems():
            break
    assert shelf.rereader.problems() == []
    assert await shelf.look() == 1


async def test_a_bad_ticket_with_a_run_is_asked_for_at_every_look() -> None:
    """Whoever closes it is noticed as soon as it can be read."""
    shelf = Shelf(10)
    shelf.spoil(3)
    await shelf.look(3)
    assert [await shelf.look(3) for _ in range(20)] == [2] * 20
    shelf.bad.clear()
    await shelf.look(3)
    assert shelf.ids[3] in shelf.read


async def test_where_every_ticket_is_bad_a_look_stays_cheap() -> None:
    """The search is limited, goes on at the next looks, and ends; nothing is lost from view meanwhile."""
    shelf = Shelf(100)
    shelf.spoil(*range(100))
    assert await shelf.look() <= 1 + SEARCH_MAX
    assert "could not be read again because of others" in shelf.rereader.problems()[-1]
    costs = [await shelf.look() for _ in range(30)]
    assert max(costs) <= 1 + SEARCH_MAX + ALONE_MAX
    assert len(shelf.rereader.problems()) == 100
    assert max(costs[-5:]) <= ALONE_MAX
    shelf.bad.clear()
    for _ in range(16 + 10):
        await shelf.look()
    assert shelf.rereader.problems() == []


async def test_of_very_many_problems_the_rest_is_counted() -> None:
    """A hundred lines and one more."""
    shelf = Shelf(PROBLEMS_MAX + 20)
    shelf.spoil(*range(PROBLEMS_MAX + 20))
    for _ in range(20):
        await shelf.look()
    problems = shelf.rereader.problems()
    assert len(problems) == PROBLEMS_MAX + 1
    assert problems[-1] == "20 more tickets cannot be read"


async def test_a_bad_batch_hides_no_other() -> None:
    """What a search leaves unread is only of its own request."""
    shelf = Shelf(300)
    shelf.spoil(*range(100))
    await shelf.look()
    assert set(shelf.ids[100:]) <= set(shelf.read)


async def test_who_is_not_asked_for_any_more_is_forgotten() -> None:
    """A ticket that the search shows again, or that was closed, is no problem."""
    shelf = Shelf(10)
    shelf.spoil(3)
    await shelf.look()
    del shelf.ids[3]
    assert await shelf.look() == 1
    assert shelf.rereader.problems() == []


@pytest.mark.parametrize("error", [NotFound("shelf", "no such ticket"), KeyError("field"), ZeroDivisionError("")])
async def test_other_faults_of_one_ticket_are_set_apart_too(error: Exception) -> None:
    """Also a defect of the adapter that one strange ticket brings out."""
    shelf = Shelf(20)
    shelf.bad[shelf.ids[7]] = error
    await shelf.look()
    assert len(shelf.read) == 19
    [problem] = shelf.rereader.problems()
    assert "\n" not in problem
    assert ": " in problem


async def test_trouble_with_the_whole_tracker_is_raised() -> None:
    """It says nothing about any ticket."""
    shelf = Shelf(20)
    shelf.bad[shelf.ids[7]] = Unreachable("shelf", "gone")
    with pytest.raises(Unreachable):
        await shelf.look()
    assert shelf.rereader.problems() == []
