"""The tracker: tickets as people and daemons see them. A claim is atomic; readings are as old as they are."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field
from msgspec.structs import replace

from opensymphony.model import (
    Claim,
    ClaimAnswer,
    CommitCheck,
    PullRequest,
    PullRequestReading,
    PullRequestText,
    Review,
    ReviewThread,
    Ticket,
    TicketComment,
    TicketId,
    TicketRef,
    TransitionAnswer,
)

TERMINAL = ("Done", "Cancelled")


class Card(Struct, kw_only=True):
    """One ticket on the board."""

    id: TicketId
    state: str = "Todo"
    description: str = ""
    priority: int | None = None
    labels: tuple[str, ...] = ()
    assignee: str | None = "agent"
    blocked_by: tuple[TicketId, ...] = ()
    parent: TicketId | None = None
    children: tuple[TicketId, ...] = ()
    claim: Claim | None = None
    created_ms: int = 0
    deleted: bool = False
    comments: list[tuple[str, int, str]] = field(default_factory=list[tuple[str, int, str]])
    """Instance, generation and key of every write of the one comment, repeated ones left out."""
    says: tuple[TicketComment, ...] = ()
    """What people say, oldest first."""
    pull: PullRequest | None = None
    """Its newest pull request."""
    threads: tuple[ReviewThread, ...] = ()
    """Of that."""
    failing: bool = False
    """Whether its pipeline fails."""
    head: str = ""
    """What was pushed last."""
    reviews: tuple[Review, ...] = ()
    answers: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Thread and marker of everything that was said in threads."""


class Board:
    """All cards, and the tickets that a reading of them gives."""

    def __init__(self) -> None:
        self.cards: dict[TicketId, Card] = {}
        self._read: dict[TicketId, Ticket] = {}
        self._seen_by: dict[TicketId, set[TicketId]] = {}

    def add(self, card: Card) -> None:
        self.cards[card.id] = card
        self.relate(card)

    def relate(self, card: Card) -> None:
        """Note who shows whom, so that a change of one is seen on the other."""
        for other in (*card.blocked_by, *card.children, *((card.parent,) if card.parent else ())):
            self._seen_by.setdefault(other, set()).add(card.id)
        self.touch(card)

    def touch(self, card: Card) -> None:
        """The card was changed: the next reading is a new one, of it and of those that show it."""
        self._read.pop(card.id, None)
        for other in self._seen_by.get(card.id, ()):
            self._read.pop(other, None)

    def live(self) -> Iterable[Card]:
        return (card for card in self.cards.values() if not card.deleted)

    def ticket(self, ticket_id: TicketId) -> Ticket | None:
        """A reading, or None when it is gone."""
        card = self.cards.get(ticket_id)
        if card is None or card.deleted:
            return None
        found = self._read.get(ticket_id)
        if found is None:
            found = self._read[ticket_id] = Ticket(
                id=card.id,
                identifier=card.id,
                title=f"Title of {card.id}",
                state=card.state,
                description=card.description,
                priority=card.priority,
                labels=card.labels,
                assignee=card.assignee,
                parent=self._reference(card.parent) if card.parent else None,
                children=tuple(map(self._reference, card.children)),
                blocked_by=tuple(map(self._reference, card.blocked_by)),
                comments=card.says[-20:],
                created_ms=card.created_ms,
                claim=card.claim,
            )
        return found

    def _reference(self, ticket_id: TicketId) -> TicketRef:
        other = self.cards.get(ticket_id)
        gone = other is None or other.deleted
        return TicketRef(id=ticket_id, identifier=ticket_id, state=None if gone else other.state)

    def claim(self, ticket_id: TicketId, claim: Claim, stale_after_ms: int) -> ClaimAnswer:
        card = self.cards[ticket_id]
        held = card.claim
        theirs = held is not None and held.instance != claim.instance
        if held is not None and theirs and claim.heartbeat_ms - held.heartbeat_ms <= stale_after_ms:
            return ClaimAnswer(granted=False, holder=held)
        if held != claim:
            card.claim = claim
            self.touch(card)
        return ClaimAnswer(granted=True)

    def release(self, ticket_id: TicketId, claim: Claim) -> None:
        card = self.cards.get(ticket_id)
        if card is None or card.claim is None:
            return
        if card.claim.instance == claim.instance and card.claim.generation <= claim.generation:
            card.claim = None
            self.touch(card)

    def transition(self, ticket_id: TicketId, from_states: tuple[str, ...], to_state: str) -> TransitionAnswer:
        card = self.cards[ticket_id]
        if card.state not in from_states or card.state == to_state:
            return TransitionAnswer(moved=False, state=card.state)
        self.move(card, to_state)
        return TransitionAnswer(moved=True, state=to_state)

    def move(self, card: Card, state: str) -> None:
        card.state = state
        self.touch(card)

    def publish(self, ticket_id: TicketId, text: PullRequestText) -> PullRequest:
        """The open one, or a new one."""
        card = self.cards[ticket_id]
        if card.pull is None or card.pull.state != "open":
            number = 1 if card.pull is None else int(card.pull.id) + 1
            card.pull = PullRequest(
                id=str(number),
                url=f"https://{ticket_id}/{number}",
                title=text.title,
                state="open",
                branch=text.branch,
                base=text.base,
            )
            card.threads = card.reviews = ()
        return replace(card.pull, head=card.head)

    def reading(self, ticket_id: TicketId) -> PullRequestReading | None:
        """The review as it is now."""
        card = self.cards.get(ticket_id)
        if card is None or card.pull is None:
            return None
        check = CommitCheck(key="ci", name="CI", state="failed" if card.failing else "passed", log="no")
        seen = replace(card.pull, head=card.head)
        return PullRequestReading(pull_request=seen, threads=card.threads, reviews=card.reviews, checks=(check,))

    def merge(self, ticket_id: TicketId) -> PullRequest:
        """As the code host does it, also for one that is merged already."""
        card = self.cards[ticket_id]
        assert card.pull is not None
        card.pull = replace(card.pull, state="merged")
        return replace(card.pull, head=card.head)

    def comment(self, ticket_id: TicketId, instance: str, generation: int, key: str) -> None:
        said = self.cards[ticket_id].comments
        if not said or said[-1] != (instance, generation, key):
            said.append((instance, generation, key))
