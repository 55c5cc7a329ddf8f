"""The dashboard's pages and its entrance."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import anyio
import httpx
import pytest

from opensymphony.api import bodies
from opensymphony.api.dashboard import ASSETS, CODE_MS, CODES_MAX, Codes, assets
from opensymphony.api.routes import build_app
from tests.api.desk import BEARER, TOKEN, Desk

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def code_of(client: httpx.AsyncClient) -> str:
    answer = await client.post("/api/v1/dashboard-codes", headers=BEARER)
    assert answer.status_code == 200
    return answer.json()["code"]


async def enter(client: httpx.AsyncClient, code: str, **headers: str) -> httpx.Response:
    return await client.post("/", content=urlencode({"code": code}), headers={**FORM, **headers})


def policy(answer: httpx.Response) -> dict[str, str]:
    found = (part.strip().partition(" ") for part in answer.headers["content-security-policy"].split(";"))
    return {name: value for name, _, value in found}


async def test_the_page_and_its_parts_need_no_token_and_hold_no_data(client: httpx.AsyncClient, desk: Desk) -> None:
    """Everything that the page names is there; a strict policy allows nothing from elsewhere, and nothing inline."""
    page = await client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    assert len(named) >= 5
    for path in [*named, *(f"/assets/{name}" for name in assets())]:
        answer = await client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-cache"
        assert policy(answer) == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "connect-src": "'self'",
            "img-src": "'self' data:",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
        }
    assert desk.looks == 0
    assert TOKEN not in page.text


async def test_what_a_browser_has_is_not_sent_again(client: httpx.AsyncClient) -> None:
    """By its fingerprint; another one gets the whole file."""
    first = await client.get("/assets/app.js")
    again = await client.get("/assets/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await client.get("/assets/app.js", headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize(
    "path",
    [
        "/assets/",
        "/assets/none.js",
        "/assets/../dashboard.py",
        "/assets/..%2Fdashboard.py",
        "/assets/%2e%2e/dashboard.py",
        "/assets/%2Fetc%2Fpasswd",
        "/assets/app.js%00",
        "/assets/APP.JS",
        "/assets//app.js",
    ],
)
async def test_only_known_parts_are_given(client: httpx.AsyncClient, path: str) -> None:
    """A name is looked up, never a path."""
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", ["/", "/assets/app.js"])
async def test_another_machines_name_gets_nothing(client: httpx.AsyncClient, path: str) -> None:
    """As everywhere: a name that was made to point here is not ours."""
    answer = await client.get(path, headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden_host")


async def test_a_code_is_for_who_has_the_token(client: httpx.AsyncClient) -> None:
    """Without it there is none; and it is no name of a ticket."""
    assert (await client.post("/api/v1/dashboard-codes")).status_code == 401
    answer = await client.get("/api/v1/dashboard-codes", headers=BEARER)
    assert answer.status_code == 405


@pytest.mark.parametrize("origin", ["null", "http://127.0.0.1:2468", None])
async def test_a_code_brings_the_token_into_the_tab_once(client: httpx.AsyncClient, origin: str | None) -> None:
    """From a page of a file, whose origin is `null`. The page is not kept, and only its own script runs in it."""
    headers = {"Origin": origin} if origin else {}
    code = await code_of(client)
    answer = await enter(client, code, **headers)
    assert answer.status_code == 200
    assert TOKEN in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    nonce = re.fullmatch(r"'nonce-([\w-]{20,})'", policy(answer)["script-src"])
    assert nonce is not None
    assert re.findall(r"<script[^>]*>", answer.text) == [
        '<script type="application/json" id="token">',
        f'<script nonce="{nonce[1]}">',
    ]
    again = await enter(client, code, **headers)
    assert again.status_code == 401
    assert TOKEN not in again.text
    assert "opensymphony dashboard" in again.text


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"code=",
        b"code=wrong",
        b"other=x",
        b"code=%FF",
        b"\xff\xfe",
        b"code=" + b"x" * 10_000,
        b"a=1&b=2&c=3&d=4&e=5&code=x",
    ],
)
async def test_anything_else_is_turned_away(client: httpx.AsyncClient, given: bytes) -> None:
    """With a page that says what to do; the outstanding code is not used up by it."""
    code = await code_of(client)
    answer = await client.post("/", content=given, headers=FORM)
    assert answer.status_code == 401
    assert "opensymphony dashboard" in answer.text
    assert TOKEN not in answer.text
    assert (await enter(client, code)).status_code == 200


async def test_a_form_that_does_not_come_is_not_waited_for(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs no token, so that everybody on this machine could keep connections that way."""
    monkeypatch.setattr(bodies, "BODY_S", 0.05)

    async def never() -> AsyncIterator[bytes]:
        yield b"co"
        await anyio.sleep(20)

    with anyio.fail_after(10):
        answer = await client.post("/", content=never(), headers=FORM)
    assert answer.status_code == 401


async def test_another_site_cannot_use_even_a_good_code(client: httpx.AsyncClient) -> None:
    """Nor another host name; the code stays good."""
    code = await code_of(client)
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example", "Origin": "null"}):
        answer = await enter(client, code, **headers)
        assert answer.status_code == 403
        assert TOKEN not in answer.text
    assert (await enter(client, code, Origin="null")).status_code == 200


async def test_the_origin_of_a_file_is_good_for_the_entrance_alone(client: httpx.AsyncClient) -> None:
    """Everywhere else it is another site's."""
    answer = await client.get("/api/v1/snapshot", headers={**BEARER, "Origin": "null"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden_origin")


async def test_a_token_cannot_leave_its_block() -> None:
    """Whatever is in it."""
    evil = "</script><script>alert(1)</script>"
    app = build_app(Desk(), evil)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        made = await client.post("/api/v1/dashboard-codes", headers={"Authorization": f"Bearer {evil}"})
        answer = await enter(client, made.json()["code"])
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text


def test_codes_end_after_a_minute_and_there_are_few() -> None:
    """The oldest gives way to a new one."""
    now_ms = 0
    codes = Codes(lambda: now_ms)
    first = codes.issue()
    assert first.expires_ms == CODE_MS
    now_ms = CODE_MS
    assert not codes.redeem(first.code)
    many = [codes.issue().code for _ in range(CODES_MAX + 1)]
    assert len(set(many)) == len(many)
    assert [codes.redeem(code) for code in many] == [False] + [True] * CODES_MAX
    assert not codes.redeem("")


def test_the_scripts_make_no_markup_of_text_and_take_nothing_from_elsewhere() -> None:
    """No way from a text to markup or code is used; no address of another place stands in them; files stay readable."""
    for path in sorted(ASSETS.iterdir()):
        text = path.read_text()
        assert len(text.splitlines()) <= 400, path.name
        assert not re.findall(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|srcdoc|DOMParser", text
        )
        assert not re.findall(r'\sstyle="|\son\w+="', text), path.name
        outside = {url for url in re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text) if "www.w3.org" not in url}
        assert outside == set(), path.name
    used = {name for path in ASSETS.glob("*.js") for name in re.findall(r'from "\./([\w.]+)"', path.read_text())}
    page = (ASSETS / "index.html").read_text()
    assert {name for name in assets() if name not in used and f"/assets/{name}" not in page} == {"index.html"}
