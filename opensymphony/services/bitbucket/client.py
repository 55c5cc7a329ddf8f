"""Bitbucket's REST interface: typed calls to one repository go out, values or one kind of error come back.

A long list comes in pages, each with the address of the next; one that leads away from the API is not followed, since the token
would go along.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, NotFound, Refused, ServiceError, Unreachable
from opensymphony.http import (
    Answer,
    HttpClient,
    Limits,
    Parameters,
    ReadToken,
    Request,
    Token,
    one_line,
    retry_after_ms,
)
from opensymphony.services.bitbucket.repository import SERVICE, Repository

PAGE_MAX = 50
"""The most that pull requests come at once; other lists would give more."""
PAGES_MAX = 40

T = TypeVar("T")


class _Page(Struct, frozen=True, kw_only=True):
    """A part of a list."""

    values: tuple[msgspec.Raw, ...] = ()
    next: str | None = None


class _Error(Struct, frozen=True, kw_only=True):
    message: str = ""
    detail: msgspec.Raw = msgspec.Raw(b"null")
    fields: dict[str, Any] = {}


class _Scopes(Struct, frozen=True, kw_only=True):
    required: tuple[str, ...]


class _Errors(Struct, frozen=True, kw_only=True):
    error: _Error = _Error()


class BitbucketClient:
    """One repository and one account."""

    def __init__(
        self, repository: Repository, read_token: ReadToken, clock: Clock, limits: Limits | None = None
    ) -> None:
        self.repository = repository
        self.limits = limits or Limits(SERVICE, clock)
        self._token = Token(read_token)
        self._http = HttpClient(
            SERVICE, clock, self.limits, authorize=self._authorization, renew=self._renewed, explain=self._error
        )

    async def close(self) -> None:
        await self._http.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        name: str,
        json: object = None,
        params: Parameters = (),
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        expected: tuple[int, ...] = (),
        tail_bytes: int | None = None,
    ) -> Answer:
        """Make the call and return its answer. `path` begins behind the repository's.

        `repeatable`: a second one does no harm (default: all but POST); `expected`: states that are answers here.
        """
        return await self._http.call(
            Request(
                method=method,
                url=lambda: f"{self.repository.api_url}{self.repository.path}{path}",
                name=name,
                content=msgspec.json.encode(json) if json is not None else None,
                params=params,
                headers=headers or {},
                repeatable=method != "POST" if repeatable is None else repeatable,
                expected=expected,
                tail_bytes=tail_bytes,
            )
        )

    async def listed(
        self, path: str, kind: type[T], *, name: str, params: Parameters = (), pages_max: int = PAGES_MAX
    ) -> list[T]:
        """Everything in a list, from page to page; what is behind `pages_max` of them is left out."""
        items = params.items() if isinstance(params, Mapping) else params
        answer = await self.call("GET", path, name=name, params=[*items, ("pagelen", PAGE_MAX)])
        found: list[T] = []
        for number in range(1, pages_max + 1):
            page = answer.value(_Page)
            found += [msgspec.structs.replace(answer, body=bytes(one)).value(kind) for one in page.values]
            if page.next is None or number == pages_max:
                break
            answer = await self.follow(page.next, name=name)
        return found

    async def follow(
        self, url: str, *, name: str, headers: Mapping[str, str] | None = None, tail_bytes: int | None = None
    ) -> Answer:
        """Ask an address that the API has named, if it is the API's own. Raises `BadAnswer` for another one."""
        if not is_below(url, self.repository.api_url):
            raise BadAnswer(
                SERVICE, f"{name}: the answer leads away from {self.repository.api_url}, and is not followed"
            )
        return await self._http.call(
            Request(
                method="GET",
                url=lambda: url,
                name=name,
                headers=headers or {},
                repeatable=True,
                tail_bytes=tail_bytes,
            )
        )

    async def fetch_elsewhere(self, url: str, *, name: str, headers: Mapping[str, str], tail_bytes: int) -> Answer:
        """Ask an address of another service, such as where logs are kept, without saying who we are."""
        request = Request(
            method="GET",
            url=lambda: url,
            name=name,
            headers=headers,
            repeatable=True,
            expected=(404, 416),
            tail_bytes=tail_bytes,
            is_signed=False,
        )
        return await self._http.call(request)

    async def user(self) -> Answer:
        """Whose token it is. An access token has no user: then this raises `Refused` or `NotFound`."""
        url = f"{self.repository.api_url}/user"
        return await self._http.call(Request(method="GET", url=lambda: url, name="read the account", repeatable=True))

    async def _authorization(self) -> str:
        return self._header(await self._token.get())

    def _header(self, token: str) -> str:
        if self.repository.email is None:
            return f"Bearer {token}"
        return f"Basic {base64.b64encode(f'{self.repository.email}:{token}'.encode()).decode()}"

    async def _renewed(self, refused: str, at: str) -> bool:
        token = await self._token.get()
        return self._header(token) != refused or await self._token.renewed(token)

    def _error(self, answer: Answer, name: str) -> ServiceError:
        """What an answer that is none means, and what to do."""
        status, said = answer.status, _said(answer)
        if status == 401:
            email = " and code_host.provider.email" if self.repository.email else ""
            remedy = f"check {self.repository.shown_token}{email}"
            return Refused(SERVICE, f"{name}: {self.repository.api_url} does not take our token: {said}: {remedy}")
        if status == 403:
            return Refused(SERVICE, f"{name}: our token may not do that: {said}: give it the permission")
        if status in (404, 410):
            return NotFound(SERVICE, f"{name}: {said}")
        if status == 409:
            return Unreachable(SERVICE, f"{name}: somebody changes it at the same moment: {said}")
        if status >= 500:
            return Unreachable(SERVICE, f"{name}: {status}: {said}", retry_after_ms=retry_after_ms(answer.headers))
        return Refused(SERVICE, f"{name}: {status}: {said}")


def is_below(url: str, api_url: str) -> bool:
    """Whether an address is the API's own: same scheme, host and port, and below its path."""
    try:
        given, api = urlsplit(url), urlsplit(api_url)
        same = (given.scheme, given.hostname, given.port) == (api.scheme, api.hostname, api.port)
    except ValueError:
        return False
    plain = given.username is None and given.password is None and not {"..", "."} & set(given.path.split("/"))
    return same and plain and "%2e" not in given.path.lower() and given.path.startswith(f"{api.path.rstrip('/')}/")


def quoted(text: str) -> str:
    """A text as it may stand in a condition (`q`), with its quotes."""
    plain = "".join(" " if ord(char) < 32 else char for char in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _said(answer: Answer) -> str:
    """The words of an error, which may come as JSON, or as a page from a proxy; with the scopes that a token lacks."""
    try:
        error = msgspec.json.decode(answer.body, type=_Errors).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return f"status {answer.status}"
    words = [error.message.strip().rstrip(".:")]
    words.append(_detail(error.detail))
    words += [f"{field}: {text}" for field, text in error.fields.items()]
    return one_line("; ".join(filter(None, words))) or f"status {answer.status}"


def _detail(raw: msgspec.Raw) -> str:
    """A text, or which scopes the call needs."""
    for kind in (str, _Scopes):
        try:
            found = msgspec.json.decode(raw, type=kind)
        except msgspec.MsgspecError:
            continue
        return found if isinstance(found, str) else f"it needs the scope {', '.join(found.required)}"
    return ""
