"""What every decision is made of."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from opensymphony.model import TicketId

TimerKind = Literal[
    "retry", "stall", "stage_retry", "heartbeat", "clean", "wall", "move", "settle", "ask", "comment", "review"
]


class Concluded(Struct, frozen=True, kw_only=True, tag=True):
    """Root of every decision."""


class OfTicket(Concluded, frozen=True, kw_only=True):
    """Root of the decisions about one ticket."""

    ticket_id: TicketId
