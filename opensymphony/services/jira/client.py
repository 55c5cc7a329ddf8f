"""Jira's REST interface: typed calls go out, values or one kind of error come back.

A call that was refused for being too early (429) had no effect and is made again; one whose answer was lost is made again only
where a second one does no harm. A token that is refused is asked for anew, and one that only works behind Atlassian's gateway
is found out there.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar

import anyio
import httpx
import msgspec
from msgspec import Meta, Struct

from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, NotFound, RateLimited, Refused, ServiceError, Unreachable
from opensymphony.logs import get_logger
from opensymphony.services.jira.limits import Limits, retry_after_ms
from opensymphony.services.jira.site import GATEWAY, SERVICE, Site

_ANSWER_BYTES_MAX = 32 * 1024 * 1024
_SMALL_ANSWER_BYTES_MAX = 65_536
_CONNECT_S, _READ_S = 10, 30
_TRIES = 4
_PATIENCE_MS = 20_000
"""Longer pauses are told to the scheduler instead of being waited for here."""
_AGAIN_MS = (500, 1_000, 2_000)
_DETAIL_MAX = 300

_ESCAPES = re.compile(
    rb"\\u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
"""Pairs and all other escapes are left alone."""
_NO_CHARACTER = b"\\ufffd"

T = TypeVar("T")
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


class Answer(Struct, frozen=True, kw_only=True):
    """One answer that is no error."""

    status: int
    body: bytes

    def value(self, kind: type[T]) -> T:
        """Raises `BadAnswer` when it is something else."""
        try:
            return decode(self.body, kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadAnswer(SERVICE, f"the answer cannot be read as {kind.__name__}: {str(error)[:200]}") from error


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
        self._clock = clock
        self._turn = anyio.Lock()
        self.api_url = site.api_url or site.base_url
        """Where the API is, as far as it is known."""
        # A site on this machine has nothing to do with Atlassian's gateway, and its token nothing there.
        self._probed = site.api_url is not None or (site.is_local and site.gateway_url == GATEWAY)
        self._http = _open_http()

    async def close(self) -> None:
        await self._http.aclose()

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
        again = method != "POST" if repeatable is None else repeatable
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1
            wait_ms = await self.limits.turn(name, writes_to, patience_ms=_PATIENCE_MS)
            if wait_ms:
                raise RateLimited(SERVICE, f"{name}: the site asks for a pause", retry_after_ms=wait_ms)
            await self._locate()
            token, at = await self._read_token(None), self.api_url
            try:
                response = await self._send(method, f"{at}{root}{path}", json, params, token)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                if last:
                    raise self._unreachable(name, error) from error
                await self._rest(attempt)
                continue
            except httpx.HTTPError as error:
                if last or not again:
                    raise self._unreachable(name, error) from error
                await self._rest(attempt)
                continue
            self.limits.heard(response.headers)
            if response.status_code == 401 and not last and await self._renewed(token, at):
                continue
            answer = await self._judged(response, name, writes_to, attempt, again and not last, last)
            if answer is not None:
                return answer
        raise Unreachable(SERVICE, f"{name}: {self.api_url} does not answer")

    async def _judged(
        self, response: httpx.Response, name: str, writes_to: str | None, attempt: int, again: bool, last: bool
    ) -> Answer | None:
        """The answer; None when the call is to be made once more."""
        status = response.status_code
        if 200 <= status < 300:
            return Answer(status=status, body=response.content)
        if status == 429 or (status == 503 and "Retry-After" in response.headers and again):
            pause_ms = self.limits.refused(response.headers, name, writes_to, attempt)
            if last or pause_ms > _PATIENCE_MS:
                raise RateLimited(SERVICE, f"{name}: the site asks for a pause", retry_after_ms=pause_ms)
            return None
        if status >= 500 and again:
            await self._rest(attempt)
            return None
        raise _error(response, name, self.site)

    async def _send(
        self, method: str, url: str, json: object, params: Mapping[str, str | int] | None, token: str
    ) -> httpx.Response:
        content = msgspec.json.encode(json) if json is not None else None
        headers = {"Authorization": self._authorization(token)}
        if content is not None:
            headers["Content-Type"] = "application/json"
        async with self.limits.slot():
            request = self._http.build_request(method, url, content=content, params=dict(params or {}), headers=headers)
            return await _fetched(self._http, request, _ANSWER_BYTES_MAX)

    def _authorization(self, token: str) -> str:
        if self.site.auth == "basic":
            return f"Basic {base64.b64encode(f'{self.site.email}:{token}'.encode()).decode()}"
        return f"Bearer {token}"

    async def _renewed(self, token: str, at: str) -> bool:
        """Whether there is anything else to try after a 401: another token, or the gateway."""
        if await self._read_token(token) != token:
            return True
        async with self._turn:
            if self._probed:
                return self.api_url != at  # another call has found the gateway meanwhile
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
            request = self._http.build_request("GET", f"{self.site.base_url}/_edge/tenant_info")
            response = await _fetched(self._http, request, _SMALL_ANSWER_BYTES_MAX)
            if response.status_code != 200:
                return False
            cloud_id = msgspec.json.decode(response.content, type=_Tenant).cloudId
        except (httpx.HTTPError, msgspec.MsgspecError, UnicodeDecodeError, BadAnswer):
            return False
        self.api_url = f"{self.site.gateway_url}/ex/jira/{cloud_id}"
        return True

    async def _rest(self, attempt: int) -> None:
        await anyio.sleep(_AGAIN_MS[min(attempt, len(_AGAIN_MS) - 1)] * (0.7 + 0.6 * self._clock.jitter()) / 1000)

    def _unreachable(self, name: str, error: Exception) -> Unreachable:
        said = " ".join(str(error).split())[:_DETAIL_MAX] or type(error).__name__
        return Unreachable(SERVICE, f"{name}: {self.api_url} cannot be reached: {said}")


def _open_http() -> httpx.AsyncClient:
    """A proxy of the environment must not see the token, nor cookies or credentials of ~/.netrc reach the site."""
    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(_READ_S, connect=_CONNECT_S),
        headers={"Accept": "application/json", "User-Agent": "opensymphony"},
    )


async def _fetched(http: httpx.AsyncClient, request: httpx.Request, bytes_max: int) -> httpx.Response:
    """The whole answer, unpacked. Raises `BadAnswer` when it is larger than that."""
    response = await http.send(request, stream=True)
    try:
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > bytes_max:
                raise BadAnswer(SERVICE, f"{request.url.path}: the answer is larger than {bytes_max:,} bytes")
    finally:
        await response.aclose()
    # Told that it is packed, httpx would unpack it once more.
    headers = [(name, value) for name, value in response.headers.multi_items() if name != "content-encoding"]
    return httpx.Response(response.status_code, headers=headers, content=bytes(body))


async def ask_for_token(url: str, fields: Mapping[str, str]) -> Answer:
    """Ask an OAuth server. Whatever it says is returned; errors, `Unreachable` or `BadAnswer`, name none of the fields."""
    async with _open_http() as http:
        try:
            found = await _fetched(http, http.build_request("POST", url, json=dict(fields)), _SMALL_ANSWER_BYTES_MAX)
        except httpx.HTTPError as error:
            said = " ".join(str(error).split())[:_DETAIL_MAX] or type(error).__name__
            raise Unreachable(SERVICE, f"renew the token: {url} cannot be reached: {said}") from error
    return Answer(status=found.status_code, body=found.content)


def _error(response: httpx.Response, name: str, site: Site) -> ServiceError:
    """What an answer that is none means, and what to do."""
    status, said = response.status_code, _said(response)
    if status == 401:
        return Refused(SERVICE, f"{name}: {site.base_url} does not take our token: {said}: {site.token_remedy}")
    if status == 403:
        return Refused(SERVICE, f"{name}: our account may not do that: {said}: give it the permission")
    if status == 404:
        return NotFound(SERVICE, f"{name}: {said}")
    if status == 409:
        return Unreachable(SERVICE, f"{name}: somebody changes it at the same moment: {said}")
    if status >= 500:
        return Unreachable(SERVICE, f"{name}: {status}: {said}", retry_after_ms=retry_after_ms(response.headers))
    return Refused(SERVICE, f"{name}: {status}: {said}")


def _said(response: httpx.Response) -> str:
    """The words of an error, which may come as JSON, or as a page from a proxy."""
    try:
        errors = msgspec.json.decode(response.content, type=_Errors)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return f"status {response.status_code}"
    words = [*errors.errorMessages, *(f"{field}: {text}" for field, text in errors.errors.items()), errors.message]
    said = "; ".join(" ".join(word.split()) for word in words if word.strip())
    return said[:_DETAIL_MAX] or f"status {response.status_code}"


def decode(body: bytes, kind: type[T]) -> T:
    """JSON as Jira writes it: with halves of characters in it, which somebody wrote into a ticket and no decoder takes."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        whole = _ESCAPES.sub(lambda found: _NO_CHARACTER if found["half"] else found[0], body)
        return msgspec.json.decode(whole, type=kind)


def escaped(text: str) -> str:
    """A text as it may stand between quotes in JQL."""
    plain = "".join(" " if ord(char) < 32 else char for char in text)
    return plain.replace("\\", "\\\\").replace('"', '\\"')


def body_of(**fields: Any) -> dict[str, Any]:
    """A request without what is None."""
    return {name: value for name, value in fields.items() if value is not None}
