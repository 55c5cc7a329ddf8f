"""What one ticket file says, and that an edit of ours touches nothing else."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opensymphony.model import Claim
from opensymphony.services.files import ticket_file
from opensymphony.services.files.front_matter import FILE_BYTES_MAX, HEAD_CHARACTERS_MAX, Malformed
from opensymphony.services.files.ticket_file import TicketFile, parse, with_claim, with_state

CLAIM = Claim(instance="host-1", generation=3, heartbeat_ms=1_750_000_000_000)


def ticket(*head: str, body: str = "") -> bytes:
    return "\n".join(["---", *head, "---", body]).encode()


def read(*head: str, body: str = "") -> TicketFile:
    return parse("T-1", ticket("title: A", "state: Todo", *head, body=body))


class TestMeaning:
    def test_scalars_are_taken_as_written(self) -> None:
        """Numbers and words that older YAML takes for truth values stay text."""
        found = parse("T-1", ticket("title: 0042", "state: yes", "labels: [1.10, ON]", "assignee: 5"))
        assert (found.title, found.state, found.labels, found.assignee) == ("0042", "yes", ("1.10", "on"), "5")

    def test_everything_is_read(self) -> None:
        """Lists may be written as lists or with commas."""
        found = read(
            "priority: 3",
            "labels: Bug, 'ready' , bug,,",
            "blocked_by:",
            "  - T-2   # the first",
            "  - T-3",
            "parent: E-1",
            "created: 2026-01-31",
            'claim: {instance: "x", generation: 2, heartbeat_ms: 5}',
            body="\nLine one\n\n---\nLine two\n\n",
        )
        assert (found.priority, found.labels, found.blocked_by) == (3, ("bug", "'ready'"), ("T-2", "T-3"))
        assert (found.parent, found.created_at, found.created_ms) == ("E-1", "2026-01-31T00:00:00+00:00", 1769817600000)
        assert found.claim == Claim(instance="x", generation=2, heartbeat_ms=5)
        assert (found.description, found.notes) == ("Line one\n\n---\nLine two", ())

    def test_half_a_character_stops_at_the_file(self) -> None:
        """Escapes can spell what no text can hold: a problem where it would be a name, replaced where it is prose."""
        assert parse("T-1", ticket(r'title: "\ud83d\ude00 x"', "state: Todo")).title == "\U0001f600 x"
        for head in ((r'title: "x \ud83d"', "state: Todo"), ("title: x", r'state: "\udc00"')):
            with pytest.raises(Malformed, match="half a character"):
                parse("T-1", ticket(*head))
        found = read(
            r'labels: ["a\ud83d", b]',
            r'assignee: "\udfff"',
            r'blocked_by: ["\ud800"]',
            r'parent: "\ud800"',
            r'claim: {instance: "\ud800", generation: 2, heartbeat_ms: 5}',
        )
        assert found.labels == ("a\ufffd", "b")
        assert (found.assignee, found.blocked_by, found.parent) == ("\ufffd", ("\ufffd",), "\ufffd")
        assert found.claim == Claim(instance="\ufffd", generation=2, heartbeat_ms=5)
        with pytest.raises(Malformed) as told:
            read(r'"\ud83d": 1', r'"\ud83d": 2')
        str(told.value).encode()

    def test_absent_and_null_mean_nothing(self) -> None:
        """Neither is a fault."""
        found = read("priority:", "labels: ~", "assignee: null", "blocked_by: []", "parent: ''", "created:", "claim:")
        assert found.notes == () and found.description is None
        assert (found.priority, found.labels, found.assignee, found.blocked_by) == (None, (), None, ())
        assert (found.parent, found.created_at, found.claim) == (None, None, None)

    @pytest.mark.parametrize(
        ("created", "at"),
        [
            ("2026-01-31T09:00:00Z", "2026-01-31T09:00:00+00:00"),
            ("2026-01-31 09:00", "2026-01-31T09:00:00+00:00"),
            ("'2026-01-31T09:00:00+02:00'", "2026-01-31T09:00:00+02:00"),
        ],
    )
    def test_dates_have_an_offset(self, created: str, at: str) -> None:
        """One without is taken as UTC."""
        assert read(f"created: {created}").created_at == at

    @pytest.mark.parametrize(
        "line",
        [
            "priority: high",
            "priority: 0",
            "priority: 1.5",
            "labels: {a: b}",
            "labels: [[a]]",
            "assignee: [a, b]",
            "parent: {a: b}",
            "created: xx",
            "created: 10000-01-01",
            "claim: mine",
            "claim: {instance: a, generation: -1, heartbeat_ms: 1}",
            "claim: {instance: a, generation: 1, heartbeat_ms: soon}",
        ],
    )
    def test_bad_optional_data_is_noted_with_its_line(self, line: str) -> None:
        """And counts as absent."""
        found = read(line)
        assert [note.line for note in found.notes] == [4]
        assert (found.priority, found.labels, found.assignee, found.parent) == (None, (), None, None)
        assert (found.created_ms, found.claim) == (None, None)

    def test_an_unreadable_blocker_still_blocks(self) -> None:
        """Dropping it would start work too early."""
        found = read("blocked_by: [T-2, {a: b}]")
        assert found.blocked_by == ("T-2", ticket_file.UNREADABLE)
        assert [note.line for note in found.notes] == [4]

    @pytest.mark.parametrize(
        ("data", "line", "word"),
        [
            (b"", 1, "begins with"),
            (b"# Title\n", 1, "begins with"),
            (b"---\ntitle: a\nstate: b\n", 1, "no closing"),
            (b"---", 1, "no closing"),
            (ticket("title: [a"), 3, "YAML"),
            (ticket("title: a", "\tstate: b"), 3, "a tab"),
            (ticket("title: a", "state: b", "title: c"), 4, "twice"),
            (ticket("title: a", "claim: {x: 1, x: 2}", "state: b"), 3, "twice"),
            (ticket("state: b"), 1, "'title' is missing"),
            (ticket("title: a", "state:"), 3, "'state' is missing"),
            (ticket("title: a", "state: [b]"), 3, "must be text"),
            (ticket("title: {a: b}", "state: b"), 2, "must be text"),
            (ticket("title: a", "state: |", "  b"), 3, "one line"),
            (ticket("title: a", "state: " + "b" * 101), 3, "one line"),
            (ticket("- title: a"), 2, "key: value"),
            (ticket("{title: a, state: b}"), 2, "key: value"),
            (ticket("just words"), 2, "key: value"),
            (ticket("title: &x a", "state: *x"), 2, "anchors"),
            (ticket("title: a", "[a, b]: c", "state: b"), 3, "must be a word"),
            (ticket("title: a\x07", "state: b"), 2, "control character"),
            (ticket("title: a", "state: b") + b"\n\xff\xfe", 6, "UTF-8"),
            (ticket("title: a", "x: " + "[" * 100 + "]" * 100, "state: b"), 3, "deeply"),
            (ticket("title: a", "x: " + "[" * 5000 + "]" * 5000, "state: b"), 2, "brackets"),
            (ticket("title: a", "x:", "  " + "- " * 5000, "state: b"), 2, "deeply"),
            (ticket("title: a", "x: " + "y" * HEAD_CHARACTERS_MAX, "state: b"), 1, "longer"),
            (ticket("title: a", "state: b", body="x" * FILE_BYTES_MAX), 1, "larger"),
        ],
    )
    def test_a_file_that_is_no_ticket_says_why_and_where(self, data: bytes, line: int, word: str) -> None:
        """One line of text, with the line of the file."""
        with pytest.raises(Malformed) as caught:
            parse("T-1", data)
        assert caught.value.line == line
        assert word in caught.value.message and "\n" not in caught.value.message

    @given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: ticket(*text.split("\n"))))
    @settings(max_examples=300, deadline=None)
    def test_no_input_breaks_the_reader(self, data: bytes) -> None:
        """Whatever the bytes are: a ticket, or `Malformed`."""
        try:
            parse("T-1", data)
        except Malformed as error:
            assert error.line >= 1


class TestEdits:
    def test_only_the_word_of_the_state_changes(self) -> None:
        """Quotes of other values, comments, order, blanks and the body stay."""
        before = b"---\n# mine\ntitle:  'x: y'   # why\nstate:   \"Todo\"  # now\n\nlabels: [ a,b ]\n---\nbody\n---\n"
        after = with_state(before, "In Progress")
        assert after == before.replace(b'"Todo"', b"In Progress")

    def test_a_claim_is_the_last_line_of_the_head_and_goes_without_a_trace(self) -> None:
        """In the line ends of the file, byte order mark kept."""
        before = b"\xef\xbb\xbf---\r\ntitle: x\r\nstate: Todo\r\n# end\r\n---\r\nbody, no end"
        after = with_claim(before, CLAIM)
        line = b'claim: {instance: "host-1", generation: 3, heartbeat_ms: 1750000000000}\r\n'
        assert after == before.replace(b"# end\r\n", b"# end\r\n" + line)
        assert parse("T-1", after).claim == CLAIM
        assert with_claim(after, None) == before

    def test_a_claim_that_a_person_reformatted_is_still_one(self) -> None:
        """It is replaced where it stands; what follows it stays."""
        claim = "claim:\n  instance: other\n  generation: 1\n  heartbeat_ms: 2\n"
        before = f"---\ntitle: x\n{claim}# about the state\n\nstate: Todo\n---\n".encode()
        assert parse("T-1", before).claim == Claim(instance="other", generation=1, heartbeat_ms=2)
        after = with_claim(before, CLAIM)
        assert parse("T-1", after).claim == CLAIM
        assert with_claim(after, None) == with_claim(before, None) == before.replace(claim.encode(), b"")

    @pytest.mark.parametrize(
        "claim", ["claim:", "claim: # none", "claim: what", "claim: {instance: a,\n  generation: 1}"]
    )
    def test_a_broken_claim_is_replaced(self, claim: str) -> None:
        """The lines around it stay."""
        before = f"---\ntitle: x\n{claim}\n# after\nstate: Todo\n---\n".encode()
        assert with_claim(before, None) == b"---\ntitle: x\n# after\nstate: Todo\n---\n"
        assert parse("T-1", with_claim(before, CLAIM)).claim == CLAIM

    def test_an_indented_head_gets_an_indented_claim(self) -> None:
        """YAML wants all keys in one column."""
        before = b"---\n  title: x\n  state: Todo\n---\n"
        assert with_claim(before, CLAIM).splitlines()[3].startswith(b"  claim: ")
        assert with_claim(with_claim(before, CLAIM), None) == before

    @pytest.mark.parametrize("state", ["null", "~", "a: b", "- x", "#1", "12", "*a", "'", "Überprüft", "ends ", "a#b"])
    def test_states_are_quoted_when_they_must_be(self, state: str) -> None:
        """What is written is what is read."""
        after = with_state(ticket("title: x", "state: Todo # note"), state)
        assert parse("T-1", after).state == state.strip()
        assert after.endswith(b" # note\n---\n")

    def test_an_edit_that_would_reach_further_is_refused(self) -> None:
        """A state that goes on in the next line cannot be replaced alone."""
        with pytest.raises(Malformed):
            with_state(ticket("title: x", "state: To", "  do"), "Done")


_WORD = st.text(string.ascii_letters + string.digits + " .,:#'\"äß😀-_/\\", min_size=1, max_size=20)
_KEY = st.text(string.ascii_lowercase, min_size=1, max_size=8).filter(
    lambda key: key not in {"state", "claim", "title"}
)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@st.composite
def _lines(draw: st.DrawFn) -> list[str]:
    """Other lines of a head, as people write them."""
    keys = draw(st.lists(_KEY, unique=True, max_size=4))
    lines: list[str] = []
    for key in keys:
        value = _quoted(draw(_WORD))
        form = draw(
            st.sampled_from(["{k}: {v}", "{k}:   {v}  # c", "{k}:\n  - {v}", "{k}: |\n  a\n\n  b\n", "{k}: [{v}, 1]"])
        )
        lines.append(form.format(k=key, v=value))
        lines += draw(st.lists(st.sampled_from(["# a comment", "", "   ", "# state: no", "# claim: no"]), max_size=2))
    return lines


@st.composite
def _tickets(draw: st.DrawFn) -> tuple[bytes, bytes, bytes]:
    """A file in three parts: before the state's value, the value, behind it."""
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    state = draw(st.sampled_from(["Todo", "'Todo'", '"To do"', "In Progress", "!!str x", "yes", "1"]))
    gap = draw(st.sampled_from([" ", "   "]))
    before = ["---", *draw(_lines()), "title: x", f"state:{gap}"]
    comment = draw(st.sampled_from(["", " ", "  # it's", " # x: y"]))
    names = {line.split(":")[0] for line in before}
    after = [line for line in draw(_lines()) if line.split(":")[0] not in names or line.startswith("#")]
    body = draw(st.sampled_from(["", "\n", "text", "text\n", "---\n\nstate: no\n", "\ntext\n\n\n"]))
    bom = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    closing = draw(st.sampled_from(["---", "--- "]))
    front = "\n".join(before).replace("\n", newline).encode()
    rest = "\n".join([comment, *after, closing, body]).replace("\n", newline).encode()
    return bom + front, state.encode(), rest


