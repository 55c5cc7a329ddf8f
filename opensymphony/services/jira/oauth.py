"""Tokens of an OAuth 2.0 app: asked for, renewed, and stored before they are used.

In: the app's id and secret, and the refresh token that signing in to it gave. Out: an access token that is good now. A refresh
token ends when it is used; so the next one is on disk before the access token that came with it goes anywhere, and the
processes that share a store renew one after the other.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import anyio
import anyio.to_thread
import msgspec
from msgspec import Meta, Struct

from opensymphony import logs
from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, RateLimited, Refused, ServiceError, Unreachable
from opensymphony.private_files import make_private_directory, write_private
from opensymphony.services.jira.client import Answer, ask_for_token
from opensymphony.services.jira.site import SERVICE, Site

CLIENT_SECRET = "jira_oauth_client_secret"
REFRESH_TOKEN = "jira_oauth_refresh_token"
"""Their names in opensymphony.toml, [secrets]."""
FILE, LOCK_FILE = "jira-oauth.json", "jira-oauth.lock"

_FILE_BYTES_MAX = 131_072
_EARLY_MS = 60_000
"""So long before its end a token is renewed."""
_NEW_MS = 60_000
"""A token that is refused so soon would not be bettered by another one."""
_REQUEST_S = 30
_LOCK_TRIES, _LOCK_PAUSE_S = 600, 0.1
"""Together longer than a request takes."""
_KNOWN_MAX = 8
"""Tokens that are kept out of logs: those of four renewals, by when the oldest have ended."""
_SAID_MAX = 200

log = logs.get_logger(__name__)

_Token = Annotated[str, Meta(pattern=r"\A[!-~]{1,32768}\Z")]


class _Granted(Struct, frozen=True, kw_only=True):
    access_token: _Token  # as OAuth writes it
    refresh_token: _Token | None = None
    expires_in: Annotated[int, Meta(ge=1, le=31_536_000)] = 3_600


class _Fault(Struct, frozen=True, kw_only=True):
    error: str = ""
    error_description: str = ""


class _Stored(Struct, frozen=True, kw_only=True):
    """What the file holds."""

    configured: str
    """A digest of what the operator configured when this was got."""
    refresh_token: _Token | None = None
    """None: the configured one still is the one to use, or none is needed."""
    access_token: _Token
    made_ms: int
    ends_ms: int
    """Both by the machine's clock, which all processes share."""


