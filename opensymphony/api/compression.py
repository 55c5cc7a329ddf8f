"""One compressed stream for each of many readers, of parts that are compressed once for all of them.

Each part is blocks of deflate (RFC 1951) that refer to nothing before them, so that they fit into the stream of every reader,
wherever that is. What differs from reader to reader is the sum at the end (RFC 1950), which follows from the sums of the parts.
"""

from __future__ import annotations

import zlib

from msgspec import Struct
from starlette.requests import Request

_HEADER = b"\x78\x01"
_LAST_BLOCK = b"\x03\x00"
_LEVEL = 1
_SUM_BASE = 65_521


class Part(Struct, frozen=True, kw_only=True):
    """Something that is sent, in the form in which it is."""

    blocks: bytes
    size: int
    sum: int


def compressed(content: bytes) -> Part:
    """Takes some milliseconds a megabyte, without holding other threads up."""
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    blocks = deflater.compress(content) + deflater.flush(zlib.Z_FULL_FLUSH)
    return Part(blocks=blocks, size=len(content), sum=zlib.adler32(content))


class DeflateStream:
    """What one reader gets, under `Content-Encoding: deflate`."""

    def __init__(self) -> None:
        self._sum = zlib.adler32(b"")
        self._begun = False

    def next(self, part: Part) -> bytes:
        first = b"" if self._begun else _HEADER
        self._begun = True
        self._sum = _joined(self._sum, part.sum, part.size)
        return first + part.blocks

    def end(self) -> bytes:
        first = b"" if self._begun else _HEADER
        return first + _LAST_BLOCK + self._sum.to_bytes(4, "big")


def _joined(first: int, second: int, size: int) -> int:
    """Adler's sum of two contents one after the other; `size` is that of the second."""
    low, high = first & 0xFFFF, first >> 16
    joined_low = (low + (second & 0xFFFF) - 1) % _SUM_BASE
    joined_high = (high + (second >> 16) + size * (low - 1)) % _SUM_BASE
    return joined_high << 16 | joined_low


def takes_deflate(request: Request) -> bool:
    """Whether the reader says that it can read that; one that says nothing gets everything as it is."""
    for offered in ",".join(request.headers.getlist("accept-encoding")).split(","):
        name, _, weight = offered.partition(";")
        if name.strip().lower() == "deflate":
            return weight.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
