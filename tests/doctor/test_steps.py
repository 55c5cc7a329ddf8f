"""Checks that build on each other."""

from __future__ import annotations

import anyio

from opensymphony.doctor.steps import Found, StepFailed, Steps
from opensymphony.errors import AgentServerError
from opensymphony.views import Check


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
