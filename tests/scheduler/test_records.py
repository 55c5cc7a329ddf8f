"""How the journal's lines are written and read."""

import pytest

from opensymphony.errors import StoreError
from opensymphony.scheduler import events as e
from opensymphony.scheduler import records
from opensymphony.scheduler.records import (
    FORMAT,
    Raw,
    Record,
    Upcaster,
    decode_record,
    decode_state,
    encode_state,
    is_torn,
)
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


def test_records_and_checkpoints_carry_their_format() -> None:
    """It stands first, so that a reader knows what it has before it has read it."""
    book = Playbook()
    assert all(data.startswith(b'{"format":%d,' % FORMAT) for data in (*book.records, encode_state(book.state)))
    assert decode_record(book.records[0]).format == FORMAT


@pytest.mark.parametrize("data", [b"", b'{"format":1,"seq', b"\x00" * 64, b"17", b"[]", b'{"a": "\xff"}'])
def test_what_a_cut_write_leaves_is_torn(data: bytes) -> None:
    """No record can look like this."""
    assert is_torn(data)


def test_a_record_with_words_that_nobody_knows_is_not_torn() -> None:
    """It was written whole, by whoever knew them: dropping it would lose what was decided."""
    assert not is_torn(b'{"format":1,"sequence":1,"event":{"type":"Later","at_ms":1},"decisions":[]}')


def _renamed(raw: Raw) -> Raw:
    """From the invented first format to the second: events were called facts."""
    return {**{name: value for name, value in raw.items() if name != "fact"}, "event": raw["fact"]}


def _with_unit(raw: Raw) -> Raw:
    """From the second to the third: times were seconds."""
    event = dict(raw["event"])
    return {**raw, "event": {**event, "at_ms": 1_000 * event.pop("at_s")}}


CHAIN = (
    Upcaster(record=_renamed, checkpoint=lambda state: {"instance": state["name"], "now_s": state["now_s"]}),
    Upcaster(
        record=_with_unit, checkpoint=lambda state: {"instance": state["instance"], "now_ms": 1_000 * state["now_s"]}
    ),
)


@pytest.fixture
def third_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """This release writes format 3, and two formats came before it."""
    monkeypatch.setattr(records, "UPCASTERS", CHAIN)
    monkeypatch.setattr(records, "FORMAT", 3)


@pytest.mark.usefixtures("third_format")
@pytest.mark.parametrize(
    "old",
    [
        b'{"format":1,"sequence":7,"fact":{"type":"PollFailed","at_s":5,"error":"away"},"decisions":[]}',
        b'{"format":2,"sequence":7,"event":{"type":"PollFailed","at_s":5,"error":"away"},"decisions":[]}',
        b'{"sequence":7,"decisions":[],"format":3,"event":{"type":"PollFailed","at_ms":5000,"error":"away"}}',
    ],
)
def test_an_older_record_is_led_through_every_format_since(old: bytes) -> None:
    """Each function knows its own step only; what comes out is a record of today."""
    assert decode_record(old) == Record(
        format=3, sequence=7, event=e.PollFailed(at_ms=5_000, error="away"), decisions=()
    )


@pytest.mark.usefixtures("third_format")
def test_an_older_checkpoint_is_led_through_every_format_since() -> None:
    """States have functions of their own."""
    for old in (b'{"format":1,"state":{"name":"one","now_s":5}}', b'{"format":2,"state":{"instance":"one","now_s":5}}'):
        state = decode_state(old)
        assert (state.instance, state.now_ms) == ("one", 5_000)


@pytest.mark.usefixtures("third_format")
def test_a_newer_format_is_refused_with_what_to_do() -> None:
    """What only a later release understands is not guessed at, nor what says nothing of its format."""
    with pytest.raises(StoreError, match=r"it has format 4, this release reads up to 3: use the release that wrote it"):
        decode_record(b'{"format":4,"sequence":7}')
    with pytest.raises(StoreError, match="format 4"):
        decode_state(b'{"format":4,"state":{}}')
    for nothing in (b'{"sequence":7}', b'{"format":"1"}', b'{"format":0}'):
        with pytest.raises(StoreError, match="carries no format number"):
            decode_record(nothing)


@pytest.mark.usefixtures("third_format")
def test_an_old_record_without_its_parts_is_refused() -> None:
    """Damage is told as damage, whatever function meets it."""
    with pytest.raises(StoreError, match="cannot be read"):
        decode_record(b'{"format":1,"sequence":7,"decisions":[]}')
