"""What stops a run that goes wrong by itself."""

from __future__ import annotations

from typing import Any

import pytest

from opensymphony.model import Liveness, TurnProgress, Usage, Work
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.decisions import command_of
from opensymphony.workflow.policy import AgentPolicy
from tests.scheduler.playbook import Playbook, policy


def working(**agent: Any) -> Playbook:
    book = Playbook(policy(agent=AgentPolicy(**agent)))
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    return book


def hears(book: Playbook, **progress: Any) -> None:
    entry = book.entry("A-1")
    report = TurnProgress(**{"status": "running", **progress})
    book.send(
        e.TurnProgressed(at_ms=book.now_ms, ticket_id=entry.ticket.id, generation=entry.generation, progress=report)
    )


def ending(book: Playbook) -> tuple[str, str | None, str]:
    book.settle_all()
    entry = book.entry("A-1")
    return entry.phase, entry.outcome, entry.reason


def test_silence_without_an_open_tool_is_a_stall_and_waits_for_its_backoff() -> None:
    """It is stopped first, and the ticket says why."""
    book = working(stall_timeout_ms=1_000, retry_backoff_ms=10_000)
    book.passes(999)
    assert "StopRun" not in book.kinds()
    book.passes(1)
    assert "StopRun" in book.kinds()
    phase, outcome, reason = ending(book)
    assert (phase, outcome) == ("retrying", "stalled")
    assert reason == "nothing was heard from the agent for 1 s while no tool call was open"
    assert book.entry("A-1").due_ms is not None
    assert "RereadTicket" not in book.kinds(), "not before its backoff"


def test_silence_behind_an_open_tool_is_looked_into_before_anything_is_stopped() -> None:
    """A build that works is left alone, however long it says nothing."""
    book = working(stall_timeout_ms=1_000, tool_timeout_ms=60_000)
    hears(book, tool_open=True)
    for _ in range(3):
        book.passes(60_000)
        assert book.pending(c.ProbeAgent).working_dir == "/ws/A-1"
        book.answer(c.ProbeAgent, liveness=Liveness(alive=True, detail="make uses the processor"))
        assert "StopRun" not in book.kinds()
    assert book.entry("A-1").run is not None
    book.passes(60_000)
    book.answer(c.ProbeAgent, liveness=Liveness(alive=False, detail="nothing has used the processor"))
    phase, outcome, reason = ending(book)
    assert (phase, outcome) == ("retrying", "stalled")
    assert "while a tool call was open, and nothing works behind it: nothing has used the processor" in reason


def test_a_probe_that_fails_is_no_sign_of_life() -> None:
    """The server that would have to answer does not."""
    book = working(tool_timeout_ms=60_000)
    hears(book, tool_open=True)
    book.passes(60_000)
    book.fail(c.ProbeAgent)
    assert "StopRun" in book.kinds()


def test_a_probe_that_is_overtaken_by_news_changes_nothing() -> None:
    """What we hear counts for more than what we looked for."""
    book = working(tool_timeout_ms=60_000)
    hears(book, tool_open=True)
    book.passes(60_000)
    hears(book, tool_open=True, summary="still there")
    book.answer(c.ProbeAgent, liveness=Liveness(alive=False))
    assert "StopRun" not in book.kinds()


def test_only_one_probe_is_under_way() -> None:
    """One that takes long is not joined by another."""
    book = working(tool_timeout_ms=60_000)
    hears(book, tool_open=True)
    book.passes(60_000)
    book.passes(60_000)
    book.passes(60_000)
    assert book.kinds().count("ProbeAgent") == 1


