"""A ticket's head, read with positions."""

import pytest

from opensymphony.services.files.front_matter import Malformed, read

HEAD = '---\r\ntitle: "A: b"  # a note\r\nstate: Todo\r\nlabels: [x, y]\r\n---\r\nBody\r\n'


def test_values_know_where_they_stand() -> None:
    """What is cut out at a value's position is that value, and nothing behind it."""
    head = read(HEAD.encode())
    title = head.entries["title"].value
    assert (title.text, head.text[title.start : title.end]) == ("A: b", '"A: b"')
    assert (head.newline, head.line_of(head.entries["state"].start)) == ("\r\n", 3)
    assert [item.text for item in head.entries["labels"].value.items] == ["x", "y"]
    assert head.text[head.body :] == "Body\r\n"


def test_a_file_is_written_back_as_it_was() -> None:
    """Byte order mark and line ends included."""
    data = b"\xef\xbb\xbf" + HEAD.encode()
    head = read(data)
    assert head.bom
    assert head.encode(head.text) == data


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("no head", 1),
        ("---\ntitle: x\n", 1),
        ("---\na: 1\na: 2\n---\n", 3),
        ("---\na: [\n---\n", 2),
        ("---\n- a\n---\n", 2),
    ],
)
def test_what_is_no_head_is_named_with_its_line(text: str, line: int) -> None:
    """An editor can jump there."""
    with pytest.raises(Malformed) as refused:
        read(text.encode())
    assert abs(refused.value.line - line) <= 1
