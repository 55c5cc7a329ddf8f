"""Signatures of webhooks: whether a call comes from somebody who knows the secret. Constant in time where it matters."""

from __future__ import annotations

import hashlib
import hmac

import jwt
from jwt.types import Options

_METHODS = {"sha256": hashlib.sha256}
"""Only these are taken, whatever else a header may name."""
_ALGORITHMS = ["HS256"]
"""The same for tokens, whose own header must not choose: it may say `none`."""
_SKEW_S = 60
"""Clocks of two machines differ."""
_TOKEN_CHARS_MAX = 8_192


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


def bearer(secret: str, ends_ms: int) -> str:
    """The header of a call that shows by a token that its sender knows the secret, until then: `Bearer JWT`."""
    claims = {"exp": ends_ms // 1000}
    # The library types keys of another one, which HS256 does not need and we do not install.
    token = jwt.encode(claims, secret, algorithm=_ALGORITHMS[0])  # pyright: ignore[reportUnknownMemberType]
    return f"Bearer {token}"


def is_borne(secret: str, header: str) -> bool:
    """Whether `Bearer JWT` has a token that was made with the secret and has not ended. It says nothing of the body.

    Without a secret none is good, nor is a token without an end.
    """
    scheme, _, token = header.strip().partition(" ")
    if not secret or scheme.lower() != "bearer" or len(token) > _TOKEN_CHARS_MAX:
        return False
    # Whom it names, and by what, is not documented by those who send it: what counts is who made it, and its end.
    options: Options = {"require": ["exp"], "verify_aud": False, "verify_sub": False, "verify_jti": False}
    try:
        jwt.decode(  # pyright: ignore[reportUnknownMemberType]
            token.strip(), secret, algorithms=_ALGORITHMS, leeway=_SKEW_S, options=options
        )
    except (jwt.PyJWTError, ValueError, RecursionError):
        return False
    return True
