"""What every decision is made of."""

from typing import get_args

from opensymphony.scheduler.decisions import Decision
from opensymphony.scheduler.decisions.roots import Concluded, OfTicket


def test_every_decision_is_frozen_and_carries_its_name() -> None:
    """The journal tells them apart by it; nobody changes one after it was made."""
    kinds = get_args(Decision)
    assert all(issubclass(kind, Concluded) for kind in kinds)
    assert all(kind.__struct_config__.frozen and kind.__struct_config__.tag == kind.__name__ for kind in kinds)


def test_a_decision_about_a_ticket_names_it() -> None:
    """Narration and manifests find the ticket by it."""
    assert "ticket_id" in OfTicket.__struct_fields__
