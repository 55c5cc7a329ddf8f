"""Calls to a service's HTTP interface: bounded answers, the pauses that it asks for, and another try where one does no harm.

In: a request, and how the service signs in and words its errors. Out: an `Answer`, or a `ServiceError`. A call that was refused
for being too early (429) had no effect and is made again; one whose answer was lost is made again only where a second one does
no harm. No proxy, cookie or credential of the environment takes part, and no redirect is followed by itself.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import anyio
import httpx
import msgspec
from msgspec import Struct

from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, RateLimited, ServiceError, Unreachable
from opensymphony.logs import get_logger

ANSWER_BYTES_MAX = 32 * 1024 * 1024
SMALL_ANSWER_BYTES_MAX = 65_536
AT_ONCE_MAX = 8
"""Connections of one daemon to one service; people's browsers use the same limit."""
PATIENCE_MS = 20_000
"""Longer pauses are told to the scheduler instead of being waited for here."""
DETAIL_CHARS_MAX = 300
_CONNECT_S, _READ_S = 10, 30
_TRIES = 4
_AGAIN_MS = (500, 1_000, 2_000)
_NEAR_PAUSE_MS = 1_000
"""Between two calls where the service says that little of its limit is left: that share is for people."""
_PAUSE_MS = (2_000, 4_000, 8_000, 16_000)
_PAUSE_MAX_MS = 3_600_000