class OAuthTokens:
    """A `ReadToken`. Several, in one process or many, may share a directory."""

    def __init__(
        self,
        site: Site,
        directory: Path,
        clock: Clock,
        *,
        read_client_secret: Callable[[], Awaitable[str]],
        read_refresh_token: Callable[[], Awaitable[str | None]],
    ) -> None:
        """The secrets are read at each renewal. Without a refresh token the app signs in as itself (client credentials)."""
        self._client_id = site.oauth_client_id or ""
        self._url = site.oauth_token_url
        self._directory = directory
        self._clock = clock
        self._read_client_secret = read_client_secret
        self._read_refresh_token = read_refresh_token
        self._turn = anyio.Lock()
        self._held: _Stored | None = None
        self._unwritten: tuple[_Stored | None, _Stored] | None = None
        """What was there and what should be, when the disk did not take it."""
        self._known: deque[str] = deque()

    async def __call__(self, refused: str | None) -> str:
        """Raises `ConfigurationError` without the app's secret, or a `ServiceError`."""
        async with self._turn:
            if self._held is None or not self._is_good(self._held, refused):
                self._held = await self._current(refused)
            return self._held.access_token

    def _is_good(self, held: _Stored, refused: str | None) -> bool:
        now_ms = self._clock.wall_ms()
        if held.access_token == refused:
            return 0 <= now_ms - held.made_ms < _NEW_MS
        return now_ms < held.ends_ms - min(_EARLY_MS, (held.ends_ms - held.made_ms) // 2)

    async def _current(self, refused: str | None) -> _Stored:
        """What another process has stored meanwhile, if that is good; else a new one."""
        secret, configured = await self._read_client_secret(), await self._read_refresh_token()
        mark = self._mark(configured)
        async with self._locked():
            found = stored = await self._write_again(await self._load(mark), mark)
            if stored is None or not self._is_good(stored, refused):
                # A cancellation between the answer and the file would lose the only refresh token that still is good.
                with anyio.CancelScope(shield=True):
                    found = await self._renew(stored, secret, configured, mark)
                    await self._write(stored, found)
        assert found is not None
        return found

    def _mark(self, configured: str | None) -> str:
        said = msgspec.json.encode([self._client_id, self._url, configured or ""])
        return hashlib.sha256(said).hexdigest()

    async def _renew(self, stored: _Stored | None, secret: str, configured: str | None, mark: str) -> _Stored:
        stored_token = stored.refresh_token if stored is not None else None
        token = stored_token or configured
        grant = (
            {"grant_type": "refresh_token", "refresh_token": token} if token else {"grant_type": "client_credentials"}
        )
        asked_ms = self._clock.wall_ms()
        try:
            with anyio.fail_after(_REQUEST_S):
                answer = await ask_for_token(
                    self._url, {**grant, "client_id": self._client_id, "client_secret": secret}
                )
        except TimeoutError as error:
            raise Unreachable(SERVICE, f"renew the token: {self._url} does not answer") from error
        if answer.status != 200:
            raise self._refusal(answer)
        try:
            granted = msgspec.json.decode(answer.body, type=_Granted)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise BadAnswer(SERVICE, f"renew the token: {self._url} answers without a token") from None
        given = granted.refresh_token or stored_token
        made = _Stored(
            configured=mark,
            refresh_token=given if token and given != configured else None,
            access_token=granted.access_token,
            made_ms=asked_ms,
            ends_ms=asked_ms + granted.expires_in * 1000,
        )
        self._keep_out_of_logs(made)
        log.info("the token of the OAuth app is renewed", grant=grant["grant_type"], seconds=granted.expires_in)
        return made

    def _refusal(self, answer: Answer) -> ServiceError:
        try:
            fault = msgspec.json.decode(answer.body, type=_Fault)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            fault = _Fault()
        words = [" ".join(word.split()) for word in (fault.error, fault.error_description) if word.strip()]
        said = logs.redacted(": ".join(words))[:_SAID_MAX] or f"status {answer.status}"
        if fault.error == "invalid_grant":
            remedy = f"sign in to the OAuth app again, and give the new refresh token as {REFRESH_TOKEN}"
            return Refused(SERVICE, f"renew the token: the refresh token is not taken any more ({said}): {remedy}")
        if answer.status == 429:
            return RateLimited(SERVICE, f"renew the token: {self._url} asks for a pause")
        if answer.status >= 500:
            return Unreachable(SERVICE, f"renew the token: {self._url}: {said}")
        remedy = f"check tracker.provider.oauth_client_id and {CLIENT_SECRET}"
        return Refused(SERVICE, f"renew the token: {self._url} does not take the OAuth app ({said}): {remedy}")

    def _keep_out_of_logs(self, stored: _Stored) -> None:
        """Not for ever: in the long run they would displace every other secret."""
        for token in (stored.access_token, stored.refresh_token):
            if token is not None and token not in self._known:
                logs.know_secret(token)
                self._known.append(token)
        while len(self._known) > _KNOWN_MAX:
            logs.forget_secret(self._known.popleft())

    # the file ---------------------------------------------------------------------------------------------------

    async def _load(self, mark: str) -> _Stored | None:
        """What is stored for what is configured now; None where nothing is."""
        path = self._directory / FILE
        try:
            data = await anyio.to_thread.run_sync(_read, path)
        except OSError as error:
            raise Refused(SERVICE, f"{path} cannot be read ({error.strerror}): make it readable for us") from error
        if data is None:
            return None
        try:
            stored = msgspec.json.decode(data, type=_Stored)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            log.warning("the stored tokens cannot be read: the configured one is used", path=str(path))
            return None
        if stored.configured != mark:
            log.info("another OAuth app or refresh token is configured: the stored tokens are dropped")
            return None
        self._keep_out_of_logs(stored)
        return stored

    async def _write_again(self, stored: _Stored | None, mark: str) -> _Stored | None:
        """Bring on disk what it did not take before, unless somebody has gone on from there; what is stored now."""
        if self._unwritten is None:
            return stored
        before, made = self._unwritten
        if before != stored or made.configured != mark:
            self._unwritten = None
            return stored
        await self._write(stored, made)
        return made

    async def _write(self, before: _Stored | None, made: _Stored) -> None:
        path = self._directory / FILE
        self._unwritten = (before, made)
        try:
            await anyio.to_thread.run_sync(write_private, path, msgspec.json.encode(made))
        except OSError as error:
            said = error.strerror or type(error).__name__
            message = f"the new refresh token cannot be stored in {path} ({said}), so it is not used: make room there"
            raise Unreachable(SERVICE, message) from error
        self._unwritten = None

    @asynccontextmanager
    async def _locked(self) -> AsyncGenerator[None]:
        path = self._directory / LOCK_FILE
        try:
            descriptor = _open_lock(path)
        except OSError as error:
            raise Refused(SERVICE, f"{path} cannot be made ({error.strerror}): make its directory writable") from error
        try:
            for _ in range(_LOCK_TRIES):
                if _take(descriptor, path):
                    break
                await anyio.sleep(_LOCK_PAUSE_S)
            else:
                raise Unreachable(SERVICE, f"another process has been renewing the token for long, and holds {path}")
            yield
        finally:
            os.close(descriptor)


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX)
    except FileNotFoundError:
        return None


def _open_lock(path: Path) -> int:
    make_private_directory(path.parent)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _take(descriptor: int, path: Path) -> bool:
    """Whether nobody else holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        message = f"{path} cannot be locked ({error.strerror}): choose a store on a local disk"
        raise Refused(SERVICE, message) from error
    return True
