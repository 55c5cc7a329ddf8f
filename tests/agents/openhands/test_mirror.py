"""Events as the pinned server writes them, folded one by one."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from opensymphony.agents.openhands.messages import (
    Event,
    FullStateValue,
    finish_text,
    message_text,
    read,
    read_event,
    tool_names,
)
from opensymphony.agents.openhands.mirror import Mirror, key_of, marker
from opensymphony.model import AgentFailure
from opensymphony.workflow.policy import LlmPolicy


def event(kind: str, **fields: Any) -> Event:
    """An event as it comes from the wire, with the fields that every one has."""
    whole = {"id": f"id-{kind}", "timestamp": "2026-11-20T11:51:28.737964", "source": "agent", "kind": kind, **fields}
    return read_event(Raw(json.dumps(whole).encode()))


def status(value: str) -> Event:
    return event("ConversationStateUpdateEvent", source="environment", key="execution_status", value=value)


def stats(**tokens: int) -> Event:
    usage = {
        "model_name": "openai/scripted",
        "accumulated_cost": 0.25,
        "max_budget_per_task": None,
        "accumulated_token_usage": {"model": "openai/scripted", "context_window": 0, "response_id": "", **tokens},
    }
    other = {"accumulated_cost": 0.5, "accumulated_token_usage": {"prompt_tokens": 7}}
    value = {"usage_to_metrics": {"agent": usage, "condenser": other, "task:task_00000001": {"accumulated_cost": 0.0}}}
    return event("ConversationStateUpdateEvent", key="stats", value=value)


def action(call: str, tool: str = "terminal", **body: Any) -> Event:
    body = {"kind": "TerminalAction", "command": "ls"} | body
    return event("ActionEvent", action=body, tool_name=tool, tool_call_id=call, summary=f"{tool}: ls")


def user(text: str) -> Event:
    content = [{"cache_prompt": False, "type": "text", "text": text}]
    return event("MessageEvent", source="user", llm_message={"role": "user", "content": content}, extended_content=[])


def folded(*events: Event) -> Mirror:
    mirror = Mirror()
    for seq, one in enumerate(events):
        mirror.fold(seq, one)
    return mirror


def test_a_turn_leaves_status_words_and_position() -> None:
    """Status, last words, figures and the place of our message follow from the log alone."""
    mirror = folded(
        user(f"Do it.\n\n{marker('A-1#1/send')}"),
        status("running"),
        stats(prompt_tokens=100, completion_tokens=10),
        action("c1"),
        event("ObservationEvent", tool_name="terminal", tool_call_id="c1", observation={"kind": "TerminalObservation"}),
        action("c2", "finish", kind="FinishAction", message="done"),
        status("finished"),
    )
    assert (mirror.status, mirror.status_seq, mirror.final_text) == ("finished", 6, "done")
    assert (mirror.position_of("A-1#1/send"), mirror.position_of("A-1#2/send")) == (0, None)
    assert (mirror.last_seq, mirror.last_event_id, mirror.tool_open) == (6, "id-ConversationStateUpdateEvent", False)


def test_usage_is_summed_over_every_usage_id_in_micro_units() -> None:
    """Agent, condenser and sub-agents count; each new figure is one model call, a repeated one is none."""
    mirror = folded(stats(prompt_tokens=100, completion_tokens=10), stats(prompt_tokens=100, completion_tokens=10))
    assert (mirror.usage.prompt_tokens, mirror.usage.completion_tokens) == (107, 10)
    assert (mirror.usage.cost_micros, mirror.usage.model_calls) == (750_000, 1)
    assert mirror.fold(2, stats(prompt_tokens=200, completion_tokens=10)) == "usage"
    assert mirror.usage.model_calls == 2


def test_a_snapshot_tells_the_exact_number_of_calls() -> None:
    """The full form lists each call; one that we missed is counted."""
    figures = {"accumulated_token_usage": {"prompt_tokens": 8}, "token_usages": [{}, {}, {}]}
    value = {"usage_to_metrics": {"agent": figures}}
    state = read(json.dumps({"execution_status": "running", "stats": value}).encode(), FullStateValue)
    assert state is not None
    mirror = folded(stats(prompt_tokens=1))
    assert mirror.adopt(state, with_status=True) == "status"
    assert (mirror.usage.model_calls, mirror.status) == (3, "running")


def test_figures_that_come_out_of_order_count_no_call_twice() -> None:
    """A snapshot may be ahead of the log or behind it: its calls are those of the log."""

    def figures(calls: int) -> dict[str, Any]:
        return {"usage_to_metrics": {"agent": {"accumulated_token_usage": {"prompt_tokens": 100 * calls}}}}

    def snapshot(calls: int) -> FullStateValue:
        stats = figures(calls)
        stats["usage_to_metrics"]["agent"]["token_usages"] = [{}] * calls
        found = read(msgspec.json.encode({"execution_status": "running", "stats": stats}), FullStateValue)
        assert found is not None
        return found

    def logged(calls: int) -> Event:
        raw = msgspec.json.encode({"kind": "ConversationStateUpdateEvent", "key": "stats", "value": figures(calls)})
        return msgspec.json.decode(raw, type=Event)

    mirror = Mirror()
    mirror.fold(0, logged(1))
    mirror.adopt(snapshot(3), with_status=False)
    mirror.fold(1, logged(2))
    mirror.fold(2, logged(3))
    mirror.adopt(snapshot(2), with_status=False)
    mirror.fold(3, logged(4))
    assert (mirror.usage.model_calls, mirror.usage.prompt_tokens) == (4, 400)


@pytest.mark.parity("prefers_cached_running_state_over_stale_terminal_summary")
def test_a_snapshot_of_an_attach_is_no_authority_on_status() -> None:
    """It may be older than the log that was sent before it."""
    mirror = folded(status("running"))
    mirror.adopt(FullStateValue(execution_status="finished"), with_status=False)
    assert mirror.status == "running"


def test_a_tool_is_open_until_its_result() -> None:
    """Every kind of result closes its own call, and an agent that does not run has none open."""
    mirror = folded(status("running"), action("a"), action("b"), action("c"))
    mirror.fold(4, event("ObservationEvent", tool_call_id="a"))
    mirror.fold(5, event("AgentErrorEvent", tool_call_id="b", error="Tool call interrupted"))
    assert mirror.tool_open
    mirror.fold(6, event("UserRejectObservation", tool_call_id="c"))
    assert not mirror.tool_open
    mirror.fold(7, action("d"))
    mirror.fold(8, status("paused"))
    assert not mirror.tool_open


def test_a_failure_keeps_the_servers_class() -> None:
    """The error event comes behind the status; a new run forgets it."""
    error = event(
        "ConversationErrorEvent",
        code="LLMRateLimitError",
        detail="slow down",
        classification={"kind": "rate_limit", "retryable": True, "user_action": "retry"},
    )
    mirror = folded(status("running"), status("error"), error)
    assert mirror.failure == AgentFailure(code="LLMRateLimitError", detail="slow down", kind="rate_limit")
    mirror.fold(3, status("running"))
    assert mirror.failure is None


def test_a_new_message_begins_with_a_clean_slate() -> None:
    """Last words and failure of an earlier turn do not leak into the next."""
    agent = event("MessageEvent", llm_message={"role": "assistant", "content": [{"type": "text", "text": "hi"}]})
    mirror = folded(agent)
    assert mirror.final_text == "hi"
    mirror.fold(1, user("more"))
    assert mirror.final_text == ""


def test_an_agent_or_a_quote_cannot_pass_for_our_message() -> None:
    """Only a user's message whose last line is the marker counts, and only the first with that key."""
    agent = event("MessageEvent", llm_message={"content": [{"type": "text", "text": marker("k")}]})
    mirror = folded(agent, user(f"look: {marker('k')} is odd"), user(marker("k")), user(marker("k")))
    assert mirror.position_of("k") == 2


