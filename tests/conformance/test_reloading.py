"""A WORKFLOW.md that changes while the daemon runs: rows W2-W4, V1 and D4."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.conftest import MakeWorld
from tests.conformance.test_running import hold
from tests.conformance.world import World


@pytest.fixture(scope="module")
def edited(make_world: MakeWorld) -> World:
    """A daemon whose policy each test changes and puts back."""
    return make_world().start()


def rejected(world: World, word: str) -> str:
    """Wait until the present WORKFLOW.md is refused for this reason."""
    return world.until(f"it is refused: {word}", lambda: word in (e := world.snapshot()["policy_error"] or "") and e)


def in_force(world: World, **agent: int) -> None:
    """Write a good policy with these values, and wait until it counts."""
    world.configure(agent=agent)
    world.until("it counts", lambda: not (s := world.snapshot())["policy_error"] and
                s["max_concurrent_agents"] == agent["max_concurrent_agents"])  # fmt: skip


def test_W2_a_change_applies_without_a_restart(here: World) -> None:
    """A shorter interval and another prompt count within seconds, in the same process."""
    here.configure("The old prompt.", polling={"interval_ms": 60_000})
    here.start()
    assert here.process is not None
    pid = here.process.pid
    here.until("the first poll", lambda: here.snapshot()["polled_ms"])
    here.configure("The new prompt.", polling={"interval_ms": 100})
    here.ticket("W2")
    here.begun("W2")
    assert here.texts("W2")[0].startswith("The new prompt.")
    assert here.process.poll() is None
    assert here.process.pid == pid


def test_W3_a_bad_change_keeps_the_last_good_policy(edited: World) -> None:
    """Whatever is wrong with it: agents work on, new tickets start as before, it is told once, and mending it is enough."""
    hold(edited, "W3")
    good = (edited.root / "WORKFLOW.md").read_text()
    lines = len(edited.log(event="WORKFLOW.md not in force"))
    for text, word in (
        ("---\na: [\n---\n", "workflow_parse_error"),
        ("---\n- a\n---\n", "workflow_front_matter_not_a_map"),
        (good.replace('"agent": {', '"agent": {"max_turns": -1, '), "agent.max_turns"),
        (good.replace('"kind": "files"', '"kind": "bogus"'), "unsupported_tracker_kind"),
    ):
        edited.write_workflow(text)
        rejected(edited, word)
    edited.ticket("W3-NEW")
    edited.until_phase("W3-NEW", "in_review")
    edited.polled(3)
    assert len(edited.log(event="WORKFLOW.md not in force")) == lines + 4
    assert (edited.agents / "W3.lock").exists()
    edited.write_workflow(good)
    edited.until("it is mended", lambda: edited.snapshot()["policy_error"] is None)
    edited.release("go-W3")
    edited.until_phase("W3", "in_review")
    assert len(edited.seen("begin", "W3")) == 1


def test_W4_a_file_that_is_deleted(edited: World) -> None:
    """While it runs: the same name of the error as at the start, and the daemon goes on without it."""
    path = edited.root / "WORKFLOW.md"
    good = path.read_text()
    path.unlink()
    rejected(edited, "missing_workflow_file")
    edited.ticket("W4")
    edited.until_phase("W4", "in_review")
    path.write_text(good)
    edited.until("it is back", lambda: edited.snapshot()["policy_error"] is None)


def test_V1_a_bad_policy_is_seen(edited: World) -> None:
    """On the terminal, in the state, in the snapshot and in `status`, with the key and the line."""
    good = (edited.root / "WORKFLOW.md").read_text()
    edited.write_workflow(good.replace('"agent": {', '"agent": {"max_failures": "many", '))
    error = rejected(edited, "agent.max_failures")
    assert "WORKFLOW.md:" in error
    assert edited.state()["policy_error"] == error
    assert "agent.max_failures" in edited.told()
    said = edited.command("status")
    assert "agent.max_failures" in said.out + said.err
    edited.write_workflow(good)
    edited.until("it is mended", lambda: edited.snapshot()["policy_error"] is None)


def test_D4_the_ways_in_which_files_are_saved(edited: World) -> None:
    """Replaced in one step, through a link that is turned to another file, or a hundred times: the last content counts."""
    in_force(edited, max_concurrent_agents=11)
    text = (edited.root / "WORKFLOW.md").read_text()

    def saved(limit: int) -> str:
        return text.replace('"max_concurrent_agents": 11', f'"max_concurrent_agents": {limit}')

    def counts(limit: int) -> None:
        edited.until(f"{limit} counts", lambda: edited.snapshot()["max_concurrent_agents"] == limit)

    for limit in (12, 13):
        folder = edited.root / f"version-{limit}"
        folder.mkdir()
        (folder / "WORKFLOW.md").write_text(saved(limit))
        link = edited.root / "link"
        link.symlink_to(folder / "WORKFLOW.md")
        link.replace(edited.root / "WORKFLOW.md")
        counts(limit)
    Path(edited.root / "WORKFLOW.md").unlink()
    for limit in range(20, 120):
        (edited.root / "WORKFLOW.md").write_text(saved(limit))
    counts(119)
    edited.polled(2)
    assert edited.snapshot()["policy_error"] is None
