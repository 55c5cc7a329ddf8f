"""The wire as we read it: sums, names, and answers of a newer server."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import Raw

from opensymphony import logs
from opensymphony.agents.openhands.messages import (
    ConversationInfo,
    Event,
    EventPage,
    Frame,
    Metrics,
    Stats,
    TokenUsage,
    finish_text,
    message_text,
    read,
    read_event,
    to_failure,
    to_status,
    to_usage,
    tool_names,
)
from opensymphony.model import AgentFailure, Usage
from opensymphony.workflow.policy import LlmPolicy


def test_an_unknown_status_is_unknown() -> None:
    """A status of a newer server has a name with us."""
    assert [to_status(value) for value in ("stuck", "dreaming", "unknown", "")] == ["stuck"] + ["unknown"] * 3


def test_usage_of_both_forms_is_read() -> None:
    """The full form tells the number of calls, the compact one does not; a cost is rounded to micro-units."""
    tokens = {"prompt_tokens": 3, "completion_tokens": 4, "cache_read_tokens": 1, "reasoning_tokens": 2}
    full = {"accumulated_cost": 0.0000014, "accumulated_token_usage": tokens, "token_usages": [{}, {}]}
    stats = read(
        json.dumps({"usage_to_metrics": {"agent": full, "idle": {"accumulated_token_usage": None}}}).encode(), Stats
    )
    assert stats is not None
    assert to_usage(stats) == Usage(
        prompt_tokens=3, completion_tokens=4, cache_read_tokens=1, reasoning_tokens=2, cost_micros=1, model_calls=2
    )
    assert to_usage(Stats()) == Usage()


def test_fields_of_a_newer_server_are_passed_over() -> None:
    """At every level, and what is not there has a default."""
    page = msgspec.json.decode(b'{"items": [{"kind": "New", "x": 1}], "total": 1}', type=EventPage)
    info = msgspec.json.decode(
        b'{"id": "c", "agent": {"tools": [{"name": "t", "params": {}}]}, "y": 2}', type=ConversationInfo
    )
    assert (page.items[0].kind, page.next_page_id, info.agent.tools[0].name) == ("New", None, "t")
    assert info.workspace.working_dir == ""


def test_the_text_of_a_message_is_its_text_parts() -> None:
    """Images and unknown parts have none."""
    parts = [{"type": "text", "text": "a"}, {"type": "image", "image_urls": ["x"]}, {"type": "text", "text": "b"}]
    event = Event(kind="MessageEvent", llm_message=Raw(json.dumps({"content": parts}).encode()))
    assert message_text(event) == "a\nb"


def test_only_a_finish_action_has_last_words() -> None:
    """Another tool's `message` argument is not the agent's end."""
    finish = Event(kind="ActionEvent", action=Raw(b'{"kind": "FinishAction", "message": "done"}'))
    other = Event(kind="ActionEvent", action=Raw(b'{"kind": "MailAction", "message": "hi"}'))
    assert (finish_text(finish), finish_text(other), finish_text(Event(kind="ActionEvent"))) == ("done", None, None)


def test_a_failure_without_a_class_may_be_tried_again() -> None:
    """A server that does not classify gets the harmless defaults; an endless detail is cut."""
    assert to_failure(Event(kind="ConversationErrorEvent", detail="x" * 9_000)) == AgentFailure(
        code="unknown", detail="x" * 2_000, kind="unknown", retryable=True
    )


def test_a_key_in_a_provider_s_words_is_not_cut_in_two() -> None:
    """Its first half would not be known as a secret."""
    logs.know_secret("canary-of-the-provider")
    try:
        told = to_failure(Event(kind="ConversationErrorEvent", detail="x" * 1_990 + "canary-of-the-provider"))
    finally:
        logs.forget_secret("canary-of-the-provider")
    assert "canary" not in told.detail


def test_tool_classes_become_names() -> None:
    """Humps become underscores, the ending goes."""
    tools = Raw(b'[{"kind": "TaskTrackerTool"}, {"kind": "MCPToolDefinition"}, {"kind": "GrepTool", "title": null}]')
    assert tool_names(Event(kind="SystemPromptEvent", tools=tools)) == ("task_tracker", "mcptool_definition", "grep")


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'"text"', b'{"type": 3}', b"\xff\xfe", b'{"type": "durable", "seq": "1"}']
)
def test_what_is_no_frame_is_none(raw: bytes) -> None:
    """Garbage is an answer, never an exception."""
    assert read(raw, Frame) is None
    assert read_event(Raw(raw)).kind == "unreadable"


def test_what_a_server_calls_free_costs_its_tokens() -> None:
    """It does not know the model's price: then ours counts, for each usage id by itself; a cost that it knows is right."""
    tokens = TokenUsage(prompt_tokens=1_000, completion_tokens=100)
    stats = Stats(
        usage_to_metrics={
            "agent": Metrics(accumulated_cost=0.0, accumulated_token_usage=tokens),
            "condenser": Metrics(accumulated_cost=0.5, accumulated_token_usage=tokens),
        }
    )
    prices = LlmPolicy(input_cost_per_token_micros=2.5, output_cost_per_token_micros=10)
    assert to_usage(stats, prices).cost_micros == 2_500 + 1_000 + 500_000
    assert to_usage(stats).cost_micros == to_usage(stats, LlmPolicy()).cost_micros == 500_000
