"""A ticket's page: why it is where it is, what was said and done, what changed, how it was checked, what it cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Literal, TypeVar, get_args

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from opensymphony.api.client import (
    Address,
    fetch_changes,
    fetch_explanation,
    fetch_timeline,
    fetch_transcript,
    fetch_verifications,
)
from opensymphony.errors import InstanceError
from opensymphony.tui import grouping, sections
from opensymphony.tui.blocks import Block, BlockView
from opensymphony.tui.columns import MARKS, stage, why
from opensymphony.tui.connection import in_thread
from opensymphony.tui.header import state
from opensymphony.tui.hints import page_hints
from opensymphony.tui.owner import owner
from opensymphony.tui.text import duration, one_line, spent, styled
from opensymphony.tui.transcript import Talk
from opensymphony.tui.written import Written
from opensymphony.views import Explanation, TicketView, TimelineEntry

Section = Literal["overview", "transcript", "timeline", "changes", "checks", "cost"]
SECTIONS: tuple[Section, ...] = get_args(Section)
TIMELINE_MAX = 2_000
_EVERY_S = 2
"""A transcript that is looked at is asked for news, anything else when its ticket has changed."""

T = TypeVar("T")


class TicketScreen(Screen[None]):
    """One ticket."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "back to the board", show=False),
        Binding("tab,right,l", "turn(1)", "next part", show=False),
        Binding("shift+tab,left,h", "turn(-1)", "part before", show=False),
        *(
            Binding(str(at), f"section('{name}')", "to the part of this number, 1 to 6" if at == 1 else "", show=False)
            for at, name in enumerate(get_args(Section), start=1)
        ),
        Binding("f", "follow", "follow the transcript, or not", show=False),
    ]
    AUTO_FOCUS = "BlockView"

    def __init__(self, view: TicketView) -> None:
        super().__init__()
        self.view = view
        self.gone = False
        self.section: Section = "overview"
        self.following = True
        self._talk = Talk()
        self._timeline: list[TimelineEntry] = []
        self._timeline_before: int | None = None
        self._found: Explanation | None = None
        self._blocks: dict[Section, list[Block]] = {}
        self._trouble: dict[Section, str] = {}
        self._stale: set[Section] = set(SECTIONS)
        self._reading: set[Section] = set()
        self._seconds = 0

    @property
    def ticket(self) -> TicketView | None:
        """What an action is about."""
        return None if self.gone else self.view

    def compose(self) -> ComposeResult:
        yield Written(self._header, id="header")
        yield Written(self._tabs, id="tabs")
        yield BlockView(id="blocks")
        yield Written(self._hints, id="hints")

    def on_mount(self) -> None:
        self._load()

    def refresh_picture(self) -> None:
        """Another picture."""
        if not self.query(BlockView):  # not there yet, or not any more
            return
        link = owner(self).link
        found = grouping.find(link.snapshot.tickets, self.view.id) if link.snapshot is not None else self.view
        self.gone = found is None
        if found is not None and found != self.view:
            self.view = found
            self._stale = set(SECTIONS)  # read again by the clock, however often the picture changes
        self.tick(0)

    def tick(self, seconds: int = 1) -> None:
        """Time goes on; the transcript, and what could not be read, is asked for again now and then."""
        if not self.query(BlockView):
            return
        self.query("#header").set_class(owner(self).link.lost_ms is not None, "-stale")
        for written in self.query(Written):
            written.write()
        self._age()
        self._seconds += seconds
        due = seconds and self._seconds % _EVERY_S == 0 and owner(self).link.lost_ms is None
        if due:
            if self.section == "transcript" or self.section in self._trouble:
                self._stale.add(self.section)
            self._load()

    def _age(self) -> None:
        """What the overview says of times, while it is looked at; blocks that say the same are kept, and not laid out anew."""
        if self.section != "overview" or self._found is None:
            return
        old = {block.key: block for block in self._blocks["overview"]}
        aged = sections.overview(self._found, owner(self).now_ms)
        blocks = [old[block.key] if old.get(block.key) == block else block for block in aged]
        if blocks != self._blocks["overview"]:
            self._blocks["overview"] = blocks
            self._show()

    def reload(self) -> None:
        """Everything anew."""
        self._stale = set(SECTIONS)
        self._load()

    def relay(self) -> None:
        self.query_one(BlockView).relay()

    def action_back(self) -> None:
        owner(self).pop_screen()

    def action_turn(self, by: int) -> None:
        self.action_section(SECTIONS[(SECTIONS.index(self.section) + by) % len(SECTIONS)])

    def action_section(self, name: Section) -> None:
        if name != self.section:
            self.section = name
            self._show(new=True)
            self._load()
        self.tick(0)

    def action_follow(self) -> None:
        if self.section != "transcript":
            self.following = True
            self.action_section("transcript")
            return
        self.following = not self.following
        if self.following:
            self.query_one(BlockView).see_end()
        self.tick(0)

    def on_block_view_left(self) -> None:
        if self.section == "transcript" and self.following:
            self.following = False
            self.tick(0)

    def on_block_view_top(self) -> None:
        if self.section == "transcript" and self._talk.before is not None:
            self.run_worker(self._older(), group="older", exclusive=True)

    def on_block_view_bottom(self) -> None:
        if self.section == "timeline" and self._timeline_before is not None:
            self.run_worker(self._older_timeline(), group="older", exclusive=True)

    def _load(self) -> None:
        if self.section in self._stale - self._reading:
            self.run_worker(self._fetch(self.section), group=f"load {self.section}", exclusive=False)

    async def _fetch(self, section: Section) -> None:
        if section not in self._stale - self._reading:
            return
        self._stale.discard(section)
        self._reading.add(section)
        try:
            changed = await self._read(section)
        except InstanceError as error:
            changed = self._trouble.get(section) != str(error)
            self._trouble[section] = str(error)
        else:
            changed = self._trouble.pop(section, None) is not None or changed
        finally:
            self._reading.discard(section)
        if changed and self.query(BlockView) and section == self.section:
            self._show()

    async def _read(self, section: Section) -> bool:
        """Ask the daemon; whether anything is another than before."""
        name = self.view.identifier
        if section in ("overview", "cost"):
            found = await self._ask(lambda address: fetch_explanation(address, name))
            self._found = found
            self._blocks["overview"] = sections.overview(found, owner(self).now_ms)
            self._blocks["cost"] = sections.cost(found)
        elif section == "transcript":
            after = self._talk.after if self._talk.conversation_id else None
            page = await self._ask(lambda address: fetch_transcript(address, name, after=after))
            if after is not None and page.conversation_id != self._talk.conversation_id:
                page = await self._ask(lambda address: fetch_transcript(address, name))
            if not self._talk.add(page) and section in self._blocks:
                return False
            self._blocks[section] = self._talk.blocks
        elif section == "timeline":
            past = await self._ask(lambda address: fetch_timeline(address, name))
            self._timeline, self._timeline_before = list(past.entries), past.before
            self._blocks[section] = sections.timeline(self._timeline, past.before is not None)
        elif section == "changes":
            self._blocks[section] = sections.changes(await self._ask(lambda address: fetch_changes(address, name)))
        else:
            found = await self._ask(lambda address: fetch_verifications(address, name))
            self._blocks[section] = sections.checks(found.verifications)
        return True

    async def _older(self) -> None:
        name, before = self.view.identifier, self._talk.before
        try:
            page = await self._ask(lambda address: fetch_transcript(address, name, before=before))
        except InstanceError as error:
            self.notify(one_line(str(error)), severity="error", markup=False)
            return
        if self._talk.before == before:
            self._talk.add_older(page)
            self._blocks["transcript"] = self._talk.blocks
            if self.section == "transcript" and self.query(BlockView):
                self._show()

    async def _older_timeline(self) -> None:
        name, before = self.view.identifier, self._timeline_before
        try:
            page = await self._ask(lambda address: fetch_timeline(address, name, before=before))
        except InstanceError as error:
            self.notify(one_line(str(error)), severity="error", markup=False)
            return
        if self._timeline_before == before:
            self._timeline = [*self._timeline, *page.entries][:TIMELINE_MAX]
            self._timeline_before = page.before if len(self._timeline) < TIMELINE_MAX else None
            self._blocks["timeline"] = sections.timeline(self._timeline, self._timeline_before is not None)
            if self.section == "timeline" and self.query(BlockView):
                self._show()

    async def _ask(self, call: Callable[[Address], T]) -> T:
        source = owner(self).connection.source
        return await in_thread(partial(_with_address, source.find, call))

    def _show(self, *, new: bool = False) -> None:
        view = self.query_one(BlockView)
        trouble = self._trouble.get(self.section)
        blocks = self._blocks.get(self.section)
        if blocks is None:
            said = styled(one_line(trouble), "warn") if trouble else styled("loading…", "quiet")
            blocks = [Block(key="none", head=(said,))]
        end = self.section == "transcript" and self.following
        view.show(blocks, end=end)
        if new and not end:
            view.see_beginning()

    def _header(self, width: int) -> Sequence[Text]:
        link, view = owner(self).link, self.view
        right = state(link, owner(self).clock_ms, width)
        first = Text.assemble((f"{MARKS[view.phase]} ", view.phase), (one_line(view.identifier, 60), "strong"), " ")
        first.append(one_line(view.title))
        first.truncate(max(8, width - right.cell_len - 1), overflow="ellipsis", pad=True)
        second = Text.assemble((f"{one_line(stage(view), 40)}", view.phase))
        since = duration(owner(self).now_ms - view.since_ms) if view.since_ms else ""
        second.append(f"  {since}  " if since else "  ", "quiet")
        second.append("the tracker or the daemon has let go of it" if self.gone else one_line(why(view)))
        third = Text.assemble((spent(view.usage), "quiet"))
        found = [first.append(" ").append_text(right), second, third]
        return found if self.size.height >= 16 else found[:2] if self.size.height >= 11 else found[:1]

    def _tabs(self, width: int) -> Sequence[Text]:
        long = sum(len(name) + 4 for name in SECTIONS) + 12 <= width
        line = Text()
        for at, name in enumerate(SECTIONS, start=1):
            here = name == self.section
            line.append(f"{at} " if long or here else f"{at}", "key" if here else "quiet")
            line.append(name if here or long else "", "strong" if here else "quiet").append("  " if long else " ")
        if self.section == "transcript":
            said = "following" if self.following else "f follows"
            room = width - line.cell_len - cell_len(said)
            line.append(" " * max(1, room)).append(said, "good" if self.following else "quiet")
        return (line,)

    def _hints(self, width: int) -> Sequence[Text]:
        return (page_hints(self.ticket, width),)


def _with_address(find: Callable[[], Address], call: Callable[[Address], T]) -> T:
    return call(find())
