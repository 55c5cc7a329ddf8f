"""How the journal's lines are written and read."""

import pytest

from opensymphony.errors import StoreError
from opensymphony.scheduler.records import decode_record, decode_state
from tests.scheduler.playbook import Playbook


def test_every_record_of_a_run_reads_back_as_it_was() -> None:
    """Events and decisions keep their types through JSON."""
    book = Playbook()
    book.ticket("A-1")
    book.settle_all()
    kinds = [type(decode_record(data).event).__name__ for data in book.records]
    assert kinds[:3] == ["DaemonStarted", "PolicyLoaded", "TicketChanged"]
    assert kinds[-1] == "ClaimReleased"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"sequence": 1}'])
def test_what_is_not_a_record_is_refused(data: bytes) -> None:
    """A damaged journal stops the start instead of being guessed at."""
    with pytest.raises(StoreError):
        decode_record(data)
    with pytest.raises(StoreError):
        decode_state(data + b"x")