_ESCAPES = re.compile(
    rb"\\u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
"""Pairs and all other escapes are left alone."""
_NO_CHARACTER = b"\\ufffd"

T = TypeVar("T")
ReadToken = Callable[[], Awaitable[str]]
"""Reads the token now: it may have been renewed. Raises `ConfigurationError`."""
Parameters = Mapping[str, str | int] | Sequence[tuple[str, str | int]]

log = get_logger(__name__)


class Answer(Struct, frozen=True, kw_only=True):
    """What a service answered."""

    service: str
    status: int
    body: bytes
    headers: Mapping[str, str]

    def value(self, kind: type[T]) -> T:
        """Raises `BadAnswer` when it is something else."""
        try:
            return decode(self.body, kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            said = f"the answer cannot be read as {kind.__name__}: {str(error)[:200]}"
            raise BadAnswer(self.service, said) from error


class Usage(Struct, kw_only=True):
    """What was asked of a service, for people."""

    requests: int = 0
    refused: int = 0
    """Of these, answered with 429."""
    remaining: int | None = None
    """As the service said last."""
    paused_until_ms: int = 0


class Limits:
    """How fast a service may be asked: one for all calls with one account. Waits no longer than it must."""

    def __init__(self, service: str, clock: Clock, sleep: Callable[[float], Awaitable[None]] | None = None) -> None:
        """`sleep` takes seconds; a test passes its own."""
        self._service = service
        self._clock = clock
        self._sleep = sleep or anyio.sleep
        self._slots = anyio.Semaphore(AT_ONCE_MAX)
        self._until_ms = 0
        self._near = False
        self._last_ms = 0
        self.usage = Usage()

    async def turn(self, call: str, about: str | None, *, patience_ms: int) -> int:
        """Wait until this may be asked. Returns 0, or how long it would have to wait when that is more than `patience_ms`.

        `call` names the kind of call, `about` what it writes to, for a service that counts by these.
        """
        while (wait_ms := self._wait_ms(call, about)) > 0:
            if wait_ms > patience_ms:
                return wait_ms
            patience_ms -= wait_ms
            await self._sleep(wait_ms / 1000)
        self._last_ms = self._clock.now_ms()
        self._note(about)
        self.usage.requests += 1
        return 0

    def slot(self) -> anyio.Semaphore:
        """Held while a call is under way."""
        return self._slots

    def heard(self, headers: Mapping[str, str]) -> None:
        """What the answer to any call says of the limits."""
        self._near = headers.get("X-RateLimit-NearLimit", "").lower() == "true"
        remaining = headers.get("X-RateLimit-Remaining", "")
        if remaining.isdecimal():
            self.usage.remaining = int(remaining)

    def refused(self, headers: Mapping[str, str], call: str, about: str | None, attempt: int) -> int:
        """Take a 429 or 503 in; how long that pauses what was asked."""
        self.usage.refused += 1
        spread = 0.7 + 0.6 * self._clock.jitter()
        own_ms = int(_PAUSE_MS[min(attempt, len(_PAUSE_MS) - 1)] * spread)
        pause_ms = min(max(retry_after_ms(headers) or 0, own_ms), _PAUSE_MAX_MS)
        what = self._hold(headers, call, about, self._clock.now_ms() + pause_ms)
        log.warning("a service asks for a pause", service=self._service, what=what or "everything", pause_ms=pause_ms)
        return pause_ms

    def _hold(self, headers: Mapping[str, str], call: str, about: str | None, until_ms: int) -> str:
        """Remember a pause; returns what it is for, empty for everything. A service with finer limits overrides it."""
        self._until_ms = self.usage.paused_until_ms = max(self._until_ms, until_ms)
        return ""

    def _wait_ms(self, call: str, about: str | None) -> int:
        near_ms = self._last_ms + _NEAR_PAUSE_MS if self._near else 0
        return max(self._until_ms, near_ms) - self._clock.now_ms()

    def _note(self, about: str | None) -> None:
        """A call begins that writes to this."""


class Token:
    """A token that is read when it is first needed, and again when it was refused."""

    def __init__(self, read: ReadToken) -> None:
        self._read = read
        self._token: str | None = None
        self._turn = anyio.Lock()

    @property
    def known(self) -> str:
        """As last read; empty before that."""
        return self._token or ""

    async def get(self) -> str:
        if self._token is None:
            async with self._turn:
                self._token = self._token or await self._read()
        return self._token

    async def renewed(self, refused: str) -> bool:
        """Whether there is another one than `refused` now."""
        async with self._turn:
            if self._token in (None, refused):
                self._token = await self._read()
            return self._token != refused


class Request(Struct, frozen=True, kw_only=True):
    """One call, as often as it is made."""

    method: str
    url: Callable[[], str]
    """Asked before each try: where a service is may turn out in between."""
    name: str
    """The kind of call, for its limits and for people."""
    content: bytes | None = None
    params: Parameters = ()
    headers: Mapping[str, str] = {}
    repeatable: bool
    """Whether a second one does no harm."""
    about: str | None = None
    """What it writes to."""
    expected: tuple[int, ...] = ()
    """States that are answers here, besides success."""
    tail_bytes: int | None = None
    """Only so much of the end is kept, however long the body is, within the limit for a whole one."""
    is_signed: bool = True
    """Whether we say who we are; never to another host than the service's own."""


class HttpClient:
    """One service and one account. The adapter says how to sign in, and what an error of the service means."""

    def __init__(
        self,
        service: str,
        clock: Clock,
        limits: Limits,
        *,
        authorize: Callable[[], Awaitable[str]],
        renew: Callable[[str, str], Awaitable[bool]],
        explain: Callable[[Answer, str], ServiceError],
    ) -> None:
        """`authorize` gives the header; `renew` is told which was refused (401) and where, and answers whether to try again.

        `explain` makes an error of an answer to the call of that name.
        """
        self._service = service
        self._clock = clock
        self._limits = limits
        self._authorize = authorize
        self._renew = renew
        self._explain = explain
        self._http = _open()

    async def close(self) -> None:
        await self._http.aclose()

    async def call(self, request: Request) -> Answer:
        """Make the call and return its answer. Raises a `ServiceError`."""
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1
            wait_ms = await self._limits.turn(request.name, request.about, patience_ms=PATIENCE_MS)
            if wait_ms:
                raise self._too_early(request, wait_ms)
            authorization = await self._authorize() if request.is_signed else ""
            url = request.url()
            try:
                answer = await self._send(request, url, authorization)
            except httpx.HTTPError as error:
                begun = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                if last or (begun and not request.repeatable):
                    raise self._unreachable(request, error) from error
                await self._rest(attempt)
                continue
            self._limits.heard(answer.headers)
            if answer.status == 401 and not last and await self._renew(authorization, url):
                continue
            if await self._is_final(request, answer, attempt, last):
                return answer
        raise Unreachable(self._service, f"{request.name}: {_place(request.url())} does not answer")

    async def _is_final(self, request: Request, answer: Answer, attempt: int, last: bool) -> bool:
        """Whether this is the answer; False when the call is to be made once more."""
        status, again = answer.status, request.repeatable and not last
        if 200 <= status < 300 or status in request.expected:
            return True
        if status == 429 or (status == 503 and "Retry-After" in answer.headers and again):
            pause_ms = self._limits.refused(answer.headers, request.name, request.about, attempt)
            if last or pause_ms > PATIENCE_MS:
                raise self._too_early(request, pause_ms)
            return False
        if status >= 500 and again:
            await self._rest(attempt)
            return False
        raise self._explain(answer, request.name)

    async def _send(self, request: Request, url: str, authorization: str) -> Answer:
        headers = {**request.headers, **({"Authorization": authorization} if authorization else {})}
        if request.content is not None:
            headers["Content-Type"] = "application/json"
        params = request.params.items() if isinstance(request.params, Mapping) else request.params
        named = tuple((name, str(value)) for name, value in params) or None
        async with self._limits.slot():
            built = self._http.build_request(
                request.method, url, content=request.content, params=named, headers=headers
            )
            return await _answered(self._http, built, self._service, request.name, ANSWER_BYTES_MAX, request.tail_bytes)

    async def _rest(self, attempt: int) -> None:
        await anyio.sleep(_AGAIN_MS[min(attempt, len(_AGAIN_MS) - 1)] * (0.7 + 0.6 * self._clock.jitter()) / 1000)

    def _too_early(self, request: Request, pause_ms: int) -> RateLimited:
        return RateLimited(self._service, f"{request.name}: the site asks for a pause", retry_after_ms=pause_ms)

    def _unreachable(self, request: Request, error: Exception) -> Unreachable:
        return _unreachable(self._service, request.name, _place(request.url()), error)


async def ask_once(service: str, method: str, url: str, *, name: str, json: object = None) -> Answer:
    """One small question without signing in, whatever the answer's status. Raises `Unreachable` or `BadAnswer`."""
    async with _open() as http:
        try:
            built = http.build_request(method, url, json=json)
            return await _answered(http, built, service, name, SMALL_ANSWER_BYTES_MAX, None)
        except httpx.HTTPError as error:
            raise _unreachable(service, name, url, error) from error


def _open() -> httpx.AsyncClient:
    """A proxy of the environment must not see the token, nor cookies or credentials of ~/.netrc reach the service."""
    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(_READ_S, connect=_CONNECT_S),
        headers={"Accept": "application/json", "User-Agent": "opensymphony"},
    )


async def _answered(
    http: httpx.AsyncClient, request: httpx.Request, service: str, name: str, most: int, tail_bytes: int | None
) -> Answer:
    """The answer, unpacked. Raises `BadAnswer` for one of more than `most`, unless only its end is wanted."""
    response = await http.send(request, stream=True)
    body, read = bytearray(), 0
    try:
        async for part in response.aiter_bytes():
            body += part
            read += len(part)
            if tail_bytes is not None and len(body) > tail_bytes:
                del body[: len(body) - tail_bytes]
            if read > most:
                if tail_bytes is not None:
                    break
                raise BadAnswer(service, f"{name}: the answer is larger than {most:,} bytes")
    finally:
        await response.aclose()
    return Answer(service=service, status=response.status_code, headers=response.headers, body=bytes(body))


def _unreachable(service: str, name: str, place: str, error: Exception) -> Unreachable:
    said = one_line(str(error)) or type(error).__name__
    return Unreachable(service, f"{name}: {place} cannot be reached: {said}")


def retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """What `Retry-After` asks for, in seconds there; None when it says nothing that can be read."""
    try:
        return max(0, int(float(headers.get("Retry-After", "")) * 1000))
    except (ValueError, OverflowError):
        return None


def decode(body: bytes, kind: type[T]) -> T:
    """JSON as services write it: with halves of characters in it, which somebody wrote into a text and no decoder takes."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        whole = _ESCAPES.sub(lambda found: _NO_CHARACTER if found["half"] else found[0], body)
        return msgspec.json.decode(whole, type=kind)


def one_line(text: str) -> str:
    """The words of an error, short enough to be read."""
    return " ".join(text.split())[:DETAIL_CHARS_MAX]


def _place(url: str) -> str:
    """Scheme, host and port: the path is told by the name of the call, and a query may hold what nobody needs to see."""
    found = httpx.URL(url)
    return f"{found.scheme}://{found.netloc.decode()}"
