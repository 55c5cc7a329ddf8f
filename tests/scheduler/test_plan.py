"""Keys and ids that the scheduler hands out."""

from uuid import UUID

from opensymphony.scheduler.plan import conversation_id_for
from tests.scheduler.playbook import ticket


def test_a_conversations_id_is_a_uuid_of_instance_ticket_and_generation() -> None:
    """The same three give the same id; any other gives another."""
    first = conversation_id_for("one", ticket("A-1"), 1)
    assert UUID(first).version == 5
    assert first == conversation_id_for("one", ticket("A-1"), 1)
    others = {
        conversation_id_for("two", ticket("A-1"), 1),
        conversation_id_for("one", ticket("A-2"), 1),
        conversation_id_for("one", ticket("A-1"), 2),
    }
    assert len({first, *others}) == 4