def lives(book: Playbook, elapsed_ms: int) -> None:
    """Time passes, and the claim is renewed on the way."""
    for _ in range(elapsed_ms // 300_000):
        book.passes(300_000)
        book.answer(c.ClaimTicket)
        book.now_ms -= 1  # what the answer took
    book.passes(elapsed_ms % 300_000)


def test_a_stall_limit_of_zero_never_stops() -> None:
    """It is off."""
    book = working(stall_timeout_ms=0)
    lives(book, 7_200_000)
    assert "StopRun" not in book.kinds()


def test_the_same_action_with_the_same_answer_is_stopped() -> None:
    """A person has to look; trying again would do it again."""
    book = working(max_repeated_actions=5)
    hears(book, actions=4, changes=0, repeats=4)
    assert "StopRun" not in book.kinds()
    hears(book, actions=5, changes=0, repeats=5)
    phase, outcome, reason = ending(book)
    assert (phase, outcome) == ("needs_person", "no_progress")
    assert "the same thing 5 times in a row" in reason


def test_no_progress_is_believed_only_when_the_files_have_not_changed_either() -> None:
    """What a command changed shows in the workspace and not in the events."""
    book = working(max_actions_without_progress=10)
    hears(book, actions=1, changes=0)
    hears(book, actions=6, changes=0)
    book.answer(c.FingerprintWorkspace, fingerprint="one")
    hears(book, actions=11, changes=0)
    book.answer(c.FingerprintWorkspace, fingerprint="two")
    assert "StopRun" not in book.kinds(), "a file changed: that is progress"
    hears(book, actions=20, changes=0)
    assert "FingerprintWorkspace" not in book.kinds()
    hears(book, actions=21, changes=0)
    book.answer(c.FingerprintWorkspace, fingerprint="two")
    phase, outcome, reason = ending(book)
    assert (phase, outcome) == ("needs_person", "no_progress")
    assert "10 actions and 0 tokens without a change" in reason


def test_a_change_that_the_events_show_is_progress() -> None:
    """The count begins anew."""
    book = working(max_actions_without_progress=10)
    for actions in range(0, 100, 4):
        hears(book, actions=actions, changes=actions)
    assert "FingerprintWorkspace" not in book.kinds()


def test_tokens_without_progress_are_counted_too() -> None:
    """A long history burns them in a few steps."""
    book = working(max_tokens_without_progress=1_000)
    hears(book, actions=1, changes=0, usage=Usage(prompt_tokens=100, model_calls=1))
    hears(book, actions=2, changes=0, usage=Usage(prompt_tokens=700, model_calls=2))
    book.answer(c.FingerprintWorkspace, fingerprint="one")
    hears(book, actions=3, changes=0, usage=Usage(prompt_tokens=1_200, model_calls=3))
    book.answer(c.FingerprintWorkspace, fingerprint="one")
    assert "1,100 tokens without a change" in ending(book)[2]


@pytest.mark.parametrize("how", ["empty", "failed"])
def test_when_the_files_cannot_be_looked_at_the_events_decide(how: str) -> None:
    """A workspace too big to be looked at does not burn tokens for ever."""
    book = working(max_actions_without_progress=10)
    hears(book, actions=0, changes=0)
    hears(book, actions=12, changes=0)
    if how == "empty":
        book.answer(c.FingerprintWorkspace, fingerprint="")
    else:
        book.fail(c.FingerprintWorkspace)
    assert "StopRun" in book.kinds()


def test_a_failed_verification_that_fails_otherwise_is_progress() -> None:
    """Another set of failing tests is another state of the work."""
    book = working(max_actions_without_progress=10)
    hears(book, actions=9, changes=0)
    hears(book, actions=12, changes=0)
    run = book.entry("A-1").run
    assert run is not None
    assert run.progress_actions == 9
    book.until(c.VerifyWork)
    book.answer(c.VerifyWork, passed=False)
    assert run.progress_actions == 12


def test_limits_on_progress_can_be_turned_off() -> None:
    """With 0, each."""
    book = working(max_actions_without_progress=0, max_tokens_without_progress=0, max_repeated_actions=0)
    hears(book, actions=10**6, changes=0, repeats=10**6, usage=Usage(prompt_tokens=10**9))
    assert book.kinds() == ["AwaitTurn"]


def test_a_run_has_only_the_time_that_the_policy_gives_it() -> None:
    """Nobody gives one by default; a person decides after it."""
    book = working(max_run_ms=3_600_000, stall_timeout_ms=0)
    lives(book, 3_599_000)
    assert "StopRun" not in book.kinds()
    book.passes(1_000)
    phase, outcome, reason = ending(book)
    assert (phase, outcome) == ("needs_person", "timed_out")
    assert "it has run for 3600 s, which is the limit (agent.max_run_ms)" in reason


def test_a_run_without_a_limit_of_time_goes_on() -> None:
    """A long turn that makes progress is a good one."""
    book = working(stall_timeout_ms=0)
    lives(book, 86_400_000)
    assert "StopRun" not in book.kinds()


def test_nothing_that_is_heard_while_a_run_is_stopped_stops_it_again() -> None:
    """One stop, one reason."""
    book = working(max_repeated_actions=5)
    hears(book, repeats=5)
    hears(book, repeats=6)
    assert book.kinds().count("StopRun") == 1


def test_limits_that_are_reached_together_stop_the_run_once() -> None:
    """After a machine slept, everything is due at the same moment; two stops with one key would end the daemon."""
    book = working(stall_timeout_ms=300_000, max_run_ms=600_000)
    decisions = book.passes(10_000_000)
    keys = [command.key for command in map(command_of, decisions) if command is not None]
    assert len(keys) == len(set(keys))
    assert len([one for one in decisions if isinstance(one, d.StopBegun)]) == 1
    assert book.pending(c.StopRun).target_key == book.pending(c.AwaitTurn).key
    run = book.entry("A-1").run
    assert run is not None
    assert run.timers["heartbeat"] > book.now_ms, "its claim is kept while it is being stopped"


@pytest.mark.parametrize("before_ms", [500, 1_400], ids=["limit first", "message first"])
def test_a_limit_that_is_reached_with_the_next_message_stops_that_message_too(before_ms: int) -> None:
    """The stop has to know what was begun at the same moment: an agent would work on behind a confirmed stop."""
    book = working(max_run_ms=3_600_000)
    run = book.entry("A-1").run
    assert run is not None
    book.answer(c.AwaitTurn)
    book.now_ms = run.started_ms + 3_600_000 - before_ms
    book.answer(c.CollectWork, work=Work(commit=None, commits_ahead=0))
    assert "SendMessage" not in book.kinds()
    book.passes(2_000)
    stop = book.pending(c.StopRun)
    assert stop.target_key == next((command.key for command in _all(book, c.SendMessage)), None)
    book.answer(c.StopRun)
    assert not _all(book, c.SendMessage)
    assert ending(book)[1] == "timed_out"


def _all(book: Playbook, kind: type[c.Command]) -> list[c.Command]:
    return [command for command in book.state.pending.values() if isinstance(command, kind)]
