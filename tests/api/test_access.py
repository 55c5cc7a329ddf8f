"""Who may talk to the listener."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from starlette.requests import Request

from opensymphony.api.access import error_response, refusal, write_token

TOKEN = "the-token"


def asked(**headers: str) -> tuple[int, str] | None:
    """Status and code of the refusal of a request with the token and these headers; None when it may pass."""
    given = {"host": "127.0.0.1:2468", "authorization": f"Bearer {TOKEN}", **headers}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in given.items() if value != "none"]
    answer = refusal(Request({"type": "http", "headers": raw}), TOKEN)
    return None if answer is None else (answer.status_code, json.loads(bytes(answer.body))["error"]["code"])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:2468", "127.0.0.1", "localhost:2468", "LOCALHOST", "[::1]:2468", "[::1]", "127.0.0.2:1", "localhost:"],
)
def test_names_of_this_machine_may_pass(host: str) -> None:
    """Whatever loopback name the listener was given, with or without a port."""
    assert asked(host=host) is None
    assert asked(origin=f"http://{host}") is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:2468",
        "127.0.0.1.evil.example",
        "localhost.evil.example:2468",
        "10.0.0.1:2468",
        "[2001:db8::1]:2468",
        "evil.example@127.0.0.1",
        "127.0.0.1@evil.example",
        "127.0.0.1:2468:80",
        "::1",
        "[::1",
        "",
        "none",
    ],
)
def test_other_names_are_refused(host: str) -> None:
    """A page whose name was made to resolve to us (DNS rebinding), or no name at all, fails even with the token."""
    assert asked(host=host) == (403, "forbidden_host")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "", "http://evil.example:2468", "http://a://localhost"]
)
def test_other_sites_are_refused(origin: str) -> None:
    """A page of another site is refused even with the token."""
    assert asked(origin=origin) == (403, "forbidden_origin")


@pytest.mark.parametrize(
    "given",
    [
        "none",
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer \xff",
    ],
)
def test_without_the_token_nothing_is_told(given: str) -> None:
    """Exactly the token as a bearer header passes."""
    assert asked(authorization=given) == (401, "unauthorized")


def test_the_token_is_its_owners_alone(tmp_path: Path) -> None:
    """Whatever the umask or an older file allowed; nothing is left beside it."""
    path = tmp_path / "token"
    path.write_text("an older, longer token")
    path.chmod(0o644)
    before = os.umask(0)
    try:
        write_token(path, TOKEN)
    finally:
        os.umask(before)
    assert (path.read_text(), path.stat().st_mode & 0o777) == (TOKEN, 0o600)
    assert [entry.name for entry in tmp_path.iterdir()] == ["token"]


def test_an_error_is_one_document() -> None:
    """Code for programs, message for people, true status."""
    answer = error_response(404, "not_found", "no such thing")
    assert (answer.status_code, json.loads(bytes(answer.body))) == (
        404,
        {"error": {"code": "not_found", "message": "no such thing"}},
    )
