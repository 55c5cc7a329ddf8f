"""Workspaces and hooks: rows F1-F12, D7 and D8."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.conformance.world import World


def fails(world: World, name: str, reason: str) -> str:
    """Wait until a ticket is given up or asks for a person; why."""
    view = world.until_phase(name, "needs_person")
    assert reason in view["error"], view["error"]
    return view["error"]


def test_F1_the_same_directory_in_each_life(here: World) -> None:
    """A ticket's second run, after a restart, works where the first one did."""
    here.ticket("F1")
    here.start()
    here.until_phase("F1", "in_review")
    assert here.stop() == 0
    here.move("F1", "In Progress")
    here.start()
    places = {one["cwd"] for one in here.begun("F1", 2)}
    assert places == {str(here.workspaces / "F1")}


def test_F2_a_missing_directory_is_made(patient: World) -> None:
    """The directory is there before the agent and before the first hook in it."""
    patient.hook("after_create", "F2", "ls -d . > made.txt\n")
    patient.script("F2", {"run": ["test -s made.txt && touch agent.txt"]})
    patient.ticket("F2")
    patient.until_phase("F2", "in_review")
    assert (patient.workspaces / "F2" / "agent.txt").exists()


def test_F3_a_directory_is_used_again(hasty: World) -> None:
    """What the first attempt left is there in the second, and `after_create` does not run again."""
    failure = {"code": "Oops", "detail": "once more"}
    hasty.script(
        "F3", {"files": {"left.txt": "first"}, "status": "error", "failure": failure}, {"run": ["cat left.txt"]}
    )
    hasty.ticket("F3")
    hasty.until_phase("F3", "in_review")
    assert len(hasty.seen("begin", "F3")) == 2
    assert (hasty.workspaces / "F3" / "left.txt").read_text() == "first"
    assert len(hasty.hooked("after_create", "F3")) == 1


@pytest.mark.parametrize("kind", ["file", "dangling", "fifo"])
def test_F4_something_else_in_its_place(hasty: World, kind: str) -> None:
    """It is neither replaced nor followed: the ticket waits for a person who is told what to move away."""
    name = f"F4-{kind}"
    place = hasty.workspaces / name
    if kind == "file":
        place.write_text("mine")
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.symlink_to(hasty.root / "nowhere")
    hasty.ticket(name)
    fails(hasty, name, "remove it or move it away")
    assert os.path.lexists(place)
    assert not (hasty.root / "nowhere").exists()
    assert hasty.seen("begin", name) == []
    hasty.move(name, "Cancelled")


def test_F5_a_failed_preparation_is_told(hasty: World) -> None:
    """The exit code of `after_create` and its last words are the reason; the log of it has a limit."""
    hasty.hook("after_create", "F5", "head -c 300000 /dev/zero | tr '\\\\0' x; echo; echo last words; exit 7\n")
    hasty.ticket("F5")
    error = fails(hasty, "F5", "after_create")
    assert "7" in error
    assert "last words" in error
    assert hasty.seen("begin", "F5") == []
    assert (hasty.logs / "opensymphony.jsonl").stat().st_size < 250_000


def test_F6_after_create_runs_when_a_directory_is_made(hasty: World) -> None:
    """After a failure the directory is gone, so that the next attempt makes it, and runs the hook, again."""
    mark = hasty.root / "F6.once"
    hasty.hook(
        "after_create",
        "F6",
        f"[ ! -e half.txt ] || exit 9; touch half.txt; [ -e {mark} ] || {{ touch {mark}; exit 1; }}\n",
    )
    hasty.ticket("F6")
    hasty.until_phase("F6", "in_review")
    assert len(hasty.hooked("after_create", "F6")) == 2


def test_F7_before_run_fails_the_attempt(hasty: World) -> None:
    """A hook that takes too long is ended with all it started, and the agent is not; each attempt runs it."""
    hasty.hook("before_run", "F7", "setsid sleep 987 & sleep 987\n")
    hasty.ticket("F7")
    error = fails(hasty, "F7", "before_run")
    assert "took too long" in error
    assert len(hasty.hooked("before_run", "F7")) == 3
    assert hasty.seen("begin", "F7") == []
    assert hasty.processes("sleep 987") == []


def test_F8_after_run_runs_after_each_attempt(hasty: World, strict: World) -> None:
    """After success, failure, a stop by a person and a stall; that it fails itself changes nothing."""
    hasty.script("F8-ERROR", {"status": "error", "failure": {"code": "Oops", "detail": "no"}})
    hasty.script("F8-MOVED", {"hold": "never"})
    for name in ("F8-OK", "F8-ERROR", "F8-MOVED"):
        hasty.hook("after_run", name, "exit 1\n")
        hasty.ticket(name)
    strict.script("F8-STALL", {"hold": "never"})
    strict.hook("after_run", "F8-STALL", "exit 1\n")
    strict.ticket("F8-STALL")
    hasty.begun("F8-MOVED")
    hasty.move("F8-MOVED", "Backlog")
    hasty.until_phase("F8-OK", "in_review")
    fails(hasty, "F8-ERROR", "Oops")
    hasty.until("stopped", lambda: not hasty.row("running", "F8-MOVED"))
    strict.until_phase("F8-STALL", "retrying")
    times = {name: len(hasty.hooked("after_run", name)) for name in ("F8-OK", "F8-ERROR", "F8-MOVED")}
    assert times == {"F8-OK": 1, "F8-ERROR": 3, "F8-MOVED": 1}
    assert len(strict.hooked("after_run", "F8-STALL")) == 1


