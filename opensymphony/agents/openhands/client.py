"""The agent-server's REST interface: typed calls go out, values or one kind of error come back.

Every call has a time limit and a limit on the answer's size. What is lost on the way is told apart from what never
arrived: `Unreached` certainly had no effect, `Unanswered` may have had one.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeVar

import httpx
import msgspec
from msgspec import Struct

from opensymphony.agents.openhands.messages import (
    ConversationInfo,
    ConversationPage,
    Event,
    EventPage,
    ServerInfo,
    message_text,
)
from opensymphony.errors import AgentServerError

_ANSWER_BYTES_MAX = 64 * 1024 * 1024
_CONNECT_S = 5
_READ_S = 30
_CREATE_S = 120
"""Starting the tool servers a policy names happens inside the call."""
_DELETE_S = 60
_PROBE_S = 5
_DETAIL_MAX = 300

T = TypeVar("T")


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where a server listens now; `boot` counts its starts, so that a restart in between is noticed."""

    base_url: str
    session_key: str
    boot: int = 0


class Unreached(AgentServerError):
    """Raised when nobody listens: the call certainly had no effect."""


class Unanswered(AgentServerError):
    """Raised on a time-out, a cut connection or a 5xx: the call may have had its effect."""


class ConversationGone(AgentServerError):
    """Raised when the server does not have the conversation (any more)."""

    error_class = "final"


class ServerRefused(AgentServerError):
    """Raised when the server does not take our key or our request; trying again does not help."""

    error_class = "person"


class KeyRefused(ServerRefused):
    """Raised when the server does not take our key."""


class _Answer(Struct, frozen=True, kw_only=True):
    status: int
    body: bytes


