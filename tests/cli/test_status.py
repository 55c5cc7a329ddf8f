"""`opensymphony status`."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from opensymphony.api.client import ADDRESS_FILE
from opensymphony.cli.status import lines
from opensymphony.model import ServerState, TicketId, TrackerState, Usage
from opensymphony.views import AskView, BudgetView, Overlap, PullRequestView, Snapshot, TicketView
from tests.api.test_client import answering
from tests.cli.program import call, write_workflow

SNAPSHOT = Snapshot(
    sequence=1,
    at_ms=2,
    instance="one",
    status="running",
    server=ServerState(status="ready", base_url="http://127.0.0.1:8000"),
    tickets=(
        TicketView(
            id=TicketId("1"),
            identifier="A-1",
            title="A title",
            state="In Progress",
            phase="needs_person",
            reason="which\x1b[31m way?",
            turns=2,
            usage=Usage(prompt_tokens=1_200, completion_tokens=34),
            branch="opensymphony/A-1",
            commit="c" * 40,
        ),
    ),
    storage_error="the disk is full",
    poll_error="the board is away",
    policy_error="line 3",
    problems=("board/X.md:2: no title",),
)


@pytest.fixture
def store(here: Path) -> Path:
    write_workflow(here)
    (here / "opensymphony.toml").write_text('[store]\ndirectory = "store"\n')
    (here / "store").mkdir()
    return here / "store"


def test_without_a_daemon_it_says_how_to_start_one(store: Path) -> None:
    """Exit code 1, one line, nothing on standard output."""
    said = call("status")
    assert (said.code, said.out) == (1, "")
    assert said.lines == [f"opensymphony: no daemon is running on the store {store}: start one with `opensymphony run`"]


def test_what_does_not_answer_is_no_daemon(store: Path, tmp_path: Path) -> None:
    """The address of a killed daemon, and another program at it."""
    for body in (None, b"<html>"):
        with answering(200, body or b"", tmp_path) as (address, _):
            (store / ADDRESS_FILE).write_bytes(msgspec.json.encode(address))
            if body is not None:
                said = call("status")
        if body is None:
            said = call("status")
        assert (said.code, said.out, len(said.lines)) == (1, "", 1)
        assert said.lines[0].startswith("opensymphony: ")


def test_the_picture_is_a_line_for_each_thing(store: Path, tmp_path: Path) -> None:
    """What is in the way first, then every ticket with its reason; control characters of others are shown, not obeyed."""
    with answering(200, msgspec.json.encode(SNAPSHOT), tmp_path) as (address, _):
        (store / ADDRESS_FILE).write_bytes(msgspec.json.encode(address))
        said = call("status")
        document = json.loads(call("status", "--json").out)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "daemon running (one); agent-server ready at http://127.0.0.1:8000",
        "nothing new starts: the disk is full",
        "the tracker cannot be read: the board is away",
        "the newest WORKFLOW.md is not in force: line 3",
        "ticket problem: board/X.md:2: no title",
        (
            "A-1          needs person      In Progress  which\\x1b[31m way?; turns 2, tokens 1,234; "
            "branch opensymphony/A-1; commit cccccccccccc"
        ),
    ]
    assert msgspec.convert(document, Snapshot) == SNAPSHOT


def test_trouble_says_since_when_and_what_comes() -> None:
    """The board's trouble with the next look, the bad WORKFLOW.md with its moment."""
    at_ms = 1_700_000_000_000
    troubled = msgspec.structs.replace(
        SNAPSHOT,
        at_ms=at_ms,
        poll_error_since_ms=at_ms - 3_600_000,
        next_poll_ms=at_ms + 60_000,
        policy_error_since_ms=at_ms - 61_000,
        storage_error=None,
    )
    assert lines(troubled)[1:3] == [
        "the tracker cannot be read (for 1 h 0 min): the board is away; next look in 1 min",
        "the newest WORKFLOW.md is not in force (for 1 min): line 3",
    ]


