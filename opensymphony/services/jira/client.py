"""Jira's REST interface: typed calls go out, values or one kind of error come back.

A call that was refused for being too early (429) had no effect and is made again; one whose answer was lost is made again only
where a second one does no harm. A token that is refused is asked for anew, and one that only works behind Atlassian's gateway
is found out there.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

import anyio
import msgspec
from msgspec import Meta, Struct

from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, NotFound, Refused, ServiceError, Unreachable
from opensymphony.http import Answer, HttpClient, Request, ask_once, decode, one_line, retry_after_ms
from opensymphony.logs import get_logger
from opensymphony.services.jira.limits import Limits
from opensymphony.services.jira.site import GATEWAY, SERVICE, Site

__all__ = ["AccountToken", "Answer", "JiraClient", "ReadToken", "ask_for_token", "body_of", "decode", "escaped"]

ReadToken = Callable[[str | None], Awaitable[str]]
"""The token of now; told which one the site refused, another one if there is any.

Asked before every call, so it remembers. Raises `ConfigurationError` or a `ServiceError`.
"""

log = get_logger(__name__)


class _Errors(Struct, frozen=True, kw_only=True):
    errorMessages: tuple[str, ...] = ()  # as Jira writes it
    errors: dict[str, str] = {}
    message: str = ""


class _Tenant(Struct, frozen=True, kw_only=True):
    cloudId: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z-]{1,64}\Z")]  # as Atlassian writes it; it goes into an address


class AccountToken:
    """A token that a person has made: read once, and again when it is refused, since it may have been exchanged."""

    def __init__(self, read: Callable[[], Awaitable[str]]) -> None:
        self._read = read
        self._token: str | None = None
        self._turn = anyio.Lock()

    async def __call__(self, refused: str | None) -> str:
        async with self._turn:
            if self._token is None or self._token == refused:
                self._token = await self._read()
            return self._token


class JiraClient:
    """One site and one account."""

    def __init__(self, site: Site, read_token: ReadToken, clock: Clock, limits: Limits | None = None) -> None:
        self.site = site
        self.limits = limits or Limits(clock)
        self._read_token = read_token
        self._turn = anyio.Lock()
        self.api_url = site.api_url or site.base_url
        """Where the API is, as far as it is known."""
        # A site on this machine has nothing to do with Atlassian's gateway, and its token nothing there.
        self._probed = site.api_url is not None or (site.is_local and site.gateway_url == GATEWAY)
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
        params: Mapping[str, str | int] | None = None,
        repeatable: bool | None = None,
        writes_to: str | None = None,
        root: str = "/rest/api/3",
    ) -> Answer:
        """Make the call and return its answer.

        `name` is the kind of call, for its limits and for people; `repeatable`: a second one does no harm (default: all but
        POST); `writes_to` is the ticket that it changes. Raises a `ServiceError`.
        """
        return await self._http.call(
            Request(
                method=method,
                url=lambda: f"{self.api_url}{root}{path}",
                name=name,
                content=msgspec.json.encode(json) if json is not None else None,
                params=params or {},
                repeatable=method != "POST" if repeatable is None else repeatable,
                about=writes_to,
            )
        )

    async def _authorization(self) -> str:
        await self._locate()
        return self._header(await self._read_token(None))

    def _header(self, token: str) -> str:
        if self.site.auth == "basic":
            return f"Basic {base64.b64encode(f'{self.site.email}:{token}'.encode()).decode()}"
        return f"Bearer {token}"

    async def _renewed(self, refused: str, at: str) -> bool:
        """Whether there is anything else to try after a 401: another token, or the gateway."""
        token = await self._read_token(None)
        if self._header(token) != refused or await self._read_token(token) != token:
            return True
        async with self._turn:
            if self._probed:
                return not at.startswith(f"{self.api_url}/")  # another call has found the gateway meanwhile
            self._probed = True
            if not await self._find_gateway():
                return False
            log.info("the token is tried behind the gateway", api_url=self.api_url)
            return True

    async def _locate(self) -> None:
        """Tokens of OAuth work behind the gateway only, and go nowhere else."""
        if self.site.auth != "oauth" or self._probed:
            return
        async with self._turn:
            if not self._probed and not await self._find_gateway():
                message = f"{self.site.base_url} does not say which cloud it is: check tracker.provider.base_url"
                raise Unreachable(SERVICE, message)
            self._probed = True

    async def _find_gateway(self) -> bool:
        """Which Atlassian cloud the site is, which it tells everybody; False where it does not."""
        try:
            answer = await ask_once(SERVICE, "GET", f"{self.site.base_url}/_edge/tenant_info", name="find the cloud")
            if answer.status != 200:
                return False
            cloud_id = msgspec.json.decode(answer.body, type=_Tenant).cloudId
        except (Unreachable, msgspec.MsgspecError, UnicodeDecodeError, BadAnswer):
            return False
        self.api_url = f"{self.site.gateway_url}/ex/jira/{cloud_id}"
        return True

    def _error(self, answer: Answer, name: str) -> ServiceError:
        """What an answer that is none means, and what to do."""
        status, said = answer.status, _said(answer)
        if status == 401:
            remedy = self.site.token_remedy
            return Refused(SERVICE, f"{name}: {self.site.base_url} does not take our token: {said}: {remedy}")
        if status == 403:
            return Refused(SERVICE, f"{name}: our account may not do that: {said}: give it the permission")
        if status == 404:
            return NotFound(SERVICE, f"{name}: {said}")
        if status == 409:
            return Unreachable(SERVICE, f"{name}: somebody changes it at the same moment: {said}")
        if status >= 500:
            return Unreachable(SERVICE, f"{name}: {status}: {said}", retry_after_ms=retry_after_ms(answer.headers))
        return Refused(SERVICE, f"{name}: {status}: {said}")


async def ask_for_token(url: str, fields: Mapping[str, str]) -> Answer:
    """Ask an OAuth server. Whatever it says is returned; errors, `Unreachable` or `BadAnswer`, name none of the fields."""
    return await ask_once(SERVICE, "POST", url, name="renew the token", json=dict(fields))


def _said(answer: Answer) -> str:
    """The words of an error, which may come as JSON, or as a page from a proxy."""
    try:
        errors = msgspec.json.decode(answer.body, type=_Errors)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return f"status {answer.status}"
    words = [*errors.errorMessages, *(f"{field}: {text}" for field, text in errors.errors.items()), errors.message]
    return one_line("; ".join(" ".join(word.split()) for word in words if word.strip())) or f"status {answer.status}"


def escaped(text: str) -> str:
    """A text as it may stand between quotes in JQL."""
    plain = "".join(" " if ord(char) < 32 else char for char in text)
    return plain.replace("\\", "\\\\").replace('"', '\\"')


def body_of(**fields: Any) -> dict[str, Any]:
    """A request without what is None."""
    return {name: value for name, value in fields.items() if value is not None}
