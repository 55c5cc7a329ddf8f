"""Talks to a running daemon over its operator's listener; every door but `run` comes through here."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from opensymphony.errors import InstanceError
from opensymphony.model import encodable
from opensymphony.processes import is_alive, process_start_time
from opensymphony.views import (
    ActionAnswer,
    Changes,
    DashboardCode,
    DeliveryList,
    Explanation,
    IssueList,
    Snapshot,
    Statistics,
    TimelinePage,
    TranscriptPage,
    VerificationList,
)

ADDRESS_FILE = "daemon.json"
"""In the store's directory: where its daemon listens."""

T = TypeVar("T")

_TIMEOUT_S = 10
_ACTION_TIMEOUT_S = 40
"""More than the daemon gives itself to answer."""
_SILENCE_S = 45
"""On a stream with a heartbeat every 15 s."""
_ANSWER_BYTES_MAX = 256 * 1024 * 1024
"""A hundred thousand tickets; what sends more is no daemon of ours."""


class UnknownIssue(InstanceError):
    """Raised for a ticket that the daemon does not know."""


class NotThere(InstanceError):
    """Raised for what a ticket does not have, or not yet, or not here."""


class Rejected(InstanceError):
    """Raised for a request that the daemon cannot take as it is."""


class NoAnswer(InstanceError):
    """Raised when a request was sent and nothing came back: it may have been carried out or not."""


class _Error(Struct, frozen=True, kw_only=True):
    code: str
    message: str


class _Refusal(Struct, frozen=True, kw_only=True):
    """The body of every answer that is an error."""

    error: _Error


class Address(Struct, frozen=True, kw_only=True):
    """Where a running daemon is found."""

    pid: int
    """0 for one on another machine, behind a tunnel."""
    host: str
    port: int
    token_file: str

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def find_daemon(store_dir: str) -> Address:
    """The daemon of this store. Raises `InstanceError` when none is running."""
    try:
        return msgspec.json.decode((Path(store_dir) / ADDRESS_FILE).read_bytes(), type=Address)
    except (OSError, msgspec.MsgspecError) as error:
        raise InstanceError(
            f"no daemon is running on the store {store_dir}: start one with `opensymphony run`"
        ) from error


def fetch_snapshot(address: Address) -> Snapshot:
    """The daemon's picture right now. Every function here raises `InstanceError` when the daemon does not answer."""
    return _decoded(address, _ask(address, "GET", "/api/v1/snapshot"), Snapshot)


def follow_snapshots(address: Address) -> Iterator[Snapshot]:
    """The newest picture each time that something has changed, until the daemon ends; whoever is slow misses those in between.

    Raises `InstanceError` also when the connection breaks.
    """
    headers = _bearer(address, {"Accept": "text/event-stream"})
    try:
        with (
            httpx.Client(timeout=httpx.Timeout(_TIMEOUT_S, read=_SILENCE_S), trust_env=False, verify=False) as client,
            client.stream("GET", f"{address.url}/api/v1/events", headers=headers) as answer,
        ):
            if not answer.is_success:
                _refuse(address, "GET", "/api/v1/events", _whole(address, answer))
            for data in _events(address, answer):
                yield _read(address, data, Snapshot)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unanswered(address, error) from error


def fetch_issues(address: Address, phases: Sequence[str] = ()) -> IssueList:
    """Every ticket, or those in one of the phases."""
    query = "&".join(f"phase={quote(phase, safe='')}" for phase in phases)
    return _decoded(address, _ask(address, "GET", f"/api/v1/issues?{query}"), IssueList)


def fetch_explanation(address: Address, identifier: str) -> Explanation:
    """Why a ticket is, or is not, being worked on. Raises `UnknownIssue`."""
    return _decoded(address, _ask(address, "GET", _issue(identifier)), Explanation)


def fetch_transcript(
    address: Address, identifier: str, *, limit: int = 200, before: int | None = None, after: int | None = None
) -> TranscriptPage:
    """What was said and done in a ticket's conversation: the newest, or what is older or newer than an entry.

    Raises `UnknownIssue`, and `NotThere` where it has no conversation (yet), or its log is not here.
    """
    query = _query(limit=limit, before=before, after=after)
    return _decoded(address, _ask(address, "GET", f"{_issue(identifier)}/transcript{query}"), TranscriptPage)