@given(_tickets(), st.sampled_from(["In Review", "Done", "yes", "a: b", "2", "Größe"]))
@settings(max_examples=200, deadline=None)
def test_everything_but_the_state_stays_byte_for_byte(parts: tuple[bytes, bytes, bytes], state: str) -> None:
    """For heads as wild as people write them."""
    front, value, rest = parts
    after = with_state(front + value + rest, state)
    assert after.startswith(front) and after.endswith(rest)
    assert parse("T-1", after).state == state


@given(_tickets(), st.text("abc-\"'äß: #{}", min_size=1, max_size=20), st.integers(0, 10**12))
@settings(max_examples=200, deadline=None)
def test_everything_but_the_claim_stays_byte_for_byte(
    parts: tuple[bytes, bytes, bytes], instance: str, number: int
) -> None:
    """Put on, renewed in place, and taken off: the file is what it was."""
    before = b"".join(parts)
    claim = Claim(instance=instance, generation=number, heartbeat_ms=number)
    claimed = with_claim(before, CLAIM)
    renewed = with_claim(claimed, claim)
    assert parse("T-1", renewed).claim == claim
    assert with_claim(renewed, CLAIM) == claimed
    assert with_claim(claimed, None) == before
    at = claimed.index(b"claim: {")
    assert before[:at] == claimed[:at]
