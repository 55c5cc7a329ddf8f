"""Whole daemons: a real board, real git, a real journal and hooks; only the agents are scripted."""

from __future__ import annotations

from tests.daemon.world import World


async def test_a_ticket_is_taken_to_review(world: World) -> None:
    """Claimed, worked on, verified, pushed, reported, moved and let go."""
    world.ticket("A-1")
    snapshot = await world.once()
    [ticket] = snapshot.tickets
    assert (ticket.phase, ticket.state, ticket.verified, ticket.turns) == ("in_review", "In Review", True, 1)
    assert world.commits("A-1") == ["Answer well"]
