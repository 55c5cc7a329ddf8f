"""People at the board, operators at their terminals, and what the machine does by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from opensymphony.model import Review, ReviewComment, ReviewThread, TicketComment, TicketId
from opensymphony.scheduler import events as e
from tests.simulation import policies
from tests.simulation.board import TERMINAL, Card

if TYPE_CHECKING:
    from tests.simulation.daemon import Daemon
    from tests.simulation.world import World

_LABELS = ("agent", "db", "ui", "docs")
_ACTIONS: tuple[e.OperatorAction, ...] = (
    *("stop", "retry", "retry", "pause", "resume", "resume", "message", "message"),
    *("approve", "reject", "rehydrate"),
)
_STATES = ("Todo", "Todo", "In Progress", "In Review", "Backlog", "Rework", "Done", "Cancelled")


def create(world: World, number: int) -> None:
    random, board = world.random, world.board
    earlier = [card.id for card in board.live()][-30:]
    labels = tuple(label for label in _LABELS if random.random() < (0.9 if label == "agent" else 0.3))
    card = Card(
        id=TicketId(f"T-{number}"),
        state=random.choice(["Todo", "Todo", "Todo", "In Progress", "Backlog"]),
        priority=random.choice([None, 1, 2, 3, 4]),
        labels=labels,
        assignee=random.choice(["agent", "agent", "agent", None]),
        created_ms=world.timeline.now_ms,
    )
    if earlier and random.random() < 0.15:
        card.blocked_by = (random.choice(earlier),)
    board.add(card)
    if earlier and random.random() < 0.15:
        parent = board.cards[random.choice(earlier)]
        if card.id not in parent.blocked_by and not card.blocked_by:
            parent.children = (*parent.children, card.id)
            card.parent = parent.id
            board.relate(parent)
            board.relate(card)


def review(world: World) -> None:
    """The friendly part: somebody looks at what is done, answers what waits, and moves what lies about."""
    random, board = world.random, world.board
    for card in list(board.live()):
        if card.state == "In Review" and random.random() < 0.3:
            board.move(card, random.choice(["Done", "Done", "Done", "Todo"]))
        elif card.state in ("Backlog", "Rework") and random.random() < 0.1:
            board.move(card, "Todo")
        elif card.state not in TERMINAL and random.random() < 0.02:
            card.description = f"answered at {world.timeline.now_ms}"
            board.touch(card)


def review_pulls(world: World) -> None:
    """Somebody says something about what is open, a stranger does, a pipeline fails; and some are merged or declined."""
    random = world.random
    for card in list(world.board.live()):
        if card.pull is None or card.pull.state != "open":
            continue
        draw = random.random()
        if draw < 0.3:
            world.requests += 1
            author = random.choice(["boss", "boss", "stranger"])
            said = ReviewComment(id=f"r{world.requests}", author=author, text=f"review {world.requests}.")
            card.threads = (*card.threads, ReviewThread(id=said.id, comments=(said,)))
        elif draw < 0.4:
            card.failing = not card.failing
        elif draw < 0.6:
            card.pull = replace(card.pull, state="merged")
        elif draw < 0.65:
            card.pull = replace(card.pull, state="declined")
        if world.reviewers.random() < 0.3:
            author = world.reviewers.choice(["boss", "stranger"])
            others = [one for one in card.reviews if one.author != author]
            card.reviews = (*others, Review(author=author, verdict="approved", commit=card.head))


def disturb(world: World) -> None:
    """The other part: one change of one ticket, preferably of one that is being worked on."""
    random, board = world.random, world.board
    busy = [ticket_id for daemon in world.daemons for ticket_id in daemon.state.running]
    chosen = busy if busy and random.random() < 0.6 else list(board.cards)
    if not chosen:
        return
    card = board.cards[random.choice(chosen)]
    match random.randrange(13):
        case 10 | 11:
            say(world, card, "boss")
        case 12:
            say(world, card, "stranger")
        case 0 | 1 | 2:
            board.move(card, random.choice(_STATES))
        case 3:
            card.labels = tuple(label for label in _LABELS if random.random() < 0.6)
        case 4:
            card.assignee = random.choice(["agent", "agent", "somebody", None])
        case 5:
            other = random.choice(list(board.cards))
            card.blocked_by = (other,) if other != card.id and random.random() < 0.5 else ()
            board.relate(card)
        case 6:
            card.description = f"edited at {world.timeline.now_ms}"
        case 7:
            card.priority = random.choice([None, 1, 2, 3, 4])
        case 8 if random.random() < 0.5:
            card.deleted = True
        case _:
            card.deleted = False
    board.touch(card)


def say(world: World, card: Card, author: str) -> None:
    """Something on the ticket: words for the agent, or a verb; strangers try, too."""
    random = world.random
    world.requests += 1
    number = world.requests
    asked = [entry.asked for daemon in world.daemons if (entry := daemon.state.entries.get(card.id)) and entry.asked]
    texts = [f"{'word' if author == 'boss' else 'foreign'} {number}.", "/retry", "/stop it", "/rehydrate"]
    if asked and random.random() < 0.8:
        digest = random.choice([asked[0].digest, asked[0].digest[:12], "f" * 12])
        texts = [f"/approve {digest}", "/approve", "/reject", f"/reject {digest} no"]
    comment = TicketComment(id=f"c{number}", number=number, author=author, text=random.choice(texts))
    card.says = (*card.says, comment)
    if len(card.says) > 1 and random.random() < 0.1:
        card.says = card.says[1:]  # somebody deletes one
    world.board.touch(card)


def operate(world: World) -> None:
    """One request, of which some come twice and some concern everything."""
    random = world.random
    daemon = random.choice(world.daemons)
    world.requests += 1
    number, ticket_id = world.requests, None
    known = list(daemon.state.running) or list(daemon.state.entries)
    if random.random() < 0.4:
        known = list(daemon.state.entries)
    asking = [ticket_id for ticket_id, entry in daemon.state.entries.items() if entry.asked is not None]
    if asking and random.random() < 0.5:
        known = asking
    if known and random.random() < 0.93:
        ticket_id = random.choice(known)
        action = random.choice(_ACTIONS)
        if daemon.state.entries[ticket_id].asked is not None and random.random() < 0.7:
            action = random.choice(["approve", "approve", "reject", "message"])
    else:
        action = "pause"
    asked = e.OperatorAsked(
        at_ms=world.timeline.now_ms,
        request_id=f"request-{number}",
        ticket_id=ticket_id,
        action=action,
        text=f"word {number}." if action == "message" else "",
        finish=random.random() < 0.3,
        digest=_digest(daemon, ticket_id) if action in ("approve", "reject") else "",
    )
    daemon.post(asked)
    if action in ("stop", "pause") and world.scenario.has("crash") and random.random() < 0.15:
        daemon.cut_off = "after"
    if random.random() < 0.2:
        world.timeline.after(random.randint(1, 900_000), daemon.post, asked)
    if action == "pause":
        world.timeline.after(random.randint(60_000, 3_600_000), resume, world, ticket_id)


def _digest(daemon: Daemon, ticket_id: TicketId | None) -> str:
    """What is said to be approved: all of it, the beginning of it, nothing, or something else."""
    asked = daemon.state.entries[ticket_id].asked if ticket_id is not None else None
    digest = asked.digest if asked is not None else "0" * 64
    return daemon.world.random.choice([digest, digest[:12], "", "f" * 12])


def resume(world: World, ticket_id: TicketId | None) -> None:
    """Every pause ends once, on every daemon."""
    for daemon in world.daemons:
        if not daemon.alive:
            world.timeline.after(60_000, resume, world, ticket_id)
            return
    for daemon in world.daemons:
        world.requests += 1
        asked = e.OperatorAsked(
            at_ms=world.timeline.now_ms, request_id=f"request-{world.requests}", ticket_id=ticket_id, action="resume"
        )
        daemon.post(asked)


def edit_policy(world: World) -> None:
    if world.random.random() < 0.15:
        for daemon in world.daemons:
            daemon.post(e.PolicyRejected(at_ms=world.timeline.now_ms, error="line 3: no such key"))
        return
    world.policy = policies.edited(world.random, world.scenario, world.policy)
    for daemon in world.daemons:
        daemon.post(e.PolicyLoaded(at_ms=world.timeline.now_ms, policy=world.policy))


def fill_disk(world: World) -> None:
    world.disk_error = "the disk is full"
    for daemon in world.daemons:
        daemon.post(e.StorageNoted(at_ms=world.timeline.now_ms, error=world.disk_error))
    world.timeline.after(world.random.randint(60_000, 3_600_000), free_disk, world)


def free_disk(world: World) -> None:
    world.disk_error = None
    for daemon in world.daemons:
        daemon.post(e.StorageNoted(at_ms=world.timeline.now_ms, error=None))


def lose_tracker(world: World) -> None:
    until_ms = world.timeline.now_ms + world.random.randint(20_000, 2_400_000)
    for daemon in world.daemons:
        if world.random.random() < 0.7:
            daemon.tracker_down_ms = until_ms


def kill(world: World) -> None:
    daemon = world.random.choice(world.daemons)
    match world.random.randrange(3):
        case 0:
            daemon.die()
        case 1:
            daemon.cut_off = "before"
        case _:
            daemon.cut_off = "after"


def restart(world: World) -> None:
    world.random.choice(world.daemons).shut_down()


def expire(world: World) -> None:
    """A workspace at rest is too old."""
    daemon = world.random.choice(world.daemons)
    held = [ticket_id for ticket_id, entry in daemon.state.entries.items() if entry.workspace is not None]
    if held:
        daemon.post(e.WorkspaceExpired(at_ms=world.timeline.now_ms, ticket_id=world.random.choice(held)))
