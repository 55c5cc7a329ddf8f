"""Signatures of webhooks."""

from __future__ import annotations

import base64
import json
import time
import warnings
from collections.abc import Callable
from itertools import count
from pathlib import Path

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensymphony.webhooks import bearer, is_borne, is_signed

VECTORS = Path(__file__).resolve().parents[2] / "shared" / "specs" / "webhook_signature_vectors.json"
SECRET, BODY = "It's a Secret to Everybody", b"Hello World!"
GOOD = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"


def test_the_official_vector() -> None:
    """Of Jira's documentation; however the method and the digits are written."""
    assert is_signed(SECRET, BODY, GOOD)
    assert is_signed(SECRET, BODY, GOOD.upper().replace("SHA256", " SHA256 "))


@pytest.mark.parametrize(
    ("secret", "body", "header"),
    [
        ("", b"", "sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"),
        ("another", BODY, GOOD),
        (SECRET, BODY + b" ", GOOD),
        (SECRET, b"", GOOD),
        (SECRET, BODY, GOOD[:-1]),
        (SECRET, BODY, GOOD.removeprefix("sha256=")),
        (SECRET, BODY, GOOD.replace("sha256", "sha1")),
        (SECRET, BODY, GOOD.replace("sha256", "none")),
        (SECRET, BODY, "sha256="),
        (SECRET, BODY, "sha256=ä"),
        (SECRET, BODY, ""),
    ],
)
def test_anything_else_is_not_signed(secret: str, body: bytes, header: str) -> None:
    """Also not by everybody's empty key, which HMAC would take."""
    assert not is_signed(secret, body, header)


def test_the_collected_vectors() -> None:
    """Of the services that sign like this."""
    if not VECTORS.is_file():
        pytest.skip("the vectors are not at ../shared/specs")
    text = json.loads(VECTORS.read_text())
    found = list(_signed(text))
    assert len(found) >= 2
    for secret, body, signature in found:
        assert is_signed(secret, body.encode(), signature)
        assert not is_signed(secret + "x", body.encode(), signature)


def _signed(node: object):
    """Every secret, body and `sha256=` signature that stand together."""
    if isinstance(node, dict):
        texts = [value for value in node.values() if isinstance(value, str)]
        signature = next((text for text in texts if text.startswith("sha256=")), None)
        if signature and isinstance(node.get("secret"), str) and isinstance(node.get("body"), str):
            yield node["secret"], node["body"], signature
        for value in node.values():
            yield from _signed(value)
    elif isinstance(node, list):
        for value in node:
            yield from _signed(value)


KEY = "the secret of an app, which is long enough"
NOW_S = int(time.time())


def made(secret: str = KEY, **claims: object) -> str:
    """The header of a call whose token has these claims."""
    return f"Bearer {jwt.encode(claims, secret, algorithm='HS256')}"


def unsigned(header: object, claims: object) -> str:
    """A token whose signature is empty, whatever it says of itself."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)]
    return f"Bearer {'.'.join(parts)}."


@pytest.mark.parametrize(
    "make",
    [
        lambda now_s: bearer(KEY, (now_s + 60) * 1000),
        lambda now_s: made(exp=now_s + 60).replace("Bearer ", "bearer   "),
        lambda now_s: made(exp=now_s + 60, aud="somebody", sub=7, jti=8, iss="a client", iat=now_s),
        lambda now_s: made(exp=now_s - 30),
    ],
    ids=count(),
)
def test_a_token_that_the_secret_made_is_good_until_its_end(make: Callable[[int], str]) -> None:
    """Whoever it names; clocks may differ by a minute."""
    header = make(int(time.time()))
    assert is_borne(KEY, header)
    assert not is_borne(f"not {KEY}", header)
    assert not is_borne("", header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer x.y.z",
        made(exp=NOW_S + 6_000).removeprefix("Bearer "),
        made(exp=NOW_S + 6_000).replace("Bearer", "Basic"),
        made(exp=NOW_S + 6_000)[:-2],
        made(exp=NOW_S + 6_000, more="x" * 9_000),
        made(exp=NOW_S - 120),
        made(exp="soon"),
        made(exp=NOW_S + 60_000, nbf=NOW_S + 30_000),
        made(),
        made(iat=NOW_S),
        f"Bearer {jwt.encode({'exp': NOW_S + 6_000}, KEY * 2, algorithm='HS512')}",
        f"Bearer {jwt.encode({'exp': NOW_S + 6_000}, None, algorithm='none')}",
        unsigned({"alg": "none", "typ": "JWT"}, {"exp": NOW_S + 6_000}),
        unsigned({"alg": "None"}, {"exp": NOW_S + 6_000}),
        unsigned({"alg": "HS256"}, {"exp": NOW_S + 6_000}),
        unsigned({"alg": ["HS256"]}, {"exp": NOW_S + 6_000}),
        unsigned({"alg": "HS256", "b64": False, "crit": ["b64"]}, {"exp": NOW_S + 6_000}),
        unsigned([], {}),
        f"Bearer {base64.urlsafe_b64encode(b'[' * 5_000).decode()}.e30.",
        "Bearer \u00e4.\u00e4.\u00e4",
    ],
    ids=count(),
)
def test_any_other_token_is_not_good(header: str) -> None:
    """Forged, ended, without an end, of another method, of none."""
    assert not is_borne(KEY, header)
    assert not is_borne("", header)


def test_an_empty_secret_makes_nothing_good() -> None:
    """It is everybody's, whatever the library thinks of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            header = made("", exp=NOW_S + 6_000)
        except jwt.PyJWTError:
            return
    assert not is_borne("", header)


@given(st.text(max_size=200))
def test_whatever_stands_in_the_header_is_only_not_good(text: str) -> None:
    assert not is_borne(KEY, text)
    assert not is_borne(KEY, f"Bearer {text}")