@pytest.mark.parametrize("key", ["A-1#1/turn-1/send", "a b", "x-->y", "100%", "ä#1/\n"])
def test_any_key_survives_its_marker(key: str) -> None:
    """Keys are recognised whatever is in them, and never end the comment early."""
    line = marker(key)
    assert line.count("-->") == 1
    assert "\n" not in line
    assert folded(user(f"text\n\n{line}")).position_of(key) == 0


def test_keys_that_differ_stay_different() -> None:
    """Escaping maps no two keys to one."""
    assert len({key_of(marker(key)) for key in ("a b", "a%20b", "a%2520b", "a\tb")}) == 4


def test_the_tools_are_read_from_their_classes() -> None:
    """The first system event has no names, only classes."""
    tools = [
        {"kind": kind, "title": "x"} for kind in ("TerminalTool", "FileEditorTool", "TaskTrackerTool", "FinishTool")
    ]
    mirror = folded(event("SystemPromptEvent", tools=tools))
    assert mirror.tools == ("terminal", "file_editor", "task_tracker", "finish")


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b"[]",
        b'{"kind": 3}',
        b"\xff",
        b'{"kind":"MessageEvent","source":"user","llm_message":{"content":7}}',
        b'{"kind":"ActionEvent","action":[],"tool_call_id":"a"}',
        b'{"kind":"ConversationStateUpdateEvent","key":"stats","value":{"usage_to_metrics":[]}}',
        b'{"kind":"ConversationErrorEvent","classification":"odd"}',
        b'{"kind":"SystemPromptEvent","tools":{"a":1}}',
        b'{"kind":"SomethingNew","value":1}',
    ],
)
def test_an_odd_event_costs_nothing_but_itself(raw: bytes) -> None:
    """Whatever a newer server writes is counted and otherwise left alone."""
    odd = read_event(Raw(raw))
    mirror = folded(status("running"), odd, status("finished"))
    assert (mirror.last_seq, mirror.status, mirror.usage.total_tokens) == (2, "finished", 0)
    assert (message_text(odd), finish_text(odd), tool_names(odd)) == ("", None, ())


