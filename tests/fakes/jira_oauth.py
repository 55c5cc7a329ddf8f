"""Atlassian's OAuth server on loopback: it rotates refresh tokens, and sees when an old one is used again.

Part of `FakeJira`. What people do there (end a token, hold an answer back) are methods and fields.
"""

from __future__ import annotations

import time
from typing import Any

import anyio

Json = dict[str, Any]
CLIENT_ID, CLIENT_SECRET = "canary-client-id", "canary-client-secret-of-an-oauth-app"
REFRESH_TOKEN = "canary-refresh-token-0"


class OAuthServer:
    """One app, and whoever signed in to it."""

    def __init__(self) -> None:
        self.rotates = True
        self.leeway_s = 600.0
        """So long a refresh token is taken after it was used."""
        self.expires_in = 3_600
        self.refresh_tokens: dict[str, float | None] = {REFRESH_TOKEN: None}
        """With the time of its first use."""
        self.access_tokens: set[str] = set()
        self.made: list[str] = []
        """Every token that was given to somebody, of both kinds."""
        self.asked: list[Json] = []
        self.reused = 0
        """How often a refresh token came that had been used before."""
        self.faults: list[tuple[int, Json]] = []
        """What the next calls are answered with instead."""
        self.arrived = anyio.Event()
        """Somebody asked, and the tokens have changed hands."""
        self.held: anyio.Event | None = None
        """Answers wait for it, where there is one."""
        self._number = 0

    def sign_in(self) -> str:
        """A person does, and gets a refresh token."""
        token = self._new("refresh")
        self.refresh_tokens[token] = None
        return token

    def end_access(self) -> None:
        """No access token is good any more."""
        self.access_tokens.clear()

    async def token(self, body: Any) -> tuple[int, Json]:
        """`POST /oauth/token`."""
        status, answer = self._granted(body)
        self.arrived.set()
        if self.held is not None:
            await self.held.wait()
        return status, answer

    def _granted(self, body: Any) -> tuple[int, Json]:
        self.asked.append(body)
        if self.faults:
            return self.faults.pop(0)
        if (body.get("client_id"), body.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "access_denied", "error_description": "Unauthorized"}
        match body.get("grant_type"):
            case "client_credentials" if set(body) == {"grant_type", "client_id", "client_secret"}:
                return 200, self._answer()
            case "refresh_token" if set(body) == {"grant_type", "client_id", "client_secret", "refresh_token"}:
                return self._refreshed(body["refresh_token"])
            case _:
                return 400, {"error": "invalid_request", "error_description": "not what it should be"}

    def _refreshed(self, token: str) -> tuple[int, Json]:
        used = self.refresh_tokens.get(token)
        self.reused += used is not None
        if token not in self.refresh_tokens or (used is not None and time.monotonic() - used >= self.leeway_s):
            return 403, {"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}
        if not self.rotates:
            return 200, self._answer()
        self.refresh_tokens[token] = time.monotonic() if used is None else used
        new = self._new("refresh")
        self.refresh_tokens[new] = None
        return 200, {**self._answer(), "refresh_token": new}

    def _answer(self) -> Json:
        token = self._new("access")
        self.access_tokens.add(token)
        return {
            "access_token": token,
            "expires_in": self.expires_in,
            "scope": "read:jira-work write:jira-work manage:jira-webhook offline_access",
            "token_type": "Bearer",
        }

    def _new(self, kind: str) -> str:
        self._number += 1
        token = f"canary-{kind}-token-{self._number}"
        self.made.append(token)
        return token
