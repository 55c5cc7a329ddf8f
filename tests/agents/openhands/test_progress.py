"""Steps and answers as the pinned server writes them."""

from __future__ import annotations

from typing import Any

import pytest

from opensymphony.agents.openhands.mirror import Mirror
from opensymphony.agents.openhands.progress import Progress
from tests.agents.openhands.test_mirror import event


class Agent:
    """An agent that makes steps and gets answers."""

    def __init__(self) -> None:
        self.progress = Progress()
        self._calls = 0

    def asks(self, tool: str, **arguments: Any) -> str:
        self._calls += 1
        call = f"call_{self._calls}"
        kind = "".join(part.title() for part in tool.split("_")) + "Action"
        action = {**arguments, "kind": kind}
        self.progress.act(event("ActionEvent", id=call, action=action, tool_name=tool, tool_call_id=call))
        return call

    def hears(self, call: str, tool: str, text: str = "", **more: Any) -> None:
        kind = "".join(part.title() for part in tool.split("_")) + "Observation"
        content = [{"cache_prompt": False, "type": "text", "text": text}]
        observation = {"content": content, "is_error": False, "kind": kind, **more}
        self.progress.answered(event("ObservationEvent", tool_name=tool, tool_call_id=call, observation=observation))

    def runs(self, command: str, text: str = "", exit_code: int = 0) -> Progress:
        call = self.asks("terminal", command=command, is_input=False, reset=False)
        self.hears(call, "terminal", text, command=command, exit_code=exit_code, timeout=exit_code == -1)
        return self.progress

    def edits(self, command: str, path: str, after: str | None = None, *, error: bool = False) -> Progress:
        call = self.asks("file_editor", command=command, path=path, file_text=after)
        more = {} if after is None else {"new_content": after}
        self.hears(call, "file_editor", "done", command=command, path=path, is_error=error, **more)
        return self.progress

    def plans(self, *titles: str, command: str = "plan") -> Progress:
        tasks = [{"title": title, "notes": "", "status": "todo"} for title in titles]
        call = self.asks("task_tracker", command=command, task_list=tasks)
        self.hears(call, "task_tracker", "updated", command=command, task_list=tasks)
        return self.progress


@pytest.fixture
def agent() -> Agent:
    return Agent()


def test_a_change_of_a_file_counts(agent: Agent) -> None:
    """Making and editing a file is a change; looking at one, failing to edit it, or making it again as it was is none."""
    assert agent.edits("create", "/w/a", "1").changes == 1
    assert agent.edits("create", "/w/a", "1").changes == 1
    assert agent.edits("str_replace", "/w/a", "2").changes == 2
    assert agent.edits("view", "/w/a").changes == 2
    assert agent.edits("insert", "/w/a", "3", error=True).changes == 2
    assert agent.edits("create", "/w/b", "2").changes == 3
    assert agent.edits("undo_edit", "/w/a", "1").changes == 4
    assert agent.progress.actions == 7


def test_other_editors_count_too(agent: Agent) -> None:
    """A patch that was applied is a change, whatever it says."""
    agent.hears(agent.asks("apply_patch", patch="x"), "apply_patch", "applied")
    agent.hears(agent.asks("write_file", file_path="/w/a"), "write_file", "ok", file_path="/w/a", new_content="1")
    assert agent.progress.changes == 2


def test_a_change_of_the_plan_counts(agent: Agent) -> None:
    """The same plan once more, or a look at it, is no change."""
    assert agent.plans("read", "write").changes == 1
    assert agent.plans("read", "write").changes == 1
    assert agent.plans("read", "write", command="view").changes == 1
    assert agent.plans("write").changes == 2


def test_other_failing_tests_count(agent: Agent) -> None:
    """A test run counts when it names other failures than this command did last, and when it passes after that."""
    assert agent.runs("make").changes == 0
    assert agent.runs("pytest", "FAILED a::one - in 3 s\n", 1).changes == 1
    assert agent.runs("pytest", "FAILED a::one - in 4 s\n", 1).changes == 1
    assert agent.runs("pytest -q", "FAILED a::one - in 5 s\n", 1).changes == 1
    assert agent.runs("pytest", "FAILED b::two\n", 1).changes == 2
    assert agent.runs("pytest", "interrupted\n", 2).changes == 2
    assert agent.runs("pytest", "5 passed\n").changes == 3
    assert agent.runs("pytest", "5 passed\n").changes == 3


def test_two_commands_in_turn_are_no_change(agent: Agent) -> None:
    """Each of them fails as it did before."""
    for _ in range(5):
        agent.runs("pytest a", "FAILED a::one\n", 1)
        agent.runs("pytest b", "FAILED b::two\n", 1)
    assert agent.progress.changes == 2