def fetch_timeline(address: Address, identifier: str, *, limit: int = 200, before: int | None = None) -> TimelinePage:
    """What happened with a ticket and was decided about it, newest first. Raises `UnknownIssue`."""
    query = _query(limit=limit, before=before)
    return _decoded(address, _ask(address, "GET", f"{_issue(identifier)}/timeline{query}"), TimelinePage)


def fetch_changes(address: Address, identifier: str) -> Changes:
    """What the agent has changed. Raises `UnknownIssue`, and `NotThere` where there is no workspace."""
    answer = _ask(address, "GET", f"{_issue(identifier)}/changes", timeout_s=_ACTION_TIMEOUT_S, allowed=())
    return _decoded(address, answer, Changes)


def fetch_verifications(address: Address, identifier: str) -> VerificationList:
    """The last verifications of a ticket, with their output. Raises `UnknownIssue`."""
    return _decoded(address, _ask(address, "GET", f"{_issue(identifier)}/verifications"), VerificationList)


def fetch_statistics(address: Address, *, days: int = 30) -> Statistics:
    """Figures of the last days, today among them."""
    return _decoded(address, _ask(address, "GET", f"/api/v1/statistics{_query(days=days)}"), Statistics)


def request_action(
    address: Address,
    action: str,
    identifier: str | None,
    *,
    request_id: str,
    text: str = "",
    author: str = "",
    finish: bool = False,
    digest: str = "",
) -> ActionAnswer:
    """Ask for something about a ticket, or about everything; a refusal is an answer too. Raises `UnknownIssue`.

    Asked again with the same request id, the same answer comes and nothing is done again.
    """
    body: dict[str, object] = {
        "request_id": request_id,
        "text": encodable(text),
        "author": encodable(author),
        "finish": finish,
    }
    if digest:
        body["digest"] = digest
    place = "/api/v1" if identifier is None else _issue(identifier)
    answer = _ask(address, "POST", f"{place}/actions/{action}", body, timeout_s=_ACTION_TIMEOUT_S)
    return _decoded(address, answer, ActionAnswer)


def request_refresh(address: Address) -> None:
    """Let it look at the tracker now."""
    _ask(address, "POST", "/api/v1/refresh")


def fetch_deliveries(address: Address) -> DeliveryList:
    """The newest webhooks, and how many were turned away."""
    return _decoded(address, _ask(address, "GET", "/api/v1/deliveries"), DeliveryList)


def fetch_delivery(address: Address, number: int) -> dict[str, object]:
    """One webhook with its body."""
    return _decoded(address, _ask(address, "GET", f"/api/v1/deliveries/{number}"), dict[str, object])


def request_replay(address: Address, number: int) -> None:
    """Let it look at what a webhook is about once more."""
    _ask(address, "POST", f"/api/v1/deliveries/{number}/replay")


def request_dashboard_code(address: Address) -> DashboardCode:
    """What opens the dashboard once, within a minute."""
    return _decoded(address, _ask(address, "POST", "/api/v1/dashboard-codes"), DashboardCode)


def request_shutdown(address: Address, *, detach: bool = False) -> None:
    """Let it stop in good order, or with `detach` end and leave the agents at work; it has not ended yet when this returns."""
    _ask(address, "POST", "/api/v1/shutdown", {"detach": detach})


def fetch_unreadiness(address: Address) -> str | None:
    """Why it cannot begin new work right now; None when it can."""
    answer = _ask(address, "GET", "/readyz", allowed=(503,))
    return _decoded(address, answer, _Refusal).error.message if answer.status_code == 503 else None


async def knock(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str] | str:
    """Call the public listener as a service would: the status with the code of the refusal, or why there is no answer."""
    # Whom this machine trusts, SSL_CERT_FILE included: a certificate may be of one's own authority.
    verify = ssl.create_default_context() if url.startswith("https:") else False
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False, verify=verify) as client:
            answer = await client.post(url, headers=dict(headers), content=body)
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
    try:
        return answer.status_code, msgspec.json.decode(answer.content, type=_Refusal).error.code
    except msgspec.MsgspecError:
        return answer.status_code, ""


def _issue(identifier: str) -> str:
    """Where a ticket is, its identifier as one segment of the path; a dot alone would be taken for a step in it."""
    segment = quote(encodable(identifier), safe="").replace(".", "%2E")
    return f"/api/v1/issues/{segment}"


def _query(**numbers: int | None) -> str:
    """What is given of these, behind a question mark."""
    given = "&".join(f"{name}={number}" for name, number in numbers.items() if number is not None)
    return f"?{given}" if given else ""


