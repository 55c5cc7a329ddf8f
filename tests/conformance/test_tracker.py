"""The tracker: rows T1-T4, T6, T7, T9-T12 and D6."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conformance.test_running import hold
from tests.conformance.world import World

PAGE = Path(__file__).parents[2] / "docs" / "services" / "files.md"


def would_start(world: World) -> dict[str, bool]:
    said = world.command("run", "--dry-run", "--json")
    return {one["identifier"]: one["would_start"] for one in json.loads(said.out or "[]")}


def test_T1_scope_and_states(here: World) -> None:
    """Only tickets of this folder in an active state are candidates: not those of a folder inside, nor other files."""
    here.ticket("T1", "todo")
    here.ticket("T1-DONE", "Done")
    here.ticket("T1-LATER", "Backlog")
    (here.board / "deeper").mkdir()
    (here.board / "deeper" / "T1-DEEP.md").write_text("---\ntitle: Deep\nstate: Todo\n---\n")
    (here.board / "README.md").write_text("Not a ticket.\n")
    assert would_start(here) == {"T1": True}


def test_T2_no_states_no_search(here: World) -> None:
    """Without active states nothing is ever a candidate, and it is said."""
    here.ticket("T2")
    here.configure(tracker={"active_states": []})
    said = here.command("run", "--dry-run", "--json")
    assert json.loads(said.out or "[]") == []
    assert "[no_active_states]" in said.err


def test_T3_nothing_known_nothing_refreshed(here: World) -> None:
    """While no ticket is known, a folder full of closed ones costs no more than the search: none is ever shown."""
    for number in range(5):
        here.ticket(f"T3-{number}", "Done")
    here.start()
    here.polled(3)
    assert here.snapshot()["tickets"] == []


def test_T4_many_tickets_keep_their_order(here: World) -> None:
    """Three hundred tickets are one list in one order, and none is left out."""
    names = [f"T4-{number:03}" for number in range(300)]
    for name in reversed(names):
        here.ticket(name)
    said = here.command("run", "--dry-run", "--json")
    assert [one["identifier"] for one in json.loads(said.out)] == names


def test_T6_odd_values_are_nothing(patient: World) -> None:
    """A ticket whose optional values make no sense is worked on without them, and each is reported."""
    text = "---\ntitle: Odd\nstate: Todo\npriority: high\ncreated: xx\nlabels:\nassignee: [5]\n---\n"
    (patient.board / "T6.md").write_text(text)
    view = patient.until_phase("T6", "in_review")
    assert (view["priority"], view["labels"]) == (None, [])


def test_T7_a_malformed_ticket(patient: World) -> None:
    """In the list it is left out and reported; when it is being worked on, its run goes on until it can be read."""
    hold(patient, "T7")
    good = (patient.board / "T7.md").read_text()
    (patient.board / "T7.md").write_text("---\nstate: Todo\n---\nThe title is gone.\n")
    (patient.board / "T7-BAD.md").write_text("---\nstate: Todo\n---\n")
    patient.ticket("T7-GOOD")
    patient.until_phase("T7-GOOD", "in_review")
    patient.polled(2)
    problems = patient.snapshot()["problems"]
    assert any("T7-BAD.md" in one for one in problems)
    assert any("T7.md" in one for one in problems)
    assert (patient.agents / "T7.lock").exists()
    (patient.board / "T7-BAD.md").unlink()
    (patient.board / "T7.md").write_text(good)
    patient.release("go-T7")
    patient.until_phase("T7", "in_review")
    assert len(patient.seen("begin", "T7")) == 1


def test_T9_what_only_the_tracker_knows(here: World) -> None:
    """The tracker's own reference can be used in the prompt: for a folder it is the name of the file."""
    here.configure("file={{ issue.native_ref.file }}")
    here.ticket("T9")
    here.start()
    here.until_phase("T9", "in_review")
    assert "file=T9.md" in here.texts("T9")[0]


def test_T10_blocked_tickets_are_shown_and_not_started(here: World) -> None:
    """A blocker that is not done, or that nobody knows, blocks; the ticket is looked at all the same."""
    here.ticket("T10-FIRST", "Backlog")
    here.ticket("T10-SECOND", blocked_by=["T10-FIRST"])
    here.ticket("T10-THIRD", blocked_by=["T10-UNKNOWN"])
    here.ticket("T10-FREE")
    assert would_start(here) == {"T10-FREE": True, "T10-SECOND": False, "T10-THIRD": False}


def test_T11_each_tracker_has_its_page() -> None:
    """docs/services has keys, values, errors, limits and what is not supported, for each kind there is."""
    page = PAGE.read_text()
    for word in ("`path`", "`issue.state`", "`issue.native_ref", "## Errors", "## Limits", "paging", "tool"):
        assert word in page, word


def test_T12_trouble_with_the_tracker(here: World) -> None:
    """A board that is not there is trouble, not an empty board: agents work on, it is told, and the next poll mends it."""
    here.start()
    hold(here, "T12")
    here.board.rename(here.root / "away")
    error = here.until("the trouble is told", lambda: here.snapshot()["poll_error"])
    assert str(here.board) in error
    assert (here.agents / "T12.lock").exists()
    assert here.row("running", "T12")
    assert here.log(event="poll failed")
    (here.root / "away").rename(here.board)
    here.until("it is over", lambda: here.snapshot()["poll_error"] is None)
    here.release("go-T12")
    here.until_phase("T12", "in_review")
    assert len(here.seen("begin", "T12")) == 1


def test_D6_search_and_refresh(patient: World) -> None:
    """A ticket comes by the search for active ones; that it left them is seen by looking at the ticket itself."""
    hold(patient, "D6")
    patient.move("D6", "Somewhere else")
    patient.until("its new state", lambda: patient.view("D6").get("state") == "Somewhere else")
    patient.until("stopped", lambda: not patient.row("running", "D6"))
