"""A ticket's page."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs

from opensymphony.tui.blocks import BlockView
from opensymphony.tui.ticket import SECTIONS, TicketScreen
from opensymphony.views import TranscriptEntry
from tests.tui import scenes
from tests.tui.screens import Seat, seated


def said(seq: int, text: str) -> TranscriptEntry:
    return TranscriptEntry(seq=seq, kind="message", at="2023-11-14T22:06:00", text=text)


def screen(seat: Seat) -> TicketScreen:
    found = seat.app.screen
    assert isinstance(found, TicketScreen)
    return found


async def opened(seat: Seat, *keys: str) -> None:
    """The page of SHOP-118."""
    await seat.press("j", "j", "enter", *keys)


async def test_each_part_is_a_key_away(tmp_path: Path) -> None:
    """By its number, by Tab and by arrows; Esc goes back to the board, where the cursor was."""
    seen = {
        "1": "conditions on starting it",
        "2": "I look at them next",
        "3": "the output went back to the agent",
        "4": "tests/test_basket.py  +2 -0",
        "5": "✗ failed, exit code 1",
        "6": "budgets",
    }
    async with seated(tmp_path, size=(100, 40)) as seat:
        await opened(seat)
        for key, text in seen.items():
            await seat.press(key)
            await seat.sees(text)
        for key, section in (("tab", "overview"), ("shift+tab", "cost"), ("left", "checks"), ("right", "cost")):
            await seat.press(key)
            assert screen(seat).section == section
        await seat.press("escape")
        assert "waiting for you" in seat.text and seat.app.chosen is not None
        assert seat.app.chosen.identifier == "SHOP-118"


async def test_a_transcript_is_followed(tmp_path: Path) -> None:
    """What is added is seen at the end; whoever goes up is left in peace, and follows again with f."""
    async with seated(tmp_path, size=(80, 20)) as seat:
        await opened(seat, "f")
        await seat.sees("I look at them next", "following")
        talk = seat.desk.talks["SHOP-118"]
        talk += [said(11, "a new thing is said")]
        await seat.sees("a new thing is said")
        assert seat.desk.read[-1][3] in (10, 11)
        await seat.press("pageup")
        assert "f follows" in seat.text
        top = [line[:70].rstrip() for line in seat.lines[4:18]]
        talk += [said(seq, f"number {seq}") for seq in range(12, 40)]
        await seat.until(lambda: any(asked[3] == 39 for asked in seat.desk.read))
        assert [line[:70].rstrip() for line in seat.lines[4:18]] == top
        await seat.press("f")
        await seat.sees("number 39", "following")
        await seat.press("f")
        assert "f follows" in seat.text


async def test_older_entries_come_at_the_top(tmp_path: Path) -> None:
    """A page at a time, up to the beginning; what is read stays where it is."""
    async with seated(tmp_path, size=(80, 20)) as seat:
        seat.desk.talks["SHOP-118"] = [said(seq, f"number {seq}") for seq in range(1, 451)]
        await opened(seat, "2")
        await seat.sees("number 450")
        await seat.press("home")
        await seat.until(lambda: any(asked[2] == 251 for asked in seat.desk.read))
        await seat.sees("number 251")
        await seat.press("home")
        await seat.until(lambda: any(asked[2] == 51 for asked in seat.desk.read))
        await seat.until(lambda: screen(seat)._talk.before is None)
        await seat.press("home")
        await seat.sees("beginning of the conversation", "number 1")


async def test_another_conversation_is_read_from_its_end(tmp_path: Path) -> None:
    """When the daemon has put another one in its place."""
    async with seated(tmp_path, size=(80, 20)) as seat:
        await opened(seat, "2")
        await seat.sees("I look at them next")
        seat.desk.past.conversation_id = "other"
        seat.desk.talks["SHOP-118"] = [said(0, "I begin anew")]
        await seat.house.close()
        await seat.house.open(seat.tasks)
        await seat.sees("I begin anew")
        assert "I look at them next" not in seat.text


async def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    """And looked for again: a conversation that begins later is shown."""
    async with seated(tmp_path) as seat:
        await seat.press("enter", "4")
        await seat.sees("it has no workspace yet")
        await seat.press("2")
        await seat.sees("SHOP-131 has no conversation yet")
        seat.desk.talks["SHOP-131"] = [said(1, "now there is one")]
        await seat.sees("now there is one")


async def test_an_empty_conversation_says_so(tmp_path: Path) -> None:
    """It is not being loaded for ever."""
    async with seated(tmp_path) as seat:
        seat.desk.talks["SHOP-131"] = []
        await seat.press("enter", "2")
        await seat.sees("nothing was said yet")
        seat.desk.talks["SHOP-131"] = [said(1, "the first word")]
        await seat.sees("the first word")


async def test_a_change_of_the_ticket_is_shown(tmp_path: Path) -> None:
    """In the head and in the part that is looked at; one that is gone says so and can be asked for nothing."""
    async with seated(tmp_path) as seat:
        await seat.press("enter")
        await seat.sees("the agent asks a question")
        first = structs.replace(scenes.TICKETS[0], phase="running", asked=None, stage="sending", reason="it goes on")
        seat.show(tickets=(first, *scenes.TICKETS[1:]))
        await seat.sees("● SHOP-131", "sending", "▌ it goes on")
        seat.show(tickets=scenes.TICKETS[1:])
        await seat.sees("the tracker or the daemon has let go of it")
        await seat.press("x")
        assert seat.told[-1] == "no ticket is chosen"


async def test_times_on_a_page_go_on(tmp_path: Path) -> None:
    """Without another picture, without asking the daemon, and only what says something else is laid out anew."""
    async with seated(tmp_path, size=(100, 40)) as seat:
        await seat.press("enter")
        await seat.sees("48m left", "all 3 places are taken  for 2m")
        kept = {block.key: block for block in screen(seat)._blocks["overview"]}
        seat.clock.ms += 60_000
        await seat.sees("47m left", "all 3 places are taken  for 3m")
        now = {block.key: block for block in screen(seat)._blocks["overview"]}
        assert now["pending"] is kept["pending"] and now["history"] is kept["history"]
        seat.clock.ms += 60_000
        await seat.press("j", "j")
        await seat.sees("46m left")
        chosen = screen(seat).query_one(BlockView).current
        assert chosen is not None and chosen.key == "facts"


async def test_a_lost_connection_marks_the_page_too(tmp_path: Path) -> None:
    """It keeps what was read, and reads on when the daemon is there again."""
    async with seated(tmp_path) as seat:
        await opened(seat, "2")
        await seat.sees("I look at them next")
        await seat.house.close()
        await seat.sees("disconnected since", "I look at them next")
        seat.desk.talks["SHOP-118"] += [said(11, "after the restart")]
        await seat.house.open(seat.tasks)
        await seat.sees("after the restart", "● live")


async def test_everything_is_read_anew_on_demand(tmp_path: Path) -> None:
    """With r, which lets the daemon look at the tracker too; another theme draws it anew."""
    async with seated(tmp_path) as seat:
        await opened(seat, "2")
        await seat.sees("I look at them next")
        before = len(seat.desk.read)
        await seat.press("r")
        await seat.until(lambda: len(seat.desk.read) > before and seat.desk.refreshed == 1)
        dark = seat.style_of("I look at them next").color
        await seat.press("T")
        await seat.until(lambda: seat.style_of("I look at them next").color != dark)


async def test_a_page_of_hostile_texts_obeys_nothing(tmp_path: Path) -> None:
    """In every part, at every width: no control character reaches the screen, and markup is a text."""
    async with seated(tmp_path, scenes.HOSTILE, size=(80, 40)) as seat:
        entries = [structs.replace(entry, text=scenes.FORGED, tool=scenes.FORGED) for entry in scenes.TALK]
        seat.desk.talks["EVIL-1"] = entries
        await seat.press("enter")
        for at, _ in enumerate(SECTIONS, start=1):
            await seat.press(str(at))
            await seat.until(lambda: "loading…" not in seat.text)
            assert all(line.isprintable() for line in seat.lines)
        await seat.press("2")
        await seat.sees("[@click=app.quit]here[/]", "\\x1b[2J")
        await seat.pilot.resize_terminal(40, 12)
        await seat.pilot.pause()
        assert all(line.isprintable() for line in seat.lines)
        await seat.pilot.click(BlockView, offset=(20, 3))
        assert seat.app.is_running


async def test_older_events_come_at_the_end_of_the_timeline(tmp_path: Path, monkeypatch) -> None:
    """Which is newest first."""
    from opensymphony.views import TimelineEntry, TimelinePage

    def part(sequences: range, before: int | None) -> TimelinePage:
        entries = tuple(
            TimelineEntry(sequence=at, at_ms=scenes.NOW_MS, kind="x", text=f"event {at}") for at in sequences
        )
        return TimelinePage(entries=entries, before=before)

    monkeypatch.setattr(scenes, "TIMELINE", part(range(60, 20, -1), 21))
    async with seated(tmp_path, size=(80, 20)) as seat:
        await opened(seat, "3")
        await seat.sees("event 60")
        monkeypatch.setattr(scenes, "TIMELINE", part(range(20, 0, -1), None))
        await seat.press("end")
        await seat.until(lambda: len(screen(seat)._timeline) == 60)
        await seat.press("end")
        await seat.sees("event 1")
        assert "older entries" not in seat.text
