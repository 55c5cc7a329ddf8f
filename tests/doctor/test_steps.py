"""Checks that build on each other."""

from __future__ import annotations

import anyio
import pytest

from opensymphony.doctor.steps import Found, StepFailed, Steps
from opensymphony.errors import AgentServerError
from opensymphony.logs import forget_secret, know_secret
from opensymphony.views import Check

ODD = "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"


async def good() -> Found:
    return Found(detail="all is well", figures={"things": 3})


async def doubtful() -> Found:
    return Found(detail="it is slow", warn="buy a faster one")


async def never() -> Found:
    await anyio.sleep_forever()
    raise AssertionError


async def bad() -> Found:
    raise AgentServerError("it broke")


async def worse() -> Found:
    raise StepFailed("it broke here", "turn it round")


async def unreadable() -> Found:
    raise PermissionError(13, "Permission denied", "/x")


async def odd() -> Found:
    raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


async def test_what_went_well_is_told_at_once_with_its_figures() -> None:
    told: list[Check] = []
    steps = Steps(told.append)
    assert await steps.take("one", good, limit_ms=1000, fix="unused")
    assert await steps.take("two", doubtful, limit_ms=1000, fix="unused")
    assert [(one.name, one.status, one.detail, one.fix) for one in told] == [
        ("one", "pass", "all is well", ""),
        ("two", "warn", "it is slow", "buy a faster one"),
    ]
    assert told[0].figures["things"] == 3 and told[0].figures["duration_ms"] >= 0
    assert steps.checks == told and not steps.failed


async def test_every_failure_has_its_remedy_and_ends_what_follows() -> None:
    """But for the step that clears up."""
    for work, detail, fix in (
        (bad, "it broke", "the usual"),
        (worse, "it broke here", "turn it round"),
        (never, "not done within 0 s", "the usual"),
        (unreadable, "/x: Permission denied", "the usual"),
        (odd, f"UnicodeDecodeError: {ODD}", "the usual"),
    ):
        steps = Steps(lambda check: None)
        assert not await steps.take("one", work, limit_ms=20, fix="the usual")
        assert not await steps.take("two", good, limit_ms=1000, fix="unused")
        assert await steps.take("end", good, limit_ms=1000, fix="unused", always=True)
        assert [(one.name, one.status, one.detail, one.fix) for one in steps.checks[:2]] == [
            ("one", "fail", detail, fix),
            ("two", "skip", "not tried, since one failed", ""),
        ]
        assert (steps.checks[2].status, steps.failed) == ("pass", "one")


@pytest.mark.parametrize("before", [0, 3_990])
async def test_no_key_is_told(before: int) -> None:
    """Neither whole nor, where the text is cut, the half of it."""
    key = "canary-key-of-a-provider"

    async def refused() -> Found:
        raise StepFailed(f"{'x' * before}{key} is refused", f"change {key}")

    async def accepted() -> Found:
        return Found(detail=f"it works with {key}")

    told: list[Check] = []
    know_secret(key)
    try:
        steps = Steps(told.append)
        await steps.take("one", refused, limit_ms=1000, fix="unused")
        await steps.take("two", accepted, limit_ms=1000, fix="unused", always=True)
    finally:
        forget_secret(key)
    assert [one.status for one in told] == ["fail", "pass"]
    assert "canary" not in str(told + steps.checks)
    assert all(len(one.detail) <= 4_000 for one in told)
