"""Signatures of webhooks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opensymphony.webhooks import is_signed

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