class Client:
    """One agent-server, at whatever address it has at the moment of a call."""

    def __init__(
        self,
        endpoint: Callable[[], Endpoint],
        *,
        renew: Callable[[str], Awaitable[bool]] | None = None,
        tls: bool = False,
    ) -> None:
        """`renew` is told which session key the server has refused, reads it again, and says whether it is another one."""
        self._endpoint = endpoint
        self._renew = renew
        # A proxy of the environment must not see it, nor cookies or credentials of ~/.netrc reach it.
        verify = ssl.create_default_context() if tls else False
        self._http = httpx.AsyncClient(trust_env=False, follow_redirects=False, verify=verify)

    async def close(self) -> None:
        await self._http.aclose()

    async def ready(self) -> bool:
        """Whether the server is up *and* is ours: only ours takes our key. Never raises for a server that is not there."""
        try:
            if not await self.up():
                return False
            return (await self._ask("GET", "/api/conversations/count", timeout_s=_PROBE_S)).status == 200
        except (Unreached, Unanswered):
            return False

    async def up(self) -> bool:
        """Whether a server listens there and has started; whose it is, it does not tell."""
        try:
            return (await self._ask("GET", "/ready", timeout_s=_PROBE_S, keyless=True)).status == 200
        except (Unreached, Unanswered):
            return False

    async def initialise(self, body: Mapping[str, Any], init_key: str) -> bool:
        """Tell a server that waits for them its keys. False when it has been told already, by whomever."""
        headers = {"X-Init-API-Key": init_key}
        answer = await self._ask("POST", "/api/init", json=body, timeout_s=_READ_S, keyless=True, headers=headers)
        if answer.status == 400:
            return False
        self._check(answer)
        return True

    async def alive(self) -> bool:
        """Whether the server answers at all, within a few seconds."""
        try:
            return (await self._ask("GET", "/alive", timeout_s=_PROBE_S, keyless=True)).status == 200
        except (Unreached, Unanswered):
            return False

    async def server_info(self) -> ServerInfo:
        return self._value(await self._get("/server_info"), ServerInfo)

    async def create(self, body: Mapping[str, Any]) -> tuple[ConversationInfo, bool]:
        """The conversation, and whether this call made it. The server ignores the body of one that is there already."""
        answer = await self._ask("POST", "/api/conversations", json=body, timeout_s=_CREATE_S)
        return self._value(answer, ConversationInfo), answer.status == 201

    async def get(self, conversation_id: str) -> ConversationInfo | None:
        """The snapshot on disk; None when there is no such conversation."""
        answer = await self._get(f"/api/conversations/{conversation_id}")
        return None if answer.status == 404 else self._value(answer, ConversationInfo)

    async def delete(self, conversation_id: str) -> None:
        """Remove it; one that is gone is removed. Blocks while a tool runs: interrupt first."""
        answer = await self._ask("DELETE", f"/api/conversations/{conversation_id}", timeout_s=_DELETE_S, repeat=True)
        if answer.status != 404:
            self._check(answer)

    async def running(self) -> tuple[ConversationInfo, ...]:
        """Conversations that run, by the server's memory; at most a hundred."""
        answer = await self._get("/api/conversations/search", params={"status": "running", "limit": 100})
        return tuple(self._value(answer, ConversationPage).items)

    async def send(self, conversation_id: str, text: str, *, timeout_s: float = 60) -> Literal["running", "saved"]:
        """Deliver a message and let the agent run; `saved`: it is in the log, but no run slot was free.

        Blocks while a tool runs.
        """
        body = {"role": "user", "content": [{"type": "text", "text": text}], "run": True}
        answer = await self._ask("POST", self._path(conversation_id, "events"), json=body, timeout_s=timeout_s)
        if answer.status == 429:
            return "saved"
        self._check(answer)
        return "running"

    async def run(self, conversation_id: str) -> Literal["started", "running", "full"]:
        """Let the agent go on; `full`: no run slot is free."""
        answer = await self._ask("POST", self._path(conversation_id, "run"))
        if answer.status in (409, 429):
            return "running" if answer.status == 409 else "full"
        self._check(answer)
        return "started"

    async def interrupt(self, conversation_id: str) -> bool:
        """Stop model call and tools at once; False when there is no such conversation."""
        answer = await self._ask("POST", self._path(conversation_id, "interrupt"), repeat=True)
        if answer.status == 404:
            return False
        self._check(answer)
        return True

    async def respond(self, conversation_id: str, *, accept: bool, reason: str = "") -> None:
        """Answer what waits for a confirmation; nothing happens where nothing waits."""
        body = {"accept": True} if accept else {"accept": False, "reason": reason}
        path = self._path(conversation_id, "events/respond_to_confirmation")
        self._check(await self._ask("POST", path, json=body))

    async def navigate(self, conversation_id: str, event_id: str) -> None:
        """Make this event the end of what the model is told."""
        self._check(await self._ask("POST", self._path(conversation_id, "navigate"), json={"event_id": event_id}))

    async def confirm_as(
        self, conversation_id: str, policy: Mapping[str, Any], analyzer: Mapping[str, Any] | None
    ) -> None:
        """Change which actions wait for a confirmation. Blocks while a tool runs."""
        if analyzer is not None:
            path = self._path(conversation_id, "security_analyzer")
            self._check(await self._ask("POST", path, json={"security_analyzer": analyzer}, repeat=True))
        path = self._path(conversation_id, "confirmation_policy")
        self._check(await self._ask("POST", path, json={"policy": policy}, repeat=True))

    async def update(self, conversation_id: str, *, timeout_s: float = _READ_S, **fields: Any) -> None:
        """Change title or tags. Blocks while a tool runs."""
        path = f"/api/conversations/{conversation_id}"
        self._check(await self._ask("PATCH", path, json=fields, timeout_s=timeout_s, repeat=True))

    async def switch_llm(self, conversation_id: str, llm: Mapping[str, Any]) -> None:
        """Let the next model call use this model. The condenser's is switched too where it has the same settings."""
        self._check(await self._ask("POST", self._path(conversation_id, "switch_llm"), json={"llm": llm}, repeat=True))

    async def find_message(self, conversation_id: str, marker: str) -> Event | None:
        """The first message of a user whose last line begins with `marker`: what stands above may be anybody's text."""
        # The server compares without case, and its filter is a substring: look at what it found.
        params = {"body": marker, "source": "user", "kind": "MessageEvent", "limit": 10}
        page = await self._events(conversation_id, params)
        lasts = ((event, message_text(event).rstrip().rpartition("\n")[2]) for event in page.items)
        return next((event for event, last in lasts if last.startswith(marker)), None)

    async def events_from(self, conversation_id: str, event_id: str | None, limit: int = 10) -> EventPage:
        """A page of the log that begins with this very event; from the beginning without one, or with an unknown one."""
        params: dict[str, Any] = {"limit": limit}
        return await self._events(conversation_id, params | ({"page_id": event_id} if event_id else {}))

    async def newest_events(self, conversation_id: str, limit: int = 100, **filters: str) -> tuple[Event, ...]:
        """The tail of the log, oldest first; `filters` are the server's `kind` and `source`."""
        page = await self._events(conversation_id, {"limit": limit, "sort_order": "TIMESTAMP_DESC", **filters})
        return tuple(reversed(page.items))

    async def count_events(self, conversation_id: str) -> int:
        return self._value(await self._get(self._path(conversation_id, "events/count")), int)

    async def _events(self, conversation_id: str, params: Mapping[str, Any]) -> EventPage:
        return self._value(await self._get(self._path(conversation_id, "events/search"), params=params), EventPage)

    @staticmethod
    def _path(conversation_id: str, rest: str) -> str:
        return f"/api/conversations/{conversation_id}/{rest}"

    async def _get(self, path: str, *, params: Mapping[str, Any] | None = None) -> _Answer:
        return await self._ask("GET", path, params=params, repeat=True)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Mapping[str, Any] | None = None,
        timeout_s: float = _READ_S,
        repeat: bool = False,
        keyless: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> _Answer:
        """Ask, once more when the answer was lost and asking twice does no harm, or when our key has been renewed."""

        def request() -> httpx.Request:
            endpoint = self._endpoint()
            told = {"Content-Type": "application/json", **(headers or {})}
            if not keyless and endpoint.session_key:
                told["X-Session-API-Key"] = endpoint.session_key
            return self._http.build_request(
                method,
                endpoint.base_url + path,
                params=params,
                content=None if json is None else msgspec.json.encode(json),
                headers=told,
                timeout=httpx.Timeout(timeout_s, connect=_CONNECT_S),
            )

        asked = request()
        try:
            return await self._send(asked, repeat=repeat)
        except KeyRefused:
            if keyless or self._renew is None or not await self._renew(asked.headers.get("X-Session-API-Key", "")):
                raise
        return await self._send(request(), repeat=repeat)

    async def _send(self, request: httpx.Request, *, repeat: bool) -> _Answer:
        try:
            return await self._once(request)
        except Unanswered:
            if not repeat:
                raise
        return await self._once(request)

    async def _once(self, request: httpx.Request) -> _Answer:
        where = f"agent-server: {request.method} {request.url.path}"
        try:
            response = await self._http.send(request, stream=True)
            try:
                body = await _read_bounded(response)
                if response.status_code >= 500:
                    await _drop(response)
            finally:
                await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreached(f"{where}: no connection ({error or type(error).__name__})") from error
        except httpx.TransportError as error:
            raise Unanswered(f"{where}: no answer ({error or type(error).__name__})") from error
        if response.status_code >= 500:
            raise Unanswered(f"{where}: HTTP {response.status_code}: {_detail(body)}")
        if response.status_code in (401, 403):
            raise KeyRefused(f"{where}: the server does not take our session key")
        return _Answer(status=response.status_code, body=body)

    @staticmethod
    def _check(answer: _Answer) -> None:
        if answer.status == 404:
            raise ConversationGone("agent-server: there is no such conversation")
        if answer.status >= 300:
            raise ServerRefused(f"agent-server: HTTP {answer.status}: {_detail(answer.body)}")

    def _value(self, answer: _Answer, kind: type[T]) -> T:
        self._check(answer)
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except msgspec.DecodeError as error:
            raise AgentServerError(f"agent-server: an answer that we do not understand: {error}") from error


async def _read_bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _ANSWER_BYTES_MAX:
            raise AgentServerError(f"agent-server: an answer of more than {_ANSWER_BYTES_MAX} bytes")
    return bytes(body)


async def _drop(response: httpx.Response) -> None:
    """Close the connection itself: after a 5xx the server resets it, and the next call on it would be lost."""
    stream = response.extensions.get("network_stream")
    if stream is not None:
        await stream.aclose()


def _detail(body: bytes) -> str:
    return " ".join(body[: 4 * _DETAIL_MAX].decode(errors="replace").split())[:_DETAIL_MAX]
