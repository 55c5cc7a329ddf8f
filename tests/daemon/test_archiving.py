"""Which conversations belong into the archive."""

from __future__ import annotations

from pathlib import Path

from opensymphony.agents import StoresAtRest
from opensymphony.clock import Clock
from opensymphony.daemon.archiving import archive, archives_dir, conversations_dir, locate, places_of_conversations
from opensymphony.model import ConversationId, TicketId
from opensymphony.scheduler.plan import conversation_id_for
from opensymphony.scheduler.state import Entry, Run, State
from tests.daemon.world import World
from tests.scheduler.playbook import ticket

DAY_MS = 86_400_000


def state(**phases: str) -> State:
    """Tickets of one run each, put down at time 0."""
    found = State(instance="one")
    for name, phase in phases.items():
        entry = Entry(ticket=ticket(name), phase=phase, generation=1, since_ms=0)  # type: ignore[arg-type]
        entry.conversation_id = conversation_id_for("one", entry.ticket, 1)
        found.entries[entry.ticket.id] = entry
    return found


def of(name: str, generation: int = 1) -> ConversationId:
    return conversation_id_for("one", ticket(name), generation)


def test_only_what_has_been_closed_for_a_day_is_archived() -> None:
    """A ticket in review, or one that was closed this morning, may well go on."""
    known = state(over="closed", review="in_review", ended="closed")
    known.entries[TicketId("ended")].since_ms = 1
    known.entries[TicketId("busy")] = Entry(
        ticket=ticket("busy"), phase="closed", generation=2, run=Run(generation=2, started_ms=0)
    )
    closed, wanted = places_of_conversations(known, DAY_MS)
    assert closed == {of("over")}
    assert wanted == {of("review"), of("ended"), of("busy", 1), of("busy", 2)}


def test_earlier_runs_and_tickets_that_are_gone_count_too() -> None:
    """With `fresh_each_run` every run had a conversation; a ticket that we forgot has no entry any more."""
    known = state(over="closed")
    known.entries[TicketId("over")].generation = 3
    known.generations[TicketId("gone")] = 2
    closed, _ = places_of_conversations(known, DAY_MS)
    assert closed == {of("over", 1), of("over", 2), of("over", 3), of("gone", 1), of("gone", 2)}


def test_conversations_that_others_stand_in_for_go_with_their_ticket() -> None:
    """They are kept as long as those of now, and put away with them."""
    known = state(over="closed")
    known.entries[TicketId("over")].rehydrations = 2
    closed, _ = places_of_conversations(known, DAY_MS)
    assert closed == {of("over"), *(conversation_id_for("one", ticket("over"), 1, counted) for counted in (1, 2))}


async def test_the_directories_move(world: World) -> None:
    """From the place where the agent-server of this repository looks to the one beside it."""
    settings, policy = world.settings(), world.policy()
    name = of("over").replace("-", "")
    place = conversations_dir(settings, policy) / name
    place.mkdir(parents=True)
    await archive(state(over="closed"), settings, policy, Clock(), StoresAtRest(store=place.parent))
    assert not place.exists()
    assert (archives_dir(settings, policy) / name).is_dir()
    await archive(state(over="waiting_to_start"), settings, policy, Clock(), StoresAtRest(store=place.parent))
    assert place.is_dir()
    assert Path(settings.tool_dir) in place.parents


def test_a_conversation_is_found_wherever_it_lies(tmp_path: Path) -> None:
    """In use before archived; never by a link, nor by what is no id."""
    world = World(tmp_path / "world")
    settings, policy = world.settings(), world.policy()
    name = of("A-1").replace("-", "")
    assert locate(settings, policy, of("A-1")) is None
    archived = archives_dir(settings, policy) / name
    archived.mkdir(parents=True)
    assert locate(settings, policy, of("A-1")) == archived
    second = conversations_dir(settings, policy).parent / "active-2" / name
    second.mkdir(parents=True)
    assert locate(settings, policy, of("A-1")) == second
    active = conversations_dir(settings, policy) / name
    active.parent.mkdir(parents=True)
    active.symlink_to(tmp_path)
    assert locate(settings, policy, name.upper()) == second
    for wrong in ("..", "", f"../{name}", name[:31], "\0" * 32):
        assert locate(settings, policy, wrong) is None
