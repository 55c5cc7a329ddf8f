"""One daemon with room for all: what happens to tickets that are worked on (O2, O4-O7, O11, O14, O15, V2, V4-V6, W14, ...)."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket

from tests.conformance.world import World


def hold(world: World, name: str, **head: object) -> None:
    """A ticket whose agent works until it is stopped or released."""
    world.script(name, {"hold": f"go-{name}"})
    world.ticket(name, **head)
    world.begun(name)


def is_at_work(world: World, name: str) -> bool:
    """Whether an agent works on the ticket right now."""
    return (world.agents / f"{name}.lock").exists()


def test_O2_a_ticket_that_is_not_offered_never_runs(patient: World) -> None:
    """A blocked ticket is not started over three polls; when its blocker is done it is."""
    hold(patient, "O2-BLOCKER")
    patient.ticket("O2", blocked_by=["O2-BLOCKER"])
    patient.polled(3)
    assert "O2-BLOCKER" in patient.view("O2")["reason"]
    assert patient.seen("begin", "O2") == []
    patient.move("O2-BLOCKER", "Done")
    assert len(patient.begun("O2")) == 1


def test_O4_a_change_within_the_active_states(patient: World) -> None:
    """The row of a run shows the new state, and the run goes on undisturbed."""
    hold(patient, "O4")
    assert patient.row("running", "O4")["state"] == "Todo"
    patient.move("O4", "In Progress")
    patient.until("the new state", lambda: patient.row("running", "O4")["state"] == "In Progress")
    assert is_at_work(patient, "O4")
    assert len(patient.seen("begin", "O4")) == 1


def test_O5_a_ticket_that_is_not_active_any_more(patient: World) -> None:
    """Its agent is stopped, its workspace stays, and nothing is tried again."""
    hold(patient, "O5")
    patient.move("O5", "Human Review")
    patient.until("stopped", lambda: not patient.row("running", "O5"))
    assert not is_at_work(patient, "O5")
    assert (patient.workspaces / "O5").is_dir()
    assert not patient.row("retrying", "O5")
    patient.polled(2)
    assert len(patient.seen("begin", "O5")) == 1


def test_O6_a_ticket_that_is_closed(patient: World) -> None:
    """Its agent is stopped first, then `before_remove` runs, then the workspace goes."""
    patient.hook("before_remove", "O6", f"[ ! -e {patient.agents}/O6.lock ] || touch {patient.root}/O6.alive\n")
    hold(patient, "O6")
    patient.move("O6", "Done")
    patient.until("removed", lambda: not (patient.workspaces / "O6").exists())
    assert patient.hooked("before_remove", "O6") == [str(patient.workspaces / "O6")]
    assert not (patient.root / "O6.alive").exists()
    patient.until("closed", lambda: patient.view("O6")["phase"] == "closed")
    state = patient.state()
    assert not [one for kind in ("running", "retrying", "blocked") for one in state[kind] if one["issue_id"] == "O6"]
    status, told = patient.request("GET", "/api/v1/issues/O6")
    assert (status, told["ticket"]["phase"]) == (200, "closed")


def test_D15_a_ticket_that_vanished(patient: World) -> None:
    """A ticket that is not there any more is stopped; its workspace stays, because nobody said that it is done."""
    hold(patient, "D15")
    (patient.board / "D15.md").unlink()
    patient.until("stopped", lambda: not is_at_work(patient, "D15") and not patient.row("running", "D15"))
    assert (patient.workspaces / "D15").is_dir()
    assert patient.hooked("before_remove", "D15") == []


def test_O11_what_a_retry_tells(patient: World) -> None:
    """The row of a ticket that waits for its next try has attempt, due time, identifier, error and address."""
    patient.script("O11", {"status": "error", "failure": {"code": "Oops", "detail": "it broke"}})
    patient.ticket("O11")
    patient.until_phase("O11", "retrying")
    row = patient.row("retrying", "O11")
    assert row["attempt"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", row["due_at"])
    assert "Oops: it broke" in row["error"]
    assert "issue_url" in row


def test_O14_the_state(patient: World) -> None:
    """Rows of running, retrying and blocked tickets, totals of tokens and time, and the place of rate limits."""
    hold(patient, "O14")
    row = patient.until("its usage", lambda: (r := patient.row("running", "O14"))["tokens"]["total_tokens"] and r)
    state = patient.state()
    assert row["tokens"] == {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
    assert row["turn_count"] == 1
    assert row["session_id"]
    assert state["counts"]["running"] == len(state["running"]) >= 1
    assert state["counts"]["retrying"] == len(state["retrying"])
    assert state["codex_totals"]["total_tokens"] >= 110
    assert {"generated_at", "rate_limits", "blocked"} <= state.keys()


def test_O15_the_state_is_told_while_the_tracker_hangs(patient: World) -> None:
    """Somebody else has the board's lock, so that every call on it waits; the daemon answers all the same."""
    patient.script("O15", {"says": "finished"})
    folder = os.open(patient.board, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        patient.ticket("O15")
        patient.until("it wants to claim", lambda: patient.view("O15").get("stage") == "claiming")
        for _ in range(3):
            assert patient.row("running", "O15")["last_event"] == "claiming"
    finally:
        os.close(folder)
    patient.until_phase("O15", "in_review")


def test_V2_lines_of_the_log_say_whose_they_are(patient: World) -> None:
    """Each line about a ticket names it, and the run by its number; on the terminal and, as JSON, in the file."""
    patient.ticket("V2")
    patient.until("its end", lambda: [one for one in patient.log(issue_identifier="V2") if "outcome" in one])
    lines = patient.log(issue_identifier="V2")
    assert {line["run"] for line in lines} == {1}
    assert [line["outcome"] for line in lines if "outcome" in line] == ["succeeded"]
    shown = [line.split() for line in patient.told().splitlines() if "issue_identifier=V2" in line.split()]
    assert len(shown) == len(lines)
    assert all("run=1" in line for line in shown)


def test_D17_the_log_follows_a_ticket(patient: World) -> None:
    """All stages of a run are found by the ticket's identifier."""
    patient.ticket("D17")
    patient.until_phase("D17", "in_review")
    stages = [line["stage"] for line in patient.log(issue_identifier="D17") if "stage" in line]
    assert stages == ["preparing", "before_run", "opening", "working", "after_run"]


def test_V4_totals_that_are_told_again(patient: World) -> None:
    """The agent tells the same total twice and goes on in a second run; each call counts once."""
    call, nothing = {"prompt_tokens": 50, "completion_tokens": 5}, {"prompt_tokens": 0, "completion_tokens": 0}
    patient.script("V4", {"calls": [call, nothing, nothing]}, {"calls": [call, call]})
    patient.ticket("V4")
    patient.until_phase("V4", "in_review")
    assert patient.view("V4")["usage"]["prompt_tokens"] == 50
    patient.move("V4", "In Progress")
    patient.begun("V4", 2)
    patient.until_phase("V4", "in_review")
    usage = patient.view("V4")["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (150, 15)


def test_V5_nonsense_at_the_interface_changes_nothing(patient: World) -> None:
    """Bad requests, and one that never ends, leave the work on tickets alone."""
    address = json.loads((patient.store / "daemon.json").read_text())
    with socket.create_connection((address["host"], address["port"])) as never_ends:
        never_ends.sendall(b"POST /api/v1/refresh HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\n{")
        with socket.create_connection((address["host"], address["port"])) as garbage:
            garbage.sendall(b"\x00\xff not HTTP at all\r\n\r\n")
        assert patient.request("GET", "/api/v1/nothing/there")[0] == 404
        assert patient.request("DELETE", "/api/v1/state")[0] == 405
        patient.ticket("V5")
        patient.until_phase("V5", "in_review")


def test_V6_what_an_agent_did_is_told_for_people(patient: World) -> None:
    """The last activity is one printable line, whatever the agent's command was."""
    patient.script("V6", {"run": ["printf 'one\\033[31m\\ntwo'", "true '\x1b[31m\nred'"], "hold": "go-V6"})
    patient.ticket("V6")
    told = patient.until("its activity", lambda: patient.row("running", "V6").get("last_message"))
    assert told == " ".join(told.split())
    text = patient.command("status").out
    assert "\x1b" not in text
    assert "V6" in text


def test_D18_operators_see_what_goes_on(patient: World) -> None:
    """`status` shows the tickets with their reasons, and its JSON is the same picture as the interface's."""
    hold(patient, "D18")
    assert "D18" in patient.command("status").out
    document = json.loads(patient.command("status", "--json").out)
    assert {one["identifier"] for one in document["tickets"]} >= {"D18"}
    assert document["instance"] == patient.snapshot()["instance"]


def test_O7_polls_without_runs_do_nothing(here: World) -> None:
    """An empty board: polls go on, nothing is started, nothing is reported."""
    here.start()
    here.polled(3)
    snapshot = here.snapshot()
    assert snapshot["tickets"] == []
    assert snapshot["poll_error"] is None
    assert here.seen("create") == []


def test_W14_the_prompt_knows_ticket_and_attempt(here: World) -> None:
    """Every field can be used; `attempt` is empty at first and a number in the next run."""
    here.configure(
        "id={{ issue.id }} {{ issue.identifier }} {{ issue.title }} {{ issue.description }} state={{ issue.state }} "
        "priority={{ issue.priority }} url={{ issue.url }} branch={{ issue.branch_name }} who={{ issue.assignee_id }} "
        "labels={% for label in issue.labels %}<{{ label }}>{% endfor %} "
        "blockers={% for one in issue.blocked_by %}<{{ one.identifier }} {{ one.state }}>{% endfor %} "
        "at={{ issue.created_at }} attempt=[{{ attempt }}]",
        agent={"retry_backoff_ms": 1},
        openhands={"conversation": {"reuse_policy": "fresh_each_run"}},
    )
    here.ticket("W14-OLD", "Done")
    here.ticket("W14", priority=2, labels=["One", "two"], assignee="ann", blocked_by=["W14-OLD"], created="2026-01-02")
    here.script("W14", {"status": "error", "failure": {"code": "Oops", "detail": "once more"}})
    here.start()
    texts = [one["text"] for one in here.begun("W14", 2)]
    told = "id=W14 W14 Title of W14 What to do. state=Todo priority=2 url= branch= who=ann labels=<one><two> "
    assert f"{told}blockers=<W14-OLD Done> at=2026-01-02T00:00:00+00:00 attempt=[" in texts[0]
    assert "attempt=[]" in texts[0]
    assert re.search(r"attempt=\[\d+\]", texts[1])


def test_C5_a_normal_end(here: World) -> None:
    """SIGTERM: agents and what they started are gone, `after_run` ran, the exit code is 0, and the work goes on next time."""
    record = here.root / "after"
    here.configure(hooks={"after_run": f"echo $OPENSYMPHONY_IDENTIFIER >> {record}"})
    here.script("C5", {"run": [f"setsid sleep 300 & touch {here.root}/started; sleep 300"]})
    here.ticket("C5")
    here.start()
    here.until("the agent's command", lambda: (here.root / "started").exists())
    assert here.stop() == 0
    assert record.read_text().split() == ["C5"]
    assert here.processes() == []
    here.script("C5", {})
    here.start()
    here.until_phase("C5", "in_review")


def test_C6_an_end_that_is_not_normal(here: World) -> None:
    """A second signal cuts the rest short and says so with its exit code; an agent-server that never starts is not 0 either."""
    here.configure(hooks={"after_run": "sleep 60"})
    here.script("C6", {"hold": "never"})
    here.ticket("C6")
    here.start()
    here.begun("C6")
    assert here.process is not None
    here.process.terminate()
    here.until("it drains", lambda: here.snapshot()["status"] == "draining" or here.log(signal="SIGTERM"))
    here.process.terminate()
    assert here.process.wait(30) == 130, here.told()[-3000:]
    assert here.processes() == []
    python = here.root / "tools" / "current" / "bin" / "python"
    size = python.stat().st_size
    python.write_text("#!/bin/sh\nexit 1\n".ljust(size, "#"))
    here.start(wait=False)
    assert here.process.wait(30) == 4
    assert "agent-server" in here.told()


def test_X3_a_retry_survives_a_crash(here: World) -> None:
    """kill -9 while one retry is pending: after the next start it has the same attempt and the same due time."""
    here.script("X3", {"status": "error", "failure": {"code": "Oops", "detail": "later"}})
    here.ticket("X3")
    here.start()
    here.until_phase("X3", "retrying")
    before = here.row("retrying", "X3")
    here.kill()
    here.start()
    here.polled(2)
    assert here.row("retrying", "X3") == before
    assert len(here.seen("begin", "X3")) == 1


def test_D16_the_workspaces_of_closed_tickets_go_at_the_start(here: World) -> None:
    """A ticket that was closed while the daemon was down loses its workspace at the start, and no other does."""
    for name in ("D16-A", "D16-B"):
        here.ticket(name)
    here.start()
    for name in ("D16-A", "D16-B"):
        here.until_phase(name, "in_review")
    assert here.stop() == 0
    here.move("D16-A", "Done")
    (here.workspaces / "stranger").mkdir()
    here.start()
    here.until("removed", lambda: not (here.workspaces / "D16-A").exists())
    here.polled()
    assert (here.workspaces / "D16-B").is_dir()
    assert (here.workspaces / "stranger").is_dir()