@pytest.mark.parametrize(("name", "script"), [("F9-EXIT", "exit 1\n"), ("F9-SLOW", "sleep 986\n")])
def test_F9_before_remove_is_not_in_the_way(hasty: World, name: str, script: str) -> None:
    """It runs in the workspace; that it fails or takes too long does not keep the directory from going."""
    hasty.hook("before_remove", name, script)
    hasty.ticket(name)
    hasty.until_phase(name, "in_review")
    hasty.move(name, "Done")
    hasty.until("removed", lambda: not (hasty.workspaces / name).exists())
    assert hasty.hooked("before_remove", name) == [str(hasty.workspaces / name)]
    assert hasty.processes("sleep 986") == []


def test_F10_names_cannot_escape(patient: World) -> None:
    """A ticket whose file name is no plain identifier is reported, and nothing is made for it."""
    text = "---\ntitle: Odd\nstate: Todo\n---\n"
    odd = ["A:B", "~", "ünï", "-.x y", "x" * 120]
    for name in odd:
        (patient.board / f"{name}.md").write_text(text)
    patient.ticket("F10.x_y")
    patient.until_phase("F10.x_y", "in_review")
    patient.polled()
    problems = " ".join(patient.snapshot()["problems"])
    assert all(name[:20] in problems for name in odd)
    for name in odd:
        (patient.board / f"{name}.md").unlink()
    assert (patient.workspaces / "F10.x_y").is_dir()
    places = [one["cwd"] for one in patient.seen("create")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", Path(place).name) for place in places)
    assert {str(Path(place).parent) for place in places} == {str(patient.workspaces)}
    assert all(path.is_dir() or path.name == ".opensymphony.lock" for path in patient.workspaces.iterdir())


def test_F11_names_that_are_alike_stay_apart(patient: World) -> None:
    """An identifier of plain characters is its own directory; three that look alike have three."""
    names = ["F11-a", "F11_a", "F11.a"]
    for name in names:
        patient.script(name, {"files": {"whose.txt": name}})
        patient.ticket(name)
    for name in names:
        patient.until_phase(name, "in_review")
        assert (patient.workspaces / name / "whose.txt").read_text() == name


def test_F12_agents_work_in_their_workspace_only(here: World) -> None:
    """A root behind a link is resolved; a workspace that is a link to somewhere else is refused."""
    (here.root / "real").mkdir()
    (here.root / "outside").mkdir()
    here.workspaces.symlink_to(here.root / "real")
    (here.root / "real" / "F12-OUT").symlink_to(here.root / "outside")
    here.ticket("F12-IN")
    here.ticket("F12-OUT")
    here.start()
    here.until_phase("F12-IN", "in_review")
    assert [one["cwd"] for one in here.seen("begin", "F12-IN")] == [str(here.root / "real" / "F12-IN")]
    fails(here, "F12-OUT", "symbolic link")
    assert here.seen("begin", "F12-OUT") == []
    assert list((here.root / "outside").iterdir()) == []


def test_D7_a_workspace_belongs_to_one_ticket(patient: World) -> None:
    """Agents of several tickets at once see their own files only in their own directory."""
    names = [f"D7-{number}" for number in range(4)]
    for name in names:
        patient.script(name, {"files": {f"{name}.txt": name}, "hold": "go-D7"})
        patient.ticket(name)
    for name in names:
        patient.until("its file", lambda name=name: (patient.workspaces / name / f"{name}.txt").exists())
    listed = {name: sorted(path.name for path in (patient.workspaces / name).glob("*.txt")) for name in names}
    assert listed == {name: [f"{name}.txt"] for name in names}
    patient.release("go-D7")


def test_D8_what_a_hook_is_given(patient: World) -> None:
    """It has several lines, runs in the workspace, and sees the ticket but no credential."""
    patient.hook("before_run", "D8", "env > env.txt\nfor word in several lines; do\n  echo $word >> words.txt\ndone\n")
    patient.ticket("D8")
    patient.until_phase("D8", "in_review")
    place = patient.workspaces / "D8"
    assert (place / "words.txt").read_text().split() == ["several", "lines"]
    environment = (place / "env.txt").read_text()
    assert f"OPENSYMPHONY_WORKSPACE={place}\n" in environment
    assert "OPENSYMPHONY_IDENTIFIER=D8\n" in environment
    assert "canary" not in environment