def test_what_an_operator_decided_and_what_is_in_the_way_is_shown() -> None:
    """Pauses, trouble with the disk, outages with since when, the day's budget, messages that wait."""
    [one] = SNAPSHOT.tickets
    busy = msgspec.structs.replace(
        SNAPSHOT,
        at_ms=10_000_000,
        paused=True,
        paused_since_ms=10_000_000 - 300_000,
        storage_error="the journal cannot be written",
        poll_error_since_ms=10_000_000 - 60_000,
        day="2026-01-31",
        budgets=(
            BudgetView(scope="day", unit="tokens", limit=5_000, spent=1_200, reserved=600),
            BudgetView(scope="project", unit="cost_micros", limit=5_000_000, spent=1_250_000, reserved=0),
        ),
        tickets=(
            msgspec.structs.replace(one, paused=True, messages=1, turns=0, branch=None, commit=None, reason="why"),
            msgspec.structs.replace(one, paused=True, messages=2, turns=0, branch=None, commit=None, reason="paused"),
        ),
    )
    assert lines(busy)[1:] == [
        "everything is paused (for 5 min): `opensymphony resume --all` goes on",
        "nothing new starts: the journal cannot be written",
        "the tracker cannot be read (for 1 min): the board is away",
        "the newest WORKFLOW.md is not in force: line 3",
        "ticket problem: board/X.md:2: no title",
        "budget of the day (2026-01-31): 1,200 of 5,000 tokens spent; the next calls may take 600",
        "budget of the project: 1.25 of 5.00 in money spent; the next calls may take 0.00",
        "A-1          needs person      In Progress  why; paused by an operator; 1 message for the agent",
        "A-1          needs person      In Progress  paused; 2 messages for the agent",
    ]


def test_an_empty_board_says_so() -> None:
    """Not nothing at all."""
    empty = msgspec.structs.replace(
        SNAPSHOT, tickets=(), storage_error=None, poll_error=None, policy_error=None, problems=()
    )
    assert lines(empty)[1:] == ["no ticket is known"]


def test_the_store_is_found_although_the_workflow_is_bad(store: Path, tmp_path: Path) -> None:
    """A person who has just broken WORKFLOW.md still sees what runs."""
    (store.parent / "WORKFLOW.md").write_text("---\ntracker: [\n---\n")
    with answering(200, msgspec.json.encode(SNAPSHOT), tmp_path) as (address, _):
        (store / ADDRESS_FILE).write_bytes(msgspec.json.encode(address))
        assert call("status").code == 0


def test_what_an_agent_wants_stands_below_its_ticket() -> None:
    """With the command that answers it."""
    asked = AskView(kind="question", text="Which colour?", digest="3f" * 32, asked_ms=1, expires_ms=60_002)
    ticket = msgspec.structs.replace(SNAPSHOT.tickets[0], asked=asked)
    shown = lines(msgspec.structs.replace(SNAPSHOT, tickets=(ticket,)))
    assert [line.strip() for line in shown[-2:]] == [
        "asks: Which colour?",
        'answer with: opensymphony message A-1 "..." (for 1 min more)',
    ]


def test_each_of_several_servers_has_a_line() -> None:
    """Behind that of the daemon, which tells of the worst."""
    servers = (
        ServerState(status="ready", base_url="http://127.0.0.1:8000"),
        ServerState(status="restarting", detail="it died"),
    )
    fleet = ServerState(status="restarting", detail="1 of 2 servers are ready", servers=servers)
    assert lines(msgspec.structs.replace(SNAPSHOT, server=fleet))[:3] == [
        "daemon running (one); agent-server restarting 1 of 2 servers are ready",
        "server 1: ready at http://127.0.0.1:8000",
        "server 2: restarting it died",
    ]


def test_what_the_tracker_was_asked_has_a_line() -> None:
    """With what it lets us ask; nothing for one without limits."""
    used = TrackerState(requests=1_234, refused=2, remaining=37, paused_until_ms=SNAPSHOT.at_ms + 12_000)
    told = lines(msgspec.structs.replace(SNAPSHOT, tracker=used))
    assert (
        "tracker: 1,234 requests since the start, 2 of them refused for being too many, 37 left by its own count, "
        "it asked for a pause of 12 s more" in told
    )
    told = lines(msgspec.structs.replace(SNAPSHOT, tracker=TrackerState(requests=1)))
    assert "tracker: 1 request since the start" in told


def test_pull_requests_and_what_they_share_have_lines() -> None:
    """The code host's traffic and trouble, and tickets that change the same files."""
    pull = PullRequestView(id="7", url="https://host/7", state="open")
    shown = msgspec.structs.replace(
        SNAPSHOT,
        code_host=TrackerState(requests=3),
        code_host_error="bitbucket: it does not answer",
        overlaps=(Overlap(tickets=("A-1", "B-1"), files=("a.py", "b.py"), more=3),),
        tickets=(msgspec.structs.replace(SNAPSHOT.tickets[0], pull_request=pull),),
    )
    told = lines(shown)
    assert "code host: 3 requests since the start" in told
    assert "pull requests cannot be read: bitbucket: it does not answer" in told
    assert "overlap: A-1 and B-1 both change a.py, b.py and 3 more" in told
    assert told[-1].endswith("pull request https://host/7 (open)")
