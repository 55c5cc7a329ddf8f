"""Which ticket starts when, and what follows from its end: O1, O3, O8-O10, O12, O13, D5, D13, D14, T5, T8."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conformance.conftest import MakeWorld
from tests.conformance.world import Json, World

FAILS: Json = {"status": "error", "failure": {"code": "Oops", "detail": "it broke"}}


@pytest.fixture(scope="module")
def single(make_world: MakeWorld) -> World:
    """A daemon with one place, on a board that was written before it started."""
    made = make_world()
    made.configure(agent={"max_concurrent_agents": 1, "retry_backoff_ms": 1})
    heads: dict[str, Json] = {
        "O1-8-SEVEN": {"priority": 7, "created": "2026-01-03"},
        "O1-2-OLD": {"priority": 4, "created": "2020-01-01"},
        "O1-4-SAME": {"created": "2026-01-01"},
        "O1-5-SAME": {"created": "2026-01-01"},
        "O1-1-NEW": {"priority": 1, "created": "2026-05-05"},
        "O1-6-ZERO": {"priority": 0, "created": "2026-01-02"},
        "O1-9-NEVER": {},
    }
    for name, head in heads.items():
        made.ticket(name, **head)
    return made.start()


def test_O1_the_order_of_starts(single: World) -> None:
    """By priority 1 to 4, then by age, then by identifier; other priorities, and no date, come last."""
    single.until_phase("O1-9-NEVER", "in_review")
    began = [one["ticket"] for one in single.seen("begin") if one["ticket"].startswith("O1-")]
    assert len(began) == 7
    assert began == sorted(began)


def test_O13_a_retry_that_finds_no_place_waits(single: World) -> None:
    """It says so, keeps its number of failures however long it waits, and runs when a place is free."""
    single.until_phase("O1-9-NEVER", "in_review")
    single.script("O13", FAILS, {})
    single.script("O13-OTHER", {"hold": "go-O13"})
    single.script("O13-FIRST", {"hold": "go-O13-FIRST"})
    single.ticket("O13-FIRST")
    single.begun("O13-FIRST")
    single.ticket("O13", priority=1)
    single.ticket("O13-OTHER", priority=2)
    single.until("both wait", lambda: single.view("O13-OTHER") and single.view("O13"))
    single.release("go-O13-FIRST")
    single.begun("O13-OTHER")
    view = single.until("it waits", lambda: (v := single.view("O13"))["phase"] == "waiting_to_start" and v)
    assert "it waits for a place" in view["reason"]
    single.polled(2)
    view = single.view("O13")
    assert (view["phase"], view["failures"]) == ("waiting_to_start", 1)
    single.release("go-O13")
    single.until_phase("O13", "in_review")
    assert len(single.seen("begin", "O13")) == 2


@pytest.fixture(scope="module")
def labelled(make_world: MakeWorld) -> World:
    """A daemon that takes tickets with one label only."""
    made = make_world()
    made.configure(
        "{{ issue.identifier }}{% for label in issue.labels %}<{{ label }}>{% endfor %}",
        tracker={"required_labels": [" Agent "]},
    )
    return made.start()


def test_O3_required_labels(labelled: World, here: World) -> None:
    """Compared without case and blanks; two labels are both needed; a blank one is found on no ticket."""
    labelled.ticket("O3-YES", labels=["AGENT"])
    labelled.ticket("O3-NO", labels=["agents"])
    labelled.until_phase("O3-YES", "in_review")
    labelled.polled()
    assert labelled.seen("create", "O3-NO") == []
    here.ticket("BOTH", labels=["Agent", "Ready"])
    here.ticket("ONE", labels=["agent"])
    starts: Json = {}
    for labels in (["agent", "READY"], [""]):
        here.configure(tracker={"required_labels": labels})
        said = here.command("run", "--dry-run", "--json")
        starts[",".join(labels)] = [one["identifier"] for one in json.loads(said.out or "[]") if one["would_start"]]
    assert starts == {"agent,READY": ["BOTH"], "": []}


def test_T5_labels_are_lower_case(labelled: World) -> None:
    """Blanks and doubles go, and the prompt has them in lower case."""
    labelled.ticket("T5", labels=[" Agent ", "READY", "ready", " "])
    labelled.until_phase("T5", "in_review")
    assert "T5<agent><ready>" in labelled.texts("T5")[0]


def test_T8_a_label_that_was_taken_off(labelled: World) -> None:
    """Each look at a running ticket is at the whole of it: its run is stopped though its state is the same."""
    labelled.script("T8", {"hold": "never"})
    labelled.ticket("T8", labels=["agent"])
    labelled.begun("T8")
    labelled.ticket("T8", labels=["other"])
    labelled.until("stopped", lambda: not labelled.row("running", "T8"))
    assert not (labelled.agents / "T8.lock").exists()
    assert labelled.state_of("T8") == "Todo"


@pytest.fixture(scope="module")
def unmoved(make_world: MakeWorld) -> World:
    """A daemon whose policy names no state to move finished tickets to."""
    made = make_world()
    made.configure("The whole prompt.", reporting={"transitions": {"succeeded": None}})
    made.ticket("O8")
    made.start()
    made.until_phase("O8", "needs_person")
    return made


def test_O8_continuation_after_a_normal_end(unmoved: World) -> None:
    """The agent is asked to go on once, a second later, in the same conversation and with a shorter text."""
    first, second = unmoved.begun("O8", 2)
    ended = unmoved.seen("end", "O8")[0]
    assert second["at"] - ended["at"] >= 0.9
    assert len(unmoved.seen("create", "O8")) == 1
    assert "The whole prompt." in first["text"]
    assert "The whole prompt." not in second["text"]


def test_D13_no_loop_of_continuations(unmoved: World) -> None:
    """After one continuation the ticket waits for a person; no failure was counted and no retry stands in the queue."""
    unmoved.polled(2)
    assert len(unmoved.seen("begin", "O8")) == 2
    assert unmoved.view("O8")["failures"] == 0
    assert unmoved.state()["retrying"] == []


def test_O9_failures_double_the_wait(make_world: MakeWorld) -> None:
    """Attempts are 1, 2, 3; each due time lies in the upper half of a wait that doubles."""
    world = make_world()
    world.configure(agent={"retry_backoff_ms": 400})
    world.script("O9", FAILS)
    world.ticket("O9")
    world.start()
    for attempt, ceiling_ms in ((1, 400), (2, 800), (3, 1_600)):
        view = world.until(
            f"failure {attempt}",
            lambda attempt=attempt: (
                (v := world.view("O9")).get("failures") == attempt and v["phase"] == "retrying" and v
            ),
        )
        assert ceiling_ms / 2 <= view["due_ms"] - view["ended_ms"] <= ceiling_ms
    assert world.row("retrying", "O9")["attempt"] == 3


def test_O10_the_longest_wait_can_be_set(hasty: World, make_world: MakeWorld) -> None:
    """No wait is longer than the cap, and a cap that is changed while the daemon runs counts for the next failure."""
    world = make_world()
    world.configure(agent={"retry_backoff_ms": 10_000, "max_retry_backoff_ms": 200})
    world.script("O10", FAILS)
    world.ticket("O10")
    world.start()
    view = world.until("two failures", lambda: (v := world.view("O10")).get("failures", 0) >= 2 and v["due_ms"] and v)
    assert view["due_ms"] - view["ended_ms"] <= 200
    world.configure(agent={"max_retry_backoff_ms": 90_000, "max_failures": 99})
    view = world.until(
        "a longer wait", lambda: (v := world.view("O10"))["due_ms"] and v["due_ms"] - v["ended_ms"] > 200 and v
    )
    assert view["due_ms"] - view["ended_ms"] <= 90_000


def test_D14_the_cap_is_five_minutes(here: World) -> None:
    """Without a value of one's own; O10 shows that the cap is kept."""
    here.configure(agent={})
    assert json.loads(here.command("config", "show").out)["agent"]["max_retry_backoff_ms"] == 300_000