@pytest.mark.parametrize(
    "texts",
    [
        ("same", "same", "same"),
        ("took 12.5 ms", "took 8 ms", "took 1.25s"),
        ("at 12:01:02 on 2026-11-25", "at 12:01:03 on 2026-11-25", "at 13:59:00 on 2026-11-26"),
        ("<x at 0x7f01>", "<x at 0x7f02>", "<x at 0xffff>"),
        ("pid 17", "pid 1800", "PID: 4"),
    ],
)
def test_the_same_step_with_the_same_answer_is_a_repetition(agent: Agent, texts: tuple[str, ...]) -> None:
    """Times, dates, addresses and ids do not make an answer another one."""
    assert [agent.runs("check", text).repeats for text in texts] == [1, 2, 3]


def test_another_step_or_answer_begins_anew(agent: Agent) -> None:
    """Another command, another exit code, or figures that grow are something new."""
    said = [("ls", "a", 0), ("ls", "a", 0), ("ls -l", "a", 0), ("ls -l", "a", 1), ("ls -l", "42 %", 1)]
    counted = [agent.runs(command, text, code).repeats for command, text, code in said]
    assert counted == [1, 2, 1, 1, 1]
    assert agent.runs("ls -l", "43 %", 1).repeats == 1


def test_waiting_is_no_repetition(agent: Agent) -> None:
    """A look at a command that goes on says the same for as long as it is silent; a command that cannot begin is one."""
    assert [agent.runs("", "no new output after 30 seconds", -1).repeats for _ in range(5)] == [1] * 5
    assert [agent.runs("ls", "another command still runs", -1).repeats for _ in range(3)] == [1, 2, 3]


def test_errors_repeat_and_calls_cut_off_do_not(agent: Agent) -> None:
    """Arguments that a tool refuses again and again are a loop; a call that a restart cut off was not answered at all."""

    def fails(text: str) -> int:
        call = f"e{agent.progress.actions}"
        broken = event(
            "ActionEvent",
            tool_name="terminal",
            tool_call_id=call,
            tool_call={"id": call, "name": "terminal", "arguments": "{odd"},
        )
        agent.progress.act(broken)
        agent.progress.answered(event("AgentErrorEvent", tool_name="terminal", tool_call_id=call, error=text))
        return agent.progress.repeats

    assert [fails("odd arguments") for _ in range(3)] == [1, 2, 3]
    assert fails("A restart occurred while this tool was in progress") == 3
    assert fails("odd arguments") == 4


def test_answers_of_parallel_calls_find_their_own(agent: Agent) -> None:
    """Two calls at once, answered in any order."""
    one, two = agent.asks("terminal", command="a"), agent.asks("terminal", command="b")
    agent.hears(two, "terminal", "x", command="b", exit_code=0)
    agent.hears(one, "terminal", "x", command="a", exit_code=0)
    assert (agent.progress.actions, agent.progress.repeats) == (2, 1)
    assert agent.runs("c").repeats == 1


@pytest.mark.parametrize(
    "observation",
    [
        None,
        7,
        [],
        {},
        {"kind": 3},
        {"kind": "TerminalObservation", "content": "x", "exit_code": "odd"},
        {"kind": "FileEditorObservation", "command": ["create"], "path": 1, "content": []},
    ],
)
def test_odd_answers_change_nothing(agent: Agent, observation: Any) -> None:
    """Whatever a newer server or another tool writes is a step with some answer."""
    call = agent.asks("terminal", command="x")
    agent.progress.answered(event("ObservationEvent", tool_call_id=call, observation=observation))
    agent.progress.answered(event("ObservationEvent", tool_call_id="unknown", observation=observation))
    assert (agent.progress.actions, agent.progress.changes, agent.progress.repeats) == (1, 0, 1)


def test_what_is_kept_is_bounded(agent: Agent) -> None:
    """Open calls, known files and compared texts have limits."""
    for number in range(600):
        agent.asks("terminal", command=str(number))
        agent.edits("create", f"/w/{number}", "x")
        assert len(agent.progress._open) <= 256
    agent.runs("big", "x" * 1_000_000)
    assert len(agent.progress._known) == 256
    assert agent.progress._last is not None
    assert len(agent.progress._last.text) < 40_000


def test_the_mirror_counts_them() -> None:
    """Steps and answers in a conversation's log reach the counters."""
    mirror = Mirror()
    for number in range(3):
        call = f"c{number}"
        action = {"kind": "TerminalAction", "command": "ls"}
        mirror.fold(2 * number, event("ActionEvent", action=action, tool_name="terminal", tool_call_id=call))
        answer = {"kind": "TerminalObservation", "content": [{"type": "text", "text": "a"}], "exit_code": 0}
        mirror.fold(2 * number + 1, event("ObservationEvent", tool_call_id=call, observation=answer))
    assert (mirror.progress.actions, mirror.progress.repeats, mirror.progress.changes) == (3, 3, 0)
