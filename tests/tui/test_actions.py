"""What can be asked, what is told before, how an answer is got."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec import structs

from opensymphony.api.client import NoAnswer, UnknownIssue
from opensymphony.errors import InstanceError
from opensymphony.tui.actions import Asking, Request, Situation, Wish, applies, wish, wish_for_all
from opensymphony.tui.connection import StoreSource
from tests.tui.scenes import DIGEST, TICKETS, ticket
from tests.tui.screens import Still
from tests.tui.stand_in import StandIn, served

ACTIONS = ("approve", "reject", "message", "stop", "retry", "pause")
BY_NAME = {view.identifier: view for view in TICKETS}
STOP = Request(action="stop", identifier="SHOP-118", text="no need")


def test_what_applies_depends_on_where_a_ticket_is() -> None:
    """A key is shown where it does something."""
    shown = {name: " ".join(one for one in ACTIONS if applies(one, view)) for name, view in BY_NAME.items()}
    assert shown["SHOP-131"] == "message retry pause"
    assert shown["SHOP-127"] == "approve reject message retry pause"
    assert shown["SHOP-118"] == "message stop pause"
    assert shown["SHOP-109"] == "message stop retry pause"
    assert shown["SHOP-140"] == "message stop pause"
    assert shown["SHOP-101"] == "message retry pause"


def test_why_something_cannot_be_asked_is_told() -> None:
    """In words that say what else helps."""
    assert wish("approve", BY_NAME["SHOP-131"]) == "SHOP-131 asks a question: m answers it"
    assert wish("reject", BY_NAME["SHOP-118"]) == "SHOP-118 waits for no approval"
    assert wish("retry", BY_NAME["SHOP-118"]) == "a run works on SHOP-118 already"
    assert wish("retry", BY_NAME["SHOP-140"]) == "SHOP-140 is waiting to start already: Enter shows for what"
    assert wish("stop", BY_NAME["SHOP-88"]) == "nobody works on SHOP-88"
    assert wish("stop", None) == "no ticket is chosen"
    assert wish("explode", BY_NAME["SHOP-88"]) == "there is no action explode"


def test_a_confirmation_names_the_ticket_and_what_will_happen() -> None:
    """And of an approval exactly what is approved, by its digest."""
    for action in ("approve", "reject"):
        found = wish(action, BY_NAME["SHOP-127"])
        assert isinstance(found, Wish)
        assert found.digest == DIGEST and "rm -rf node_modules" in found.shown and "SHOP-127" in found.title
    answer = wish("message", BY_NAME["SHOP-131"])
    assert isinstance(answer, Wish) and answer.title == "Answer SHOP-131" and "old format" in answer.shown
    paused = wish("pause", ticket("A", "", "running", paused=True))
    assert isinstance(paused, Wish) and paused.action == "resume"
    assert [(one.action, one.identifier) for one in (wish_for_all(False), wish_for_all(True))] == [
        ("pause", None),
        ("resume", None),
    ]
    assert [choice.finish for choice in wish_for_all(False).choices] == [False, True]


async def test_a_lost_answer_is_asked_for_again_under_the_same_id(tmp_path: Path) -> None:
    """The daemon does it once; whoever waits is told."""
    lost: list[str] = []
    async with served(StandIn(), tmp_path) as (house, _):
        house.desk.lost = 2
        asking = Asking(StoreSource(str(tmp_path)), "ana", Still(), pauses_s=(0.01, 0.01, 0.01))
        answer = await asking.ask(STOP, lambda: lost.append("lost"))
        ids = {given["request_id"] for _, _, given in house.desk.asked}
        assert answer.accepted and len(house.desk.asked) == 3 and len(ids) == 1 and lost == ["lost", "lost"]
        assert house.desk.asked[0] == (
            "stop",
            "SHOP-118",
            {"request_id": ids.pop(), "text": "no need", "author": "ana", "finish": False, "digest": ""},
        )


async def test_what_stays_unanswered_is_asked_for_later_under_its_id(tmp_path: Path) -> None:
    """The same request of a person is the same request; another one, or one that was answered, is not."""
    async with served(StandIn(), tmp_path) as (house, _):
        house.desk.lost = 2
        asking = Asking(StoreSource(str(tmp_path)), "ana", Still(), pauses_s=(0.01,))
        with pytest.raises(NoAnswer):
            await asking.ask(STOP)
        await asking.ask(structs.replace(STOP, text="another"))
        await asking.ask(STOP)
        await asking.ask(STOP)
        ids = [given["request_id"] for _, _, given in house.desk.asked]
        assert ids[0] == ids[1] == ids[3] and len(set(ids)) == 3


async def test_the_same_words_in_another_situation_are_another_request(tmp_path: Path) -> None:
    """Else the old answer came, and nothing was done."""
    here = Situation(generation=1, since_ms=5, asked_digest="a")
    others = [structs.replace(here, **change) for change in ({"generation": 2}, {"since_ms": 6}, {"asked_digest": "b"})]
    async with served(StandIn(), tmp_path) as (house, _):
        house.desk.lost = 5
        asking = Asking(StoreSource(str(tmp_path)), "ana", Still(), pauses_s=())
        for situation in (here, here, *others):
            with pytest.raises(NoAnswer):
                await asking.ask(structs.replace(STOP, situation=situation))
        ids = [given["request_id"] for _, _, given in house.desk.asked]
        assert ids[0] == ids[1] and len(set(ids)) == 4


async def test_what_stays_unanswered_is_forgotten(tmp_path: Path) -> None:
    """After two minutes a person means something new."""
    clock = Still()
    async with served(StandIn(), tmp_path) as (house, _):
        house.desk.lost = 3
        asking = Asking(StoreSource(str(tmp_path)), "ana", clock, pauses_s=())
        for later_ms in (0, 119_000, 121_000):
            clock.ms += later_ms
            with pytest.raises(NoAnswer):
                await asking.ask(STOP)
        ids = [given["request_id"] for _, _, given in house.desk.asked]
        assert ids[0] == ids[1] != ids[2]


def test_a_wish_knows_its_situation() -> None:
    """The run, since when, and what is asked; of a pause of everything since when it lasts."""
    found = wish("approve", BY_NAME["SHOP-127"])
    assert isinstance(found, Wish)
    view = BY_NAME["SHOP-127"]
    assert found.situation == Situation(ticket_id=view.id, generation=1, since_ms=view.since_ms, asked_digest=DIGEST)
    assert wish_for_all(True, 5).situation != wish_for_all(True, 6).situation


async def test_a_refusal_is_an_answer(tmp_path: Path) -> None:
    """Told as the daemon says it; an unknown ticket is raised, and so is a daemon that is not there."""
    async with served(StandIn(), tmp_path) as (house, _):
        house.desk.accepts = False
        asking = Asking(StoreSource(str(tmp_path)), "", Still(), pauses_s=())
        assert not (await asking.ask(STOP)).accepted
        with pytest.raises(UnknownIssue):
            await asking.ask(structs.replace(STOP, identifier="NO-1"))
        await house.close()
        with pytest.raises(InstanceError, match="no daemon is running"):
            await asking.ask(STOP)


async def test_a_request_goes_to_the_daemon_that_is_there_now(tmp_path: Path) -> None:
    """Its address is looked up for each try."""
    async with served(StandIn(), tmp_path) as (house, tasks):
        asking = Asking(StoreSource(str(tmp_path)), "", Still(), pauses_s=())
        await house.close()
        await anyio.sleep(0.05)
        await house.open(tasks)
        answer: Any = await asking.ask(STOP)
        assert answer.accepted
