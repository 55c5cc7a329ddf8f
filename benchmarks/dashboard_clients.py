"""Who asks the listener in `dashboard_load.py`, in a process of its own that loads nothing else.

In: the token, what to be, ports. Ends when its input ends, and prints a list of numbers: what it has measured.
"""

from __future__ import annotations

import http.client
import json
import selectors
import socket
import sys
import time
from collections.abc import Sequence

SNAPSHOTS_A_S = 5
PICTURE_END = b"\0\0\xff\xff"
"""Of each part of a compressed stream."""


def head(token: str) -> str:
    return f"HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"


def follow(token: str, port: int, number: int) -> None:
    """Readers that take everything at once; prints the seconds from one picture to the next of each.

    They take it compressed, as browsers do, and leave it so: to unpack it is the work of other machines.
    """
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    for _ in range(number):
        made = socket.create_connection(("127.0.0.1", port))
        made.sendall(f"GET /api/v1/events {head(token)}Accept-Encoding: deflate\r\n\r\n".encode())
        made.setblocking(False)
        selector.register(made, selectors.EVENT_READ, [0.0, b""])
    gaps: list[float] = []
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                print(json.dumps(gaps))
                return
            content = key.fileobj.recv(4_000_000)  # type: ignore[union-attr]
            assert content, "a reader was cut off"
            last, tail = key.data
            if PICTURE_END in tail + content and len(content) > 1_000:  # a heartbeat is shorter
                now = time.perf_counter()
                if last:
                    gaps.append(now - last)
                key.data[0] = now
            key.data[1] = content[-20:]


def stall(token: str, port: int) -> None:
    """A reader that takes nothing."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # else the system takes some pictures in its place
    made.connect(("127.0.0.1", port))
    made.sendall(f"GET /api/v1/events {head(token)}\r\n".encode())
    sys.stdin.read()
    print("[]")


def ask(token: str, ports: Sequence[int]) -> None:
    """Ask for a snapshot now and then, of two listeners in turns; prints their milliseconds in turns."""
    found: list[float] = []
    others = [http.client.HTTPConnection("127.0.0.1", port) for port in ports]
    for one in others:
        one.connect()
        one.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    poll = selectors.DefaultSelector()
    poll.register(sys.stdin, selectors.EVENT_READ)
    while not poll.select(1 / SNAPSHOTS_A_S):
        for one in others:
            began = time.perf_counter()
            one.request("GET", "/api/v1/snapshot", headers={"Authorization": f"Bearer {token}"})
            answer = one.getresponse()
            assert answer.status == 200
            answer.read()
            found.append(1000 * (time.perf_counter() - began))
    print(json.dumps(found))


def main() -> None:
    match sys.argv[1:]:
        case [token, "follow", port, number]:
            follow(token, int(port), int(number))
        case [token, "stall", port]:
            stall(token, int(port))
        case [token, "ask", *ports]:
            ask(token, [int(port) for port in ports])
        case _:
            sys.exit("benchmarks.dashboard_load starts this")


if __name__ == "__main__":
    main()
