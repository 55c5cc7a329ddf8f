"""What happens at a code host reaches the scheduler, with few requests, and trouble there reaches nothing else."""

from __future__ import annotations

from typing import Any, cast

import anyio
import msgspec
import pytest

from opensymphony.clock import Clock
from opensymphony.daemon.reviews import ReviewPoller
from opensymphony.errors import BadAnswer, RateLimited, Unreachable, WorkspaceError
from opensymphony.interfaces import Workspaces
from opensymphony.model import CommitCheck, ReviewComment, ReviewThread, Workspace
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.workflow.policy import CodeHostPolicy, MergePolicy, ReviewPolicy
from tests.fakes.scripted_code_host import ScriptedCodeHost
from tests.scheduler.playbook import GOOD_WORK, Playbook, policy

PULL_BRANCH = "opensymphony/A-1"
REVIEW = ReviewPolicy(instructions_from=("{ada}",), interval_ms=5_000)


class Quotes:
    """The one thing of workspaces that is asked for here."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int]] = []
        self.offered = 0
        self.is_gone = False

    async def offer_base(self, workspace: Workspace) -> None:
        self.offered += 1
        if self.is_gone:
            raise WorkspaceError("it is gone")

    async def quote(self, workspace: Workspace, commit: str, path: str, line: int) -> str:
        self.asked.append((commit, path, line))
        if path == "gone":
            raise WorkspaceError("it is gone")
        return "    1 x = 1"


class Bench:
    """A scheduler whose ticket A-1 is in review, a host, and the poller between them."""

    def __init__(self) -> None:
        self.book = Playbook(policy(code_host=CodeHostPolicy(kind="scripted"), review=REVIEW, verify_command=None))
        self.host = ScriptedCodeHost(lambda branch: (GOOD_WORK.commit or "")[:12])
        self.quotes = Quotes()
        self.poller = ReviewPoller(
            self.host, cast(Workspaces, self.quotes), self.book.state, cast(Clock, self), self._post
        )
        self.posted: list[e.PullRequestObserved] = []

    def now_ms(self) -> int:
        return self.book.now_ms

    async def _post(self, event: e.Event) -> None:
        assert isinstance(event, e.PullRequestObserved)
        self.posted.append(event)
        self.book.send(event)

    async def open(self) -> None:
        self.book.ticket("A-1")
        command = self.book.until(c.PublishPullRequest)
        assert isinstance(command, c.PublishPullRequest)
        self.book.answer(c.PublishPullRequest, pull_request=await self.host.publish(command.text))
        self.book.settle_all()


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    await made.open()
    return made


async def test_a_merge_that_met_trouble_is_asked_for_again_at_the_next_look(bench: Bench) -> None:
    """Although nothing has changed at the host; what it refuses is asked once."""
    assert bench.book.state.policy is not None
    policy = msgspec.structs.replace(bench.book.state.policy, merge=MergePolicy(when="approved", without_checks=True))
    bench.book.send(e.PolicyLoaded(at_ms=bench.book.now_ms, policy=policy))
    await bench.poller.look()
    pull = bench.book.entry("A-1").pull
    assert pull is not None and pull.unmerged == "0 of 1 approval of its newest commit"
    before = len(bench.posted)
    await bench.poller.look()
    assert len(bench.posted) == before, "that it still waits is no news"
    bench.host.approve("1")
    await bench.poller.look()
    assert bench.book.pending(c.MergePullRequest)
    bench.book.now_ms += 3_000_000
    for kind, asked in (("retry", True), ("person", False)):
        bench.poller.watch(bench.book.fail(c.MergePullRequest, kind), bench.now_ms())
        await bench.poller.look()
        assert any(isinstance(one, c.MergePullRequest) for one in bench.book.state.pending.values()) is asked


async def test_what_is_new_is_told_once_with_the_code_it_is_about(bench: Bench) -> None:
    """And the log of a failed check."""
    bench.host.comment_by("1", "11", "Why 1?", path="a.py")
    bench.host.comment_by("1", "12", "And here?", path="gone")
    bench.host.checks = (
        CommitCheck(key="ci", name="CI", state="failed"),
        CommitCheck(key="ok", name="OK", state="passed"),
    )
    assert await bench.poller.look() == 5_000
    [event] = bench.posted
    assert [(thread.id, thread.quote) for thread in event.reading.threads] == [("11", "    1 x = 1"), ("12", "")]
    assert [(check.key, check.log) for check in event.reading.checks] == [("ci", "log of ci"), ("ok", "")]
    assert bench.quotes.asked[0] == ("c" * 12, "a.py", 1)
    assert len(bench.book.entry("A-1").messages) == 1
    await bench.poller.look()
    assert len(bench.posted) == 1


async def test_what_has_not_changed_is_not_read_again(bench: Bench) -> None:
    """But now and then, soon after a push, while checks run, and when a webhook says so."""
    await bench.poller.look()
    reads = len(bench.host.reads)
    bench.book.now_ms += 1_900_000
    await bench.poller.look()
    assert len(bench.host.reads) == reads + 1
    await bench.poller.look()
    assert len(bench.host.reads) == reads + 1
    assert bench.poller.look_at(["another"]) == 0
    assert bench.poller.look_at([PULL_BRANCH]) == 1
    await bench.poller.look()
    assert len(bench.host.reads) == reads + 2
    bench.host.checks = (CommitCheck(key="ci", name="CI", state="pending"),)
    bench.host.updated_ms += 1
    await bench.poller.look()
    await bench.poller.look()
    assert len(bench.host.reads) == reads + 4


async def test_trouble_is_waited_out(bench: Bench) -> None:
    """As long as the host asks for; nothing else is the worse for it."""
    bench.host.trouble = Unreachable("code host", "no answer")
    assert await bench.poller.look() == 5_000
    assert "no answer" in bench.poller.error
    bench.host.trouble = RateLimited("code host", "later", retry_after_ms=90_000)
    assert await bench.poller.look() == 90_000
    bench.host.trouble = None
    await bench.poller.look()
    assert bench.poller.error == ""


async def test_merged_is_heard_and_then_nothing_is_looked_at(bench: Bench) -> None:
    """The pull request is over."""
    await bench.poller.look()
    bench.host.end("1", "merged")
    await bench.poller.look()
    pull = bench.book.entry("A-1").pull
    assert pull is not None and pull.pull_request.state == "merged"
    reads = len(bench.host.reads)
    await bench.poller.look()
    assert len(bench.host.reads) == reads


async def test_one_that_vanishes_harms_nobody(bench: Bench) -> None:
    """Between the list and the reading, too."""
    pull = bench.host.pulls.pop("1")
    await bench.poller.look()
    bench.host.pulls["1"] = pull

    async def fetch(ids: Any) -> Any:
        return (bench.host.pulls.pop("1"),)

    bench.host.fetch = fetch  # type: ignore[method-assign]
    await bench.poller.look()
    assert bench.posted == [] and bench.poller.error == ""


async def test_before_a_policy_nothing_is_asked() -> None:
    """It comes with the first events."""
    made = Bench()
    made.book.state.policy = None
    assert await made.poller.look() == 1_000
    assert made.host.reads == []


async def test_one_that_was_just_opened_is_looked_at_soon(bench: Bench) -> None:
    """Its checks begin with it."""
    pull = bench.book.entry("A-1").pull
    assert pull is not None
    bench.poller.watch(
        (d.PullRequestNoted(ticket_id=bench.book.entry("A-1").ticket.id, pull_request=pull.pull_request),), 1
    )
    assert bench.poller._hurry.is_set()


async def test_one_that_cannot_be_read_keeps_nobody_from_the_others(bench: Bench) -> None:
    """It is told of, and tried again at each look."""
    bench.book.ticket("A-2")
    command = bench.book.until(c.PublishPullRequest)
    assert isinstance(command, c.PublishPullRequest)
    bench.book.answer(c.PublishPullRequest, pull_request=await bench.host.publish(command.text))
    bench.book.settle_all()
    bench.host.broken["1"] = BadAnswer("code host", "the answer is too large")
    bench.host.comment_by("2", "11", "Why?")
    await bench.poller.look()
    assert [event.ticket_id for event in bench.posted if event.reading.threads] == ["A-2"]
    assert "too large" in bench.poller.error
    bench.host.broken.clear()
    await bench.poller.look()
    assert bench.poller.error == "" and bench.host.reads[-2:] == ["1", "2"]


async def test_two_tickets_on_one_branch_both_hear_of_it(bench: Bench) -> None:
    """They share a pull request."""
    bench.book.ticket("A-2")
    bench.book.until(c.PublishPullRequest)
    bench.book.answer(c.PublishPullRequest, pull_request=bench.host.pulls["1"])
    bench.book.settle_all()
    bench.host.end("1", "merged")
    await bench.poller.look()
    assert {event.ticket_id for event in bench.posted} == {"A-1", "A-2"}


async def test_a_hint_that_comes_while_it_looks_is_not_lost(bench: Bench) -> None:
    """It looks again at once, and not only at its time."""
    looks, again, fetch = 0, anyio.Event(), bench.host.fetch

    async def fetching(ids: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == 1:
            bench.poller.look_at([PULL_BRANCH])
        else:
            again.set()
        return await fetch(ids)

    assert bench.book.state.policy is not None
    seldom = msgspec.structs.replace(REVIEW, interval_ms=3_600_000)
    bench.book.state.policy = msgspec.structs.replace(bench.book.state.policy, review=seldom)
    bench.host.fetch = fetching  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.poller.run)
        with anyio.fail_after(10):
            await again.wait()
        tasks.cancel_scope.cancel()


async def test_of_a_very_long_thread_only_what_can_be_told_is_taken_along(bench: Bench) -> None:
    """All of it would stand in the journal; each comment counts as heard all the same."""
    said = tuple(ReviewComment(id=str(number), author="{ada}", text="x" * 30_000) for number in range(300))
    bench.host.threads["1"] = [ReviewThread(id="0", comments=said)]
    await bench.poller.look()
    [event] = bench.posted
    [thread] = event.reading.threads
    assert sum(len(one.text) for one in thread.comments) < 300_000
    bench.host.updated_ms += 1
    await bench.poller.look()
    assert len(bench.posted) == 1


async def test_what_the_work_conflicts_with_is_handed_over(bench: Bench) -> None:
    """Before the agent is told, since it may be at work."""
    bench.host.conflicts = ("a.py",)
    await bench.poller.look()
    assert bench.quotes.offered == 1 and bench.posted[-1].reading.conflicts == ("a.py",)
    bench.host.updated_ms += 1
    await bench.poller.look()
    assert bench.quotes.offered == 1, "once for each commit"


async def test_a_base_that_cannot_be_handed_over_is_told_of_all_the_same(bench: Bench) -> None:
    """The next start of the ticket hands it over."""
    bench.host.conflicts, bench.quotes.is_gone = ("a.py",), True
    await bench.poller.look()
    assert bench.quotes.offered == 1 and bench.poller.error == ""
    assert bench.posted[-1].reading.conflicts == ("a.py",)
