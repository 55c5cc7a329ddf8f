"""How git signs in to the repository's host: through a pipe that one call of git inherits, and through nothing that stays.

In: the repository's address, and who can read user and secret now. Out: what one call of git has to be given. The secret is
never on a disk, in a configuration, an argument or a variable; git asks for it with the protocol of its credential helpers, for
the host of that address only, and whoever it is led to by a redirect is another host. The pipe can be read once.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

from msgspec import Struct

from opensymphony.errors import WorkspaceError
from opensymphony.workflow.policy import is_loopback

ReadLogin = Callable[[], Awaitable[tuple[str, str]]]
"""Reads user and secret now. Raises an `OpenSymphonyError`."""

_CHARS_MAX = 16_384
"""What a pipe takes without somebody who reads."""


class Handed(Struct, frozen=True, kw_only=True):
    """What one call of git is given; nothing where it does not sign in."""

    settings: tuple[str, ...] = ()
    descriptors: tuple[int, ...] = ()


def place_of(url: str) -> str | None:
    """Scheme, host and port of an address that a secret may be sent to: over TLS, or to this machine; None for any other."""
    try:
        address = urlsplit(url)
        host, port = address.hostname, address.port
    except ValueError:
        return None
    secure = address.scheme == "https" or (address.scheme == "http" and is_loopback(host or ""))
    if not host or not secure or address.username is not None:
        return None
    name = f"[{host}]" if ":" in host else host
    return f"{address.scheme}://{name}" + (f":{port}" if port is not None else "")


@contextmanager
def handed_over(place: str, user: str, secret: str) -> Generator[Handed]:
    """Put the login into a pipe for one call of git, and take it away afterwards, read or not."""
    lines = f"username={user}\npassword={secret}\n"
    if not (user + secret).isprintable() or len(lines) > _CHARS_MAX:
        message = (
            f"the login for {place} cannot be told to git: it is too long, or holds a character that cannot be typed"
        )
        raise WorkspaceError(message, error_class="person")
    reading, writing = os.pipe()
    try:
        os.write(writing, lines.encode())
        os.close(writing)
        # By its path, since not every shell takes a number of more than one digit.
        helper = f'!f() {{ test "$1" = get && cat /dev/fd/{reading}; }}; f'
        yield Handed(settings=(f"credential.{place}.helper={helper}",), descriptors=(reading,))
    finally:
        os.close(reading)