def test_O12_stall_kill_and_backoff(strict: World) -> None:
    """A silent agent is stopped, its ticket waits for its backoff as after any failure, and is not started before."""
    strict.script("O12", {"hold": "never"})
    strict.ticket("O12")
    strict.begun("O12")
    strict.until_phase("O12", "retrying")
    row, view = strict.row("retrying", "O12"), strict.view("O12")
    assert "nothing was heard" in row["error"]
    assert row["attempt"] == 1
    assert view["due_ms"] - view["ended_ms"] >= 50_000
    assert not (strict.agents / "O12.lock").exists()
    assert strict.seen("interrupt", "O12")
    strict.polled(2)
    assert len(strict.seen("begin", "O12")) == 1


def test_O12_stall_with_an_open_tool_call(strict: World, patient: World) -> None:
    """A tool call that runs is no silence, and 0 turns the limit off: both agents outlast twice the limit."""
    for world in (strict, patient):
        world.script("O12-OPEN", {"open_tool": world is strict, "hold": "go-O12"})
        world.ticket("O12-OPEN")
        world.begun("O12-OPEN")
    for world in (strict, patient):

        def silent(world: World = world) -> bool:
            world.polled()  # the picture is of the newest record, and this makes one
            picture = world.snapshot()
            view = next(one for one in picture["tickets"] if one["identifier"] == "O12-OPEN")
            assert view["phase"] == "running"
            return picture["at_ms"] - view["last_activity_ms"] > 3_000

        world.until("a long silence", silent)
        world.release("go-O12")
        world.until_phase("O12-OPEN", "in_review")


def test_D5_one_authority(make_world: MakeWorld) -> None:
    """Fifty tickets, ten places, two hundred refreshes at once: no ticket ever has two agents, and all are done."""
    world = make_world()
    world.configure(agent={"max_concurrent_agents": 10}, reporting={"comment": False})
    names = [f"D5-{number:02}" for number in range(50)]
    for name in names:
        world.ticket(name)
    world.start()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: world.request("POST", "/api/v1/refresh")[0], range(200)))
    assert answers == [202] * 200
    world.until("all are done", lambda: all(one["phase"] == "in_review" for one in world.snapshot()["tickets"]), 60)
    assert world.seen("double") == []
    assert sorted(one["ticket"] for one in world.seen("begin")) == names
    at_work = most = 0
    for one in world.seen():
        at_work += {"begin": 1, "end": -1}.get(one["what"], 0)
        most = max(most, at_work)
    assert most <= 10
