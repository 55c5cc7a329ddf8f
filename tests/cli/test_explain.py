"""`opensymphony explain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from opensymphony.cli.explain import asked_lines, budget_line, lines
from opensymphony.model import TicketId
from opensymphony.views import AskView, BudgetView, Explanation, PullRequestView, Rule, TicketView
from tests.cli.program import call, played

MINUTE_MS = 60_000
NOW_MS = 1_700_000_000_000
TOLD = Explanation(
    ticket=TicketView(
        id=TicketId("2"),
        identifier="A-2",
        title="A \x1b]0;title",
        state="Todo",
        phase="waiting_to_start",
        generation=3,
        due_ms=NOW_MS + MINUTE_MS,
        activity="ran the tests",
        last_activity_ms=NOW_MS - 5_000,
        paused=True,
        messages=2,
    ),
    sentence="it is blocked by A-1 (Todo)",
    since_ms=NOW_MS - 5 * MINUTE_MS,
    rules=(
        Rule(name="state", holds=True, text="its state is an active one"),
        Rule(name="blocker", holds=False, text="it is blocked by A-1 (Todo)", since_ms=NOW_MS - 5 * MINUTE_MS),
    ),
    budgets=(
        BudgetView(scope="ticket", unit="tokens", limit=5_000, spent=1_200, reserved=600),
        BudgetView(scope="day", unit="cost_micros", limit=5_000_000, spent=1_250_000, reserved=10_000),
    ),
    pending=("A-2#3/1/release",),
    history=("run 2: failed: it broke", "run 1: stalled: silence"),
)


def test_first_one_sentence_then_everything() -> None:
    """With since when, both as a length and as a time."""
    assert list(lines(TOLD, NOW_MS)) == [
        "A-2: it is blocked by A-1 (Todo) (for 5 min, since 2023-11-14T22:08:20Z)",
        "  A \x1b]0;title",
        "  state Todo, waiting to start, run 3, paused",
        "  the agent: ran the tests (for 5 s, since 2023-11-14T22:13:15Z)",
        "  next try at 2023-11-14T22:14:20Z",
        "  2 messages for the agent wait for its next turn",
        "",
        "conditions on starting it",
        "  ok  state    its state is an active one",
        "  NO  blocker  it is blocked by A-1 (Todo) (for 5 min, since 2023-11-14T22:08:20Z)",
        "",
        "budgets",
        "  ticket: 1,200 of 5,000 tokens spent; the next calls may take 600",
        "  day: 1.25 of 5.00 in money spent; the next calls may take 0.01",
        "",
        "being done right now",
        "  release (A-2#3/1/release)",
        "",
        "last runs, newest first",
        "  run 2: failed: it broke",
        "  run 1: stalled: silence",
    ]


def test_another_conversation_is_told_with_its_reason() -> None:
    """The one to come counts more than the one there is."""
    view = msgspec.structs.replace(TOLD.ticket, conversation_reason="its tools are none")
    said = "\n".join(lines(msgspec.structs.replace(TOLD, ticket=view), NOW_MS))
    assert "  its conversation stands in for an earlier one: its tools are none\n" in said
    view = msgspec.structs.replace(view, rehydration="somebody asked for it")
    said = "\n".join(lines(msgspec.structs.replace(TOLD, ticket=view), NOW_MS))
    assert "  its next conversation is another one: somebody asked for it\n" in said
    assert "its tools are none" not in said


def test_what_there_is_nothing_of_is_left_out() -> None:
    """A new ticket without budgets has a sentence and its conditions."""
    view = TicketView(id=TicketId("1"), identifier="A-1", title="T", state="Todo", phase="closed")
    bare = Explanation(ticket=view, sentence="it is closed", since_ms=0)
    assert list(lines(bare, NOW_MS)) == [
        "A-1: it is closed",
        "  T",
        "  state Todo, closed",
        "",
        "conditions on starting it",
    ]
    assert budget_line(TOLD.budgets[0]).startswith("ticket: ")


def test_control_characters_of_others_are_shown_not_obeyed(here: Path) -> None:
    """A title cannot write to the terminal; `--json` is the explanation itself."""
    with played(here, 200, TOLD) as asked:
        said = call("explain", "A-2")
        document = json.loads(call("explain", "A-2", "--json").out)
    assert (said.code, said.err) == (0, "")
    assert "\x1b" not in said.out
    assert asked[0][0] == "/api/v1/issues/A-2"
    assert msgspec.convert(document, Explanation) == TOLD


@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (200, b"<html>"), (404, b"<html>")])
def test_trouble_is_one_line(status: int, body: bytes, here: Path) -> None:
    """Exit code 1, nothing on standard output."""
    with played(here, status, body):
        said = call("explain", "A-2")
    assert (said.code, said.out, len(said.lines)) == (1, "", 1)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("question", ["asks: Which colour? / - red", 'answer with: opensymphony message A-1 "..." (for 1 min more)']),
        (
            "approval",
            [
                "wants to: Which colour? / - red",
                "answer with: opensymphony approve A-1 --digest 3f3f3f3f3f3f, or reject A-1 --reason ... (for 1 min more)",
            ],
        ),
    ],
)
def test_what_the_agent_wants_is_told_with_its_answer(kind: Any, told: list[str]) -> None:
    """In `status` and in `explain`, shortened, with the command and how long it can be given."""
    asked = AskView(kind=kind, text="Which colour?\n\n- red\n", digest="3f" * 32, asked_ms=1, expires_ms=61_000)
    view = TicketView(
        id=TicketId("1"), identifier="A-1", title="T", state="Todo", phase="needs_person", reason="it asks", asked=asked
    )
    assert asked_lines(view, 1_000) == told
    long = msgspec.structs.replace(view, asked=msgspec.structs.replace(asked, text="x" * 5_000))
    first, last = asked_lines(long, 61_000)
    assert len(first) < 400
    assert last.endswith("(no more)")
    assert asked_lines(msgspec.structs.replace(view, asked=None), 1) == []


def test_a_pull_request_and_its_review_are_told() -> None:
    """Where it is, how often it went back, what waits, and when it starts again."""
    pull = PullRequestView(
        id="7",
        url="https://host/7",
        state="open",
        rounds=2,
        open_threads=1,
        starts_ms=1_800_000_000_000,
        unmerged="0 of 1 approval of its newest commit",
    )
    told = list(lines(msgspec.structs.replace(TOLD, ticket=msgspec.structs.replace(TOLD.ticket, pull_request=pull)), 0))
    assert "  pull request https://host/7: open, 2 rounds of review" in told
    assert "  1 thread of its review waits for an answer" in told
    assert "  not merged yet: 0 of 1 approval of its newest commit" in told
    assert any(line.startswith("  its review starts it again at 2027-01-15T") for line in told)
