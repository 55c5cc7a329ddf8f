"""Stopped means confirmed stopped."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio

from opensymphony.agents.openhands.mirror import marker
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.model import TurnProgress
from tests.agents.openhands.fakes import (
    ID,
    KEY,
    FakeServer,
    always,
    durable,
    full_state,
    say,
    sync,
)


def _stats(**calls: list[int]) -> dict[str, Any]:
    """By usage id the prompt tokens of each call, in the full form of a snapshot."""
    return {
        "usage_to_metrics": {
            name: {"accumulated_token_usage": {"prompt_tokens": sum(each)}, "token_usages": [{} for _ in each]}
            for name, each in calls.items()
        }
    }


async def test_stopping_tells_the_totals_of_the_end(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """An interruption that had no effect is repeated; the end is told by the server's memory, and so are all calls of all
    usage ids up to it, told by an event or not."""
    fake.answers["POST /interrupt"] = always({})
    fake.scenes = [
        say(sync(0), full_state("running", stats=_stats(agent=[1]))),
        say(sync(0), full_state("paused", stats=_stats(agent=[1, 20], condenser=[300]))),
    ]
    usage = await runtime.stop(ID)
    assert fake.requests.count("POST /interrupt") == 2
    assert usage is not None
    assert (usage.prompt_tokens, usage.model_calls) == (321, 3)


async def test_totals_that_cannot_be_had_are_none_or_what_was_told(fake: FakeServer, runtime: OpenHandsRuntime) -> None:
    """A conversation that is gone is stopped: what its events told counts, and without any nothing is known."""
    fake.answers["POST /interrupt"] = always({}, 404)
    assert await runtime.stop(ID) is None
    compact = {"usage_to_metrics": {"agent": {"accumulated_token_usage": {"prompt_tokens": 5}}}}
    fake.scenes = [
        say(
            sync(0),
            durable(
                0, kind="MessageEvent", source="user", llm_message={"content": [{"type": "text", "text": marker(KEY)}]}
            ),
            durable(1, kind="ConversationStateUpdateEvent", key="execution_status", value="running"),
            durable(2, kind="ConversationStateUpdateEvent", key="stats", value=compact),
        )
    ]
    told = anyio.Event()

    async def report(progress: TurnProgress) -> None:
        if progress.usage is not None:
            told.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(runtime.await_turn, ID, KEY, report, resume=False))
        with anyio.fail_after(20):
            await told.wait()
        tasks.cancel_scope.cancel()
    usage = await runtime.stop(ID)
    assert usage is not None
    assert (usage.prompt_tokens, usage.model_calls) == (5, 1)