def _ask(
    address: Address,
    method: str,
    path: str,
    body: object = None,
    *,
    timeout_s: float | None = None,
    allowed: tuple[int, ...] = (409,),
) -> httpx.Response:
    headers, content = _bearer(address, {}), None
    try:
        if body is not None:
            content, headers["Content-Type"] = msgspec.json.encode(body), "application/json"
        with (
            # No TLS on loopback: loading the certificates would take longer than all the rest.
            httpx.Client(timeout=timeout_s or _TIMEOUT_S, trust_env=False, verify=False) as client,
            client.stream(method, f"{address.url}{path}", headers=headers, content=content) as answer,
        ):
            answer = _whole(address, answer)
        if answer.is_success or answer.status_code in allowed:
            return answer
        _refuse(address, method, path, answer)
    except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unanswered(address, error) from error


def _bearer(address: Address, headers: dict[str, str]) -> dict[str, str]:
    try:
        return {**headers, "Authorization": f"Bearer {Path(address.token_file).read_text()}"}
    except (OSError, ValueError) as error:
        raise _unanswered(address, error) from error


def _refuse(address: Address, method: str, path: str, answer: httpx.Response) -> NoReturn:
    _raise_refusal(answer)
    raise InstanceError(
        f"the daemon at {address.url} refuses {method} {path.partition('?')[0]} (status {answer.status_code}): it may "
        "have been restarted just now, or be of another release; see its log"
    )


def _unanswered(address: Address, error: Exception) -> InstanceError:
    said = " ".join(str(error).split()) or type(error).__name__
    sent = isinstance(error, httpx.HTTPError) and not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
    if not sent and address.pid and _is_gone(address.pid):
        return InstanceError(
            f"the daemon (pid {address.pid}) is gone: start it again with `opensymphony run`, which goes on from there"
        )
    told = f"the daemon at {address.url} does not answer ({said}): it may have just ended; see its log"
    return NoAnswer(told) if sent else InstanceError(told)


def _is_gone(pid: int) -> bool:
    """Whether nothing runs under this number any more; a zombie is gone too, where the system can tell."""
    if process_start_time(pid) is not None:
        return False
    return process_start_time(os.getpid()) is not None or not is_alive(pid, None)


def _whole(address: Address, answer: httpx.Response) -> httpx.Response:
    content = bytearray()
    for chunk in answer.iter_raw():
        content += chunk
        if len(content) > _ANSWER_BYTES_MAX:
            raise InstanceError(_no_daemon(address, "it sends without end"))
    return httpx.Response(answer.status_code, content=bytes(content), request=answer.request)


def _events(address: Address, answer: httpx.Response) -> Iterator[bytes]:
    """The data of each event; comments, names and numbers of events are passed over."""
    waiting = bytearray()
    data = b""
    for chunk in answer.iter_bytes():
        waiting += chunk
        *lines, rest = waiting.split(b"\n") if b"\n" in chunk else [waiting]
        waiting = rest
        for line in lines:
            if line.startswith(b"data:"):
                data = bytes(line[5:])
            elif not line and data:
                yield data
                data = b""
        if len(waiting) > _ANSWER_BYTES_MAX:
            raise InstanceError(_no_daemon(address, "it sends without end"))


def _raise_refusal(answer: httpx.Response) -> None:
    """Raise what the daemon itself says is wrong; nothing when it is another program that answers."""
    try:
        refusal = msgspec.json.decode(answer.content, type=_Refusal).error
    except (msgspec.MsgspecError, UnicodeError):
        return
    if refusal.code == "issue_not_found":
        raise UnknownIssue(refusal.message)
    if refusal.code in ("no_webhooks", "delivery_not_found"):
        raise InstanceError(refusal.message)
    if refusal.code in ("no_conversation", "no_transcript", "no_workspace", "workspace_unreadable"):
        raise NotThere(refusal.message)
    if answer.status_code in (400, 413, 415):
        raise Rejected(refusal.message)
    if answer.status_code in (429, 503):
        raise InstanceError(refusal.message)


def _decoded(address: Address, answer: httpx.Response, kind: type[T]) -> T:
    return _read(address, answer.content, kind)


def _read(address: Address, content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InstanceError(_no_daemon(address, str(error))) from error


def _no_daemon(address: Address, why: str) -> str:
    return (
        f"what answers at {address.url} is no daemon of this release ({why}): it may be another program, or an "
        "older daemon; see its log"
    )
