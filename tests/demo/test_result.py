"""The demo's JSON document."""

from __future__ import annotations

from pathlib import Path

import msgspec

from opensymphony.demo.result import result
from tests.demo.snapshots import BRANCH_COMMIT, files, reviewed, snapshot, view, working

TICKET_KEYS = ["identifier", "state", "branch", "commit", "attempts", "turns", "verified", "test", "tokens", "seconds"]


def test_document_has_the_promised_shape(tmp_path: Path) -> None:
    """Exactly the documented keys; every ticket of the board in the board's order; plain JSON."""
    found = result(snapshot(reviewed(2, attempts=2, turns=2), reviewed(1)), files(tmp_path), 41.26)
    document = msgspec.json.decode(msgspec.json.encode(found))
    assert list(document) == ["tickets", "seconds", "directory"]
    assert [list(ticket) for ticket in document["tickets"]] == [TICKET_KEYS] * 4
    assert [ticket["identifier"] for ticket in document["tickets"]] == ["DEMO-1", "DEMO-2", "DEMO-3", "DEMO-4"]
    assert (document["seconds"], document["directory"]) == (41.3, str(tmp_path))
    assert document["tickets"][1] == {
        "identifier": "DEMO-2",
        "state": "In Review",
        "branch": "opensymphony/DEMO-2",
        "commit": BRANCH_COMMIT,
        "attempts": 2,
        "turns": 2,
        "verified": True,
        "test": "python3 -m unittest tests.test_demo_2",
        "tokens": 8345,
        "seconds": 9.5,
    }


def test_unfinished_and_missing_tickets_are_told_as_they_are(tmp_path: Path) -> None:
    """A ticket that never started, one at work and one that the daemon never saw are entries too, not verified."""
    tickets = result(snapshot(view(1), working(2, "reading")), files(tmp_path), 1)["tickets"]
    assert isinstance(tickets, list)
    never, at_work, unseen, _ = tickets
    assert (never["state"], never["verified"], never["seconds"], never["commit"]) == ("Todo", False, None, None)
    assert (at_work["verified"], at_work["seconds"]) == (False, 30.0)
    assert (unseen["identifier"], unseen["state"], unseen["turns"]) == ("DEMO-3", None, 0)


def test_ticket_that_a_person_added_is_listed_without_a_test(tmp_path: Path) -> None:
    """What stands on the board beyond the demo's own tickets comes last."""
    tickets = result(snapshot(view(1, identifier="MINE-1")), files(tmp_path), 1)["tickets"]
    assert isinstance(tickets, list)
    assert (tickets[-1]["identifier"], tickets[-1]["test"]) == ("MINE-1", None)
