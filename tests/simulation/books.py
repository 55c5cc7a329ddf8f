"""What the world has billed one daemon, and how much of that the daemon has been told."""

from __future__ import annotations

from opensymphony.model import ConversationId, TicketId, Usage
from tests.simulation.server import Talk

_NOTHING = Usage()


class Books:
    """Totals of one daemon's conversations, kept from the world's side."""

    def __init__(self) -> None:
        self.talks: dict[TicketId, list[Talk]] = {}
        self.billed = Usage()
        self.told: dict[ConversationId, Usage] = {}
        self.told_project = Usage()
        self.told_day = Usage()
        self.told_ticket: dict[TicketId, Usage] = {}
        self.told_run: dict[TicketId, Usage] = {}
        self.told_ms: dict[ConversationId, int] = {}
        """When the daemon last heard of a conversation's usage."""
        self.crossed: dict[str, tuple[int, int, int]] = {}
        """Scope: its limit in tokens, what was billed when it was crossed, and the conversations that ran then."""
        self.day_before = Usage()
        """Billed before the day began."""

    def bill(self, call: Usage) -> None:
        self.billed = self.billed + call

    def tell(self, talk: Talk, usage: Usage, at_ms: int) -> None:
        """The daemon has taken an event with this total."""
        before = self.told.get(talk.id, _NOTHING)
        more, ticket_id = usage.since(before), talk.ticket_id
        self.told[talk.id] = before + more
        self.told_ms[talk.id] = at_ms
        if not more.model_calls:
            return
        self.told_project = self.told_project + more
        self.told_day = self.told_day + more
        self.told_ticket[ticket_id] = self.told_ticket.get(ticket_id, _NOTHING) + more
        self.told_run[ticket_id] = self.told_run.get(ticket_id, _NOTHING) + more

    def run_begins(self, ticket_id: TicketId) -> None:
        self.told_run.pop(ticket_id, None)

    def day_begins(self) -> None:
        self.told_day, self.day_before = Usage(), self.billed
        self.crossed.pop("day", None)

    def told_of(self, scope: str, ticket_id: TicketId) -> Usage:
        match scope:
            case "run":
                return self.told_run.get(ticket_id, _NOTHING)
            case "ticket":
                return self.told_ticket.get(ticket_id, _NOTHING)
            case "day":
                return self.told_day
            case _:
                return self.told_project

    def billed_ticket(self, ticket_id: TicketId) -> int:
        return sum(talk.usage.total_tokens for talk in self.talks.get(ticket_id, ()))