def test_what_is_kept_is_bounded() -> None:
    """Open calls, keys and texts have limits, however long a history is."""
    mirror = Mirror()
    mirror.fold(0, status("running"))
    for n in range(1_000):
        mirror.fold(n + 1, action(f"c{n}", "finish", kind="FinishAction", message="x" * 10_000))
        mirror.fold(n + 2, user(marker(f"k{n}")))
    mirror.fold(2_000, action("last", "finish", kind="FinishAction", message="x" * 10_000))
    assert len(mirror.final_text) == 4_000
    assert len(mirror._open_calls) == 256
    assert (mirror.position_of("k999") is not None, mirror.position_of("k0")) == (True, None)


def test_a_budget_is_not_blind_where_the_server_knows_no_price() -> None:
    """Each call that the server calls free counts at the prices that are in force when it is told."""
    prices = [LlmPolicy(input_cost_per_token_micros=2, output_cost_per_token_micros=20)]
    mirror = Mirror(lambda: prices[-1])
    free = {"accumulated_cost": 0.0, "accumulated_token_usage": {"prompt_tokens": 100, "completion_tokens": 10}}
    value = {"usage_to_metrics": {"agent": free}}
    assert mirror.fold(0, event("ConversationStateUpdateEvent", key="stats", value=value)) == "usage"
    assert mirror.usage.cost_micros == 400
    prices.append(LlmPolicy(input_cost_per_token_micros=3, output_cost_per_token_micros=20))
    free["accumulated_token_usage"] = {"prompt_tokens": 200, "completion_tokens": 10}
    mirror.fold(1, event("ConversationStateUpdateEvent", key="stats", value=value))
    assert mirror.usage.cost_micros == 800
