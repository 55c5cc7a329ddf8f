"""Sections of ours in a file that people write in too."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensymphony.services.files.comment_file import BODY_CHARACTERS_MAX, name_of, read, upsert


def test_a_section_is_added_below_what_people_wrote() -> None:
    """With a blank line between, and nothing of theirs changed."""
    assert upsert(b"", "m", "one\ntwo") == (
        b"<!-- opensymphony:comment m -->\none\ntwo\n<!-- /opensymphony:comment m -->\n"
    )
    assert upsert(b"theirs", "m", "x").startswith(b"theirs\n\n<!-- opensymphony:comment m -->\nx\n")
    assert upsert(b"theirs\n", "m", "x").startswith(b"theirs\n\n<!--")


def test_line_ends_are_those_of_the_file() -> None:
    """An editor that made them CRLF does not get a mixture back."""
    data = upsert(upsert(b"theirs\r\n", "m", "a\nb"), "m", "c\nd")
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert data.count(b"opensymphony:comment m") == 2


@pytest.mark.parametrize("last", [b"", b"<!-- opensymphony:comment m -->\nmine?\n<!-- /opensymphony:comment m -->\n"])
def test_without_its_last_line_a_section_takes_nothing_with_it(last: bytes) -> None:
    """A person deleted the marker; what follows may be theirs."""
    data = b"<!-- opensymphony:comment m -->\nperhaps theirs\n" + last
    after = upsert(data, "m", "new")
    assert b"perhaps theirs\n" + last in after
    assert after.startswith(b"<!-- opensymphony:comment m -->\nnew\n<!-- /opensymphony:comment m -->\nperhaps")


def test_a_byte_order_mark_does_not_hide_the_first_section() -> None:
    """Some editors add one when they save."""
    data = b"\xef\xbb\xbf" + upsert(b"", "m", "old")
    assert upsert(data, "m", "new") == data.replace(b"old", b"new")


def test_markers_may_hold_anything() -> None:
    """What an HTML comment cannot hold is written otherwise, different markers differently."""
    markers = ["T-1#2/report", "a b", "-->", "--", "a\nb", "ü", "%2D", "-%2D", "a--b"]
    names = [name_of(marker) for marker in markers]
    assert names[0] == "T-1#2/report"
    assert len(set(names)) == len(markers)
    assert not [name for name in names if "--" in name or ">" in name or not name.isascii() or not name.isprintable()]


def test_a_long_body_is_cut() -> None:
    """And says so."""
    data = upsert(b"", "m", "x" * (BODY_CHARACTERS_MAX + 1))
    assert data.count(b"x") == BODY_CHARACTERS_MAX and b"(shortened)" in data


def test_bytes_that_are_no_text_are_refused() -> None:
    """Nothing is written into a file that we cannot read."""
    with pytest.raises(UnicodeDecodeError):
        upsert(b"\xff", "m", "x")


def test_what_people_say_is_read() -> None:
    """Each below a heading with its author; ours are none; the same words twice are two comments, each with its own id."""
    talk = b"Notes.\n\n## ada\n\nFirst.\n\n"
    talk += b"<!-- opensymphony:comment status -->\n## us\nours\n<!-- /opensymphony:comment status -->\n"
    talk += b"## Bob Dole ##\r\n\r\nSecond,\r\nlonger.\r\n### not a comment\n## ada\nFirst.\n## empty\n\n"
    found = read(talk)
    assert [(one.number, one.author, one.text) for one in found] == [
        (1, "ada", "First."),
        (2, "Bob Dole", "Second,\nlonger.\n### not a comment"),
        (3, "ada", "First."),
    ]
    assert len({one.id for one in found}) == 3
    # What stands before does not change who it is; what is changed is another comment.
    assert [one.id for one in read(b"## x\nnew\n" + talk)][1:] == [one.id for one in found]
    assert read(talk.replace(b"Second", b"2nd"))[1].id != found[1].id
    assert read(b"\xff## ada\nx") == ()
    assert read(b"") == ()
    many = read(b"".join(b"## a\n%d\n" % number for number in range(100)) + b"## a\n" + b"x" * 9_000)
    assert (len(many), many[-1].number, len(many[-1].text)) == (20, 101, 4_000)
    unended = b"<!-- opensymphony:comment status -->\n## us\nnobody ended this"
    assert read(unended) == (), "what may be ours is nobody's instruction"


_PIECES = st.lists(
    st.sampled_from(
        [
            "<!-- opensymphony:comment m -->",
            "<!-- /opensymphony:comment m -->",
            "<!--/OpenSymphony:Comment m-->",
            "<!--",
            "-->",
            "text",
            "\n",
            "\r\n",
            "\r",
            " ",
            "\0",
        ]
    ),
    max_size=12,
).map("".join)


@given(_PIECES, _PIECES, st.text("ab\n\r", max_size=10), st.text("cd\n\r", max_size=10))
def test_no_body_reaches_out_of_its_section(first: str, second: str, before: str, after: str) -> None:
    """Whatever it says: what stands around stays byte for byte, and the next edit replaces all of it."""
    head = before.encode()
    plain = upsert(head, "m", "plain") + after.encode()
    edited = upsert(upsert(plain, "m", first), "m", second)
    assert upsert(edited, "m", second) == edited
    assert upsert(edited, "m", "plain") == plain
    assert edited.startswith(head) and edited.endswith(after.encode())
