"""Signatures of webhooks: whether a body comes from somebody who knows the secret. Pure; constant in time where it matters."""

from __future__ import annotations

import hashlib
import hmac

_METHODS = {"sha256": hashlib.sha256}
"""Only these are taken, whatever else a header may name."""


def signature(secret: str, body: bytes) -> str:
    """What a body's header carries when it comes from somebody who knows the secret: `sha256=hex`."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def is_signed(secret: str, body: bytes, header: str) -> bool:
    """Whether `method=hex` is the HMAC of the raw body. Without a secret nothing is: an empty key is everybody's."""
    method, _, given = header.strip().partition("=")
    digest = _METHODS.get(method.strip().lower())
    if not secret or digest is None or not given.isascii():
        return False
    wanted = hmac.new(secret.encode(), body, digest).hexdigest()
    return hmac.compare_digest(wanted.encode(), given.strip().lower().encode())
