"""Which conversations belong into the archive: those of tickets that have been closed for a day.

A server keeps its conversations in memory, so that they are moved only before it starts. A ticket that is re-opened before that
goes on in its conversation; later its conversation is taken out of the archive at the next start, and until then a new
one is made.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import anyio.to_thread

from opensymphony.agents import StoresAtRest, archive_conversations
from opensymphony.clock import Clock
from opensymphony.model import Ticket
from opensymphony.scheduler.plan import conversation_id_for
from opensymphony.scheduler.state import State
from opensymphony.settings import Settings
from opensymphony.workflow.policy import Policy
from opensymphony.workspace.paths import repository_key

_AFTER_MS = 86_400_000
"""A ticket that is closed by mistake is mostly opened again on the same day."""
_REHYDRATIONS_MAX = 20
_NAME = re.compile(r"[0-9a-f]{32}")
_RUNS_MAX = 100
"""Of a ticket, the newest, that are looked for: with `fresh_each_run` each has had a conversation of its own."""


def conversations_dir(settings: Settings, policy: Policy) -> Path:
    """Where the agent-server keeps the conversations about this repository."""
    repository = policy.repository
    key = repository_key(repository.url if repository is not None else settings.workflow_path)
    return Path(settings.tool_dir) / "workspace" / "conversations" / "repos" / key / "active"


def archives_dir(settings: Settings, policy: Policy) -> Path:
    """Where those of closed tickets are."""
    return conversations_dir(settings, policy).parent / "archived"


def active_dirs(settings: Settings, policy: Policy) -> tuple[Path, ...]:
    """Those of all servers of this repository: the first has `active`, others `active-2` and so on."""
    first = conversations_dir(settings, policy)
    return (first, *sorted(place for place in first.parent.glob("active-*") if place.is_dir()))


def legacy_dir(settings: Settings) -> Path:
    """Where conversations were before stores had repositories. To be removed with release 1.0."""
    return Path(settings.tool_dir) / "workspace" / "conversations"


def conversation_stores(settings: Settings, policy: Policy) -> tuple[Path, ...]:
    """Wherever one may lie: in use, archived, or in the flat store of earlier releases."""
    return (*active_dirs(settings, policy), archives_dir(settings, policy), legacy_dir(settings))


def locate(settings: Settings, policy: Policy, conversation_id: str) -> Path | None:
    """The directory of a conversation: in use, archived, or in the flat store of earlier releases."""
    name = conversation_id.replace("-", "").lower()
    if not _NAME.fullmatch(name):
        return None
    places = (store / name for store in conversation_stores(settings, policy))
    return next((place for place in places if place.is_dir() and not place.is_symlink()), None)


def places_of_conversations(state: State, now_ms: int) -> tuple[frozenset[str], frozenset[str]]:
    """Ids of the conversations of closed tickets and of all others, those of tickets that are gone among the closed."""
    closed: set[str] = set()
    wanted: set[str] = set()
    for entry in state.entries.values():
        is_over = entry.phase == "closed" and entry.run is None and now_ms - entry.since_ms >= _AFTER_MS
        target = closed if is_over else wanted
        target.update(_ids(state, entry.ticket, entry.generation, entry.rehydrations))
        if entry.conversation_id is not None:
            target.add(entry.conversation_id)
    for ticket_id, generation in state.generations.items():
        forgotten = Ticket(id=ticket_id, identifier="", title="", state="")
        closed.update(_ids(state, forgotten, generation))
    return frozenset(closed - wanted), frozenset(wanted)


async def archive(state: State, settings: Settings, policy: Policy, clock: Clock, at_rest: StoresAtRest) -> None:
    """Move what is in the wrong place, in the stores that no agent-server uses at the moment."""
    closed, wanted = places_of_conversations(state, clock.now_ms())
    move = partial(
        archive_conversations,
        at_rest.store,
        archives_dir(settings, policy),
        closed=closed,
        wanted=wanted,
        leaving=(*at_rest.abandoned, legacy_dir(settings)),
        in_use=[place for place in active_dirs(settings, policy) if place not in (at_rest.store, *at_rest.abandoned)],
    )
    await anyio.to_thread.run_sync(move)


def _ids(state: State, ticket: Ticket, generation: int, rehydrations: int = 0) -> list[str]:
    first = max(1, generation - _RUNS_MAX + 1)
    return [
        conversation_id_for(state.instance, ticket, number, counted)
        for number in range(first, generation + 1)
        for counted in range(max(0, rehydrations - _REHYDRATIONS_MAX), rehydrations + 1)
    ]
