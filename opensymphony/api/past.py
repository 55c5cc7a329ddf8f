"""What has happened, over HTTP: a ticket's transcript, timeline, changes and verifications, and figures of days and runs.

A ticket's identifier may hold slashes, sent as `%2F`: only a word behind a plain slash is one of ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from opensymphony.api.access import error_response
from opensymphony.api.issues import Issues, issue, json_response, unknown_issue
from opensymphony.errors import InstanceError, StoreError
from opensymphony.views import Changes, Statistics, TimelinePage, TranscriptPage, VerificationList

ENTRIES, ENTRIES_MAX = 200, 500
DAYS, DAYS_MAX = 30, 366
_NUMBER_MAX = 2**53


class Absent(Exception):
    """Raised for what a ticket does not have, or not here."""

    def __init__(self, code: str, message: str, *, status: int = 404) -> None:
        self.response = error_response(status, code, message)
        super().__init__(message)


class Past(Protocol):
    """What is asked about the past; `daemon/past.py` answers. None for a ticket that is not known.

    Each raises `InstanceError` or `StoreError` when it cannot be told now.
    """

    async def transcript(
        self, identifier: str, *, limit: int, before: int | None, after: int | None
    ) -> TranscriptPage | None:
        """Raises `Absent` where there is none."""
        ...

    async def timeline(self, identifier: str, *, limit: int, before: int | None) -> TimelinePage | None: ...

    async def changes(self, identifier: str) -> Changes | None:
        """Raises `Absent` where there is no workspace."""
        ...

    async def verifications(self, identifier: str) -> VerificationList | None: ...

    async def statistics(self, days: int) -> Statistics: ...


class Remembering(Issues, Protocol):
    """Where the past is looked for."""

    @property
    def past(self) -> Past | None:
        """None until the daemon has begun."""
        ...


Answer = Callable[[Request], Awaitable[Response]]
Look = Callable[[Past, str, Request], Awaitable[object]]


class _Unusable(Exception):
    """Raised for a query that cannot be used."""


def past_routes(control: Remembering) -> tuple[tuple[str, str, Answer], ...]:
    """Path, method and answer of each; before the route of a single ticket, which takes every path."""
    of_issue = (
        ("transcript", _transcript),
        ("timeline", _timeline),
        ("changes", _changes),
        ("verifications", _verifications),
    )
    return (
        *(
            (f"/api/v1/issues/{{identifier:path}}/{word}", "GET", _of_issue(control, word, look))
            for word, look in of_issue
        ),
        ("/api/v1/statistics", "GET", lambda request: _statistics(control, request)),
    )


def _of_issue(control: Remembering, word: str, look: Look) -> Answer:
    async def answer(request: Request) -> Response:
        identifier = request.path_params["identifier"]
        whole = f"{identifier}/{word}"
        # `A%2Ftranscript` is a ticket; so is `A/transcript` where there is no `A`.
        if not _is_ours(request, word) or (control.explain(identifier) is None and control.explain(whole) is not None):
            request.path_params["identifier"] = whole
            return issue(control, request, lambda one: one)
        return await _answered(control, lambda past: look(past, identifier, request), unknown_issue(identifier))

    return answer


def _is_ours(request: Request, word: str) -> bool:
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return raw.partition(b"?")[0].endswith(b"/" + word.encode())


async def _answered(control: Remembering, ask: Callable[[Past], Awaitable[object]], unknown: Response) -> Response:
    if control.past is None:
        return error_response(503, "unavailable", "the daemon is starting: ask again in a moment")
    try:
        found = await ask(control.past)
    except _Unusable as unusable:
        return error_response(400, "bad_request", str(unusable))
    except Absent as absent:
        return absent.response
    except (InstanceError, StoreError) as error:
        return error_response(503, "unavailable", str(error))
    return unknown if found is None else json_response(found)


async def _transcript(past: Past, identifier: str, request: Request) -> object:
    asked = _Query(request, "limit", "before", "after")
    before, after = asked.number("before"), asked.number("after", least=-1)
    if before is not None and after is not None:
        raise _Unusable("give before or after, not both")
    limit = asked.number("limit", least=1, most=ENTRIES_MAX)
    return await past.transcript(identifier, limit=limit or ENTRIES, before=before, after=after)


async def _timeline(past: Past, identifier: str, request: Request) -> object:
    asked = _Query(request, "limit", "before")
    limit = asked.number("limit", least=1, most=ENTRIES_MAX)
    return await past.timeline(identifier, limit=limit or ENTRIES, before=asked.number("before"))


async def _changes(past: Past, identifier: str, request: Request) -> object:
    _Query(request)
    return await past.changes(identifier)


async def _verifications(past: Past, identifier: str, request: Request) -> object:
    _Query(request)
    return await past.verifications(identifier)


async def _statistics(control: Remembering, request: Request) -> Response:
    async def ask(past: Past) -> object:
        return await past.statistics(_Query(request, "days").number("days", least=1, most=DAYS_MAX) or DAYS)

    return await _answered(control, ask, unknown_issue(""))


class _Query:
    """What stands behind the question mark: numbers, each once, and nothing else."""

    def __init__(self, request: Request, *known: str) -> None:
        """Raises `_Unusable` for what is not known."""
        self._given = request.query_params
        for name, _ in self._given.multi_items():
            if name not in known:
                takes = f"it takes {', '.join(known)}" if known else "it takes none"
                raise _Unusable(f"there is no parameter {name[:100]!r} here: {takes}")

    def number(self, name: str, *, least: int = 0, most: int = _NUMBER_MAX) -> int | None:
        """None where it is left out. Raises `_Unusable` for what is no such number."""
        given = self._given.getlist(name)
        if not given:
            return None
        digits = given[0].removeprefix("-") if least < 0 else given[0]
        if len(given) == 1 and digits.isascii() and digits.isdecimal() and len(digits) <= 16:
            number = int(given[0])
            if least <= number <= most:
                return number
        raise _Unusable(f"{name} must be one number from {least} to {most}")
