"""Parts that are compressed once make one correct stream for each reader, whenever it came."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from opensymphony.api.compression import DeflateStream, compressed, takes_deflate


@given(st.lists(st.binary(max_size=3_000), max_size=6), st.integers(0, 6))
def test_a_stream_is_its_parts_whoever_else_got_some_of_them(contents: list[bytes], missed: int) -> None:
    """A reader that came later has a stream of its own, of the same parts; the sum at the end is checked by the reader."""
    parts = [compressed(content) for content in contents]
    for own in (list(range(len(parts))), list(range(len(parts)))[missed:]):
        stream, reader = DeflateStream(), zlib.decompressobj()
        for at in own:
            assert reader.decompress(stream.next(parts[at])) == contents[at], "all of it is there at once"
        assert reader.decompress(stream.end()) == b"" and reader.eof and not reader.unused_data


def test_a_wrong_sum_would_be_found() -> None:
    """So that the test above can fail."""
    stream, reader = DeflateStream(), zlib.decompressobj()
    stream.next(compressed(b"lost"))
    with pytest.raises(zlib.error):
        reader.decompress(b"\x78\x01" + stream.next(compressed(b"told")) + stream.end())


def test_a_long_part_is_summed_too() -> None:
    """Longer than the number that the sum counts to."""
    content = b"\xff" * 1_000_000
    stream = DeflateStream()
    told = stream.next(compressed(content)) + stream.next(compressed(content)) + stream.end()
    assert zlib.decompress(told) == content * 2


@pytest.mark.parametrize(
    ("said", "takes"),
    [
        ("gzip, deflate, br", True),
        ("DEFLATE;q=0.5", True),
        ("gzip", False),
        ("deflate;q=0", False),
        ("deflate; q=0.000", False),
        ("", False),
        ("deflated", False),
    ],
)
def test_only_who_says_so_gets_it_compressed(said: str, takes: bool) -> None:
    """Many tools for a terminal say nothing."""
    headers = [(b"accept-encoding", said.encode())] if said else []
    assert takes_deflate(Request({"type": "http", "headers": headers})) is takes
