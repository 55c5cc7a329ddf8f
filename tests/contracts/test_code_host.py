"""The duties of every code host, whatever is behind it. A new adapter adds its world to `WORLDS` and passes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import msgspec
import pytest

from opensymphony.errors import NotFound, Refused, ServiceError
from opensymphony.interfaces import CodeHost
from opensymphony.model import CommitCheck, PullRequest, PullRequestText, is_same_commit
from tests.contracts.worlds import CodeHostWorld
from tests.services.bitbucket.world import BitbucketBotWorld, BitbucketWorld

WORLDS: dict[str, Callable[[Path], CodeHostWorld]] = {
    "bitbucket": BitbucketWorld,
    "bitbucket with an access token": BitbucketBotWorld,
}

BRANCH = "opensymphony/ABC-1"
TEXT = PullRequestText(branch=BRANCH, base="main", title="ABC-1: a title", body="What was done.\n\n- one\n- two")
MISSING = "999999"


@pytest.fixture(params=sorted(WORLDS))
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CodeHostWorld]:
    made = WORLDS[request.param](tmp_path)
    async with made.there():
        yield made


@pytest.fixture
async def host(world: CodeHostWorld) -> AsyncIterator[CodeHost]:
    async with world.open() as host:
        yield host


@pytest.fixture
async def pull(world: CodeHostWorld, host: CodeHost) -> PullRequest:
    """One that we have opened."""
    await world.push(BRANCH)
    return await host.publish(TEXT)


def text(**changes: object) -> PullRequestText:
    return msgspec.structs.replace(TEXT, **changes)


class TestFinding:
    async def test_there_is_none_before_one_was_opened(self, world: CodeHostWorld, host: CodeHost) -> None:
        """A branch alone is no pull request, and neither is that of another branch."""
        await world.push(BRANCH)
        await world.push(f"{BRANCH}0")
        await world.open_by_hand(f"{BRANCH}0", "Another")
        assert await host.find(BRANCH) is None

    async def test_one_is_found_with_what_it_is(self, world: CodeHostWorld, host: CodeHost, pull: PullRequest) -> None:
        """Branches, title, state and the commit, which may be abbreviated."""
        commit = await world.push(BRANCH)
        found = await host.find(BRANCH)
        assert found is not None
        assert (found.id, found.title, found.state) == (pull.id, TEXT.title, "open")
        assert (found.branch, found.base, found.is_draft) == (BRANCH, "main", False)
        assert found.head and commit.startswith(found.head)
        assert found.url.startswith("https://") and found.updated_ms > 0

    async def test_a_name_with_marks_in_it_is_only_a_name(self, world: CodeHostWorld, host: CodeHost) -> None:
        """Quotes and percent signs of a branch change no question."""
        name = 'opensymphony/a"b%20&c=1'
        await world.push(name)
        assert await host.find(name) is None
        made = await host.publish(text(branch=name))
        found = await host.find(name)
        assert found is not None and found.id == made.id and found.branch == name

    async def test_the_open_one_comes_before_newer_ones(self, world: CodeHostWorld, host: CodeHost) -> None:
        """Of those that are over it is the newest."""
        await world.push(BRANCH)
        first = await world.open_by_hand(BRANCH, "First")
        second = await world.open_by_hand(BRANCH, "Second")
        await world.decline(second)
        found = await host.find(BRANCH)
        assert found is not None and (found.id, found.state) == (first, "open")
        await world.decline(first)
        found = await host.find(BRANCH)
        assert found is not None and (found.id, found.state) == (second, "declined")

    async def test_a_fork_with_a_branch_of_that_name_is_not_ours(self, world: CodeHostWorld, host: CodeHost) -> None:
        """Whoever may fork could otherwise have us write into their pull request."""
        await world.push(BRANCH)
        stranger = await world.open_by_hand(BRANCH, "From a fork", fork=True)
        assert await host.find(BRANCH) is None
        assert (await host.publish(TEXT)).id != stranger

    async def test_ids_are_read_again_in_the_order_asked_for(self, world: CodeHostWorld, host: CodeHost) -> None:
        """What is gone is left out, what is over is told, and none at all ask nothing."""
        made: list[PullRequest] = []
        for number in range(4):
            await world.push(f"branch-{number}")
            made.append(await host.publish(text(branch=f"branch-{number}")))
        await world.merge(made[1].id)
        asked = [made[3].id, MISSING, made[1].id, made[0].id]
        found = await host.fetch(asked)
        assert [(one.id, one.state) for one in found] == [
            (made[3].id, "open"),
            (made[1].id, "merged"),
            (made[0].id, "open"),
        ]
        await world.break_down()
        assert await host.fetch([]) == ()

    async def test_a_host_that_is_down_raises(self, world: CodeHostWorld, host: CodeHost, pull: PullRequest) -> None:
        """Trouble is never mistaken for a pull request that is gone."""
        await world.break_down()
        with pytest.raises(ServiceError):
            await host.find(BRANCH)
        with pytest.raises(ServiceError):
            await host.fetch([pull.id])


class TestPublishing:
    async def test_one_is_opened_with_its_text(self, world: CodeHostWorld, host: CodeHost) -> None:
        """Draft and reviewers too."""
        await world.push(BRANCH)
        made = await host.publish(text(is_draft=True, reviewers=(world.account("ada"),)))
        assert (made.title, made.state, made.is_draft) == (TEXT.title, "open", True)
        assert await world.reviewers(made.id) == [world.account("ada")]

    async def test_again_it_is_the_same_one_brought_up_to_date(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest
    ) -> None:
        """What it says is ours; its title and whether it is a draft are people's from then on, and there is still one."""
        changed = await host.publish(text(title="Another title", body="What is new.", is_draft=True))
        assert (changed.id, changed.title, changed.is_draft) == (pull.id, TEXT.title, False)
        assert changed.updated_ms != pull.updated_ms
        assert await world.pull_requests(BRANCH) == [(pull.id, TEXT.title)]

    async def test_what_is_up_to_date_is_left_alone(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest
    ) -> None:
        """Nobody is told of a change that is none."""
        assert (await host.publish(TEXT)).updated_ms == pull.updated_ms

    async def test_reviewers_that_people_chose_stay(self, world: CodeHostWorld, host: CodeHost) -> None:
        """Ours are for the opening only."""
        await world.push(BRANCH)
        made = await world.open_by_hand(BRANCH, "By hand", reviewers=[world.account("bob")])
        changed = await host.publish(text(reviewers=(world.account("ada"),)))
        assert (changed.id, changed.title) == (made, "By hand")
        assert await world.reviewers(made) == [world.account("bob")]

    async def test_a_lost_answer_doubles_nothing(self, world: CodeHostWorld, host: CodeHost) -> None:
        """It is looked for before another is made, whether at once or by the next try."""
        await world.push(BRANCH)
        await world.lose_answer("publish")
        made = await host.publish(TEXT)
        assert await world.pull_requests(BRANCH) == [(made.id, TEXT.title)]

    async def test_another_start_finds_what_the_last_has_opened(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest
    ) -> None:
        """Nothing is remembered that the host does not know."""
        async with world.open() as again:
            assert (await again.publish(TEXT)).id == pull.id
        assert len(await world.pull_requests(BRANCH)) == 1

    async def test_two_at_once_open_one(self, world: CodeHostWorld, host: CodeHost) -> None:
        """A command that is carried out twice has the effect of one."""
        await world.push(BRANCH)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(host.publish, TEXT)
        assert len(await world.pull_requests(BRANCH)) == 1

    async def test_without_branch_or_change_a_person_has_to_act(self, world: CodeHostWorld, host: CodeHost) -> None:
        """One line says which it is."""
        with pytest.raises(Refused, match=BRANCH) as caught:
            await host.publish(TEXT)
        assert "\n" not in str(caught.value)
        await world.branch_off(BRANCH)
        with pytest.raises(Refused) as caught:
            await host.publish(TEXT)
        assert "\n" not in str(caught.value)
        assert await world.pull_requests(BRANCH) == []

    @pytest.mark.parametrize("end", ["merged", "declined"])
    async def test_one_that_is_over_is_left_alone(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest, end: str
    ) -> None:
        """As long as nothing was pushed since; with new commits there is another."""
        await (world.merge(pull.id) if end == "merged" else world.decline(pull.id))
        found = await host.publish(text(title="Another"))
        assert (found.id, found.title, found.state) == (pull.id, TEXT.title, end)
        await world.push(BRANCH, {"more": "work\n"})
        found = await host.publish(text(title="Another"))
        assert (found.title, found.state) == ("Another", "open") and found.id != pull.id


class TestComments:
    async def test_what_has_a_marker_is_said_once(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest
    ) -> None:
        """Again it is edited in place, also by the next start; another marker is another comment."""
        first = await host.comment(pull.id, "status", "begun")
        assert await host.comment(pull.id, "status", "done") == first
        async with world.open() as again:
            assert await again.comment(pull.id, "status", "done, really") == first
        other = await host.comment(pull.id, "status-2", "other")
        assert other != first
        said = await world.comments(pull.id)
        assert len(said) == 2 and said[0].startswith("done, really") and said[1].startswith("other")

    async def test_a_lost_answer_doubles_no_comment(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest
    ) -> None:
        """It is looked for before another is written."""
        await world.lose_answer("comment")
        made = await host.comment(pull.id, "status", "once")
        assert len(await world.comments(pull.id)) == 1
        assert await host.comment(pull.id, "status", "twice") == made

    async def test_two_at_once_are_one(self, world: CodeHostWorld, host: CodeHost, pull: PullRequest) -> None:
        """A command that is carried out twice has the effect of one."""
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(host.comment, pull.id, "status", "once")
        assert len(await world.comments(pull.id)) == 1

    async def test_a_copied_marker_is_not_ours(self, world: CodeHostWorld, host: CodeHost, pull: PullRequest) -> None:
        """A person who quotes our comment as a whole is not written over."""
        await host.comment(pull.id, "status", "ours")
        (copied,) = await world.comments(pull.id)
        async with world.open() as again:
            theirs = await world.say(pull.id, copied)
            assert await again.comment(pull.id, "status", "ours again") != theirs
        said = await world.comments(pull.id)
        assert len(said) == 2 and said[0].startswith("ours again") and said[1] == copied

    async def test_a_deleted_comment_is_written_anew(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest
    ) -> None:
        """A person may take ours off; the next report is there again."""
        first = await host.comment(pull.id, "status", "one")
        await world.delete_comment(pull.id, first)
        assert await host.comment(pull.id, "status", "two") != first
        assert len(await world.comments(pull.id)) == 1

    async def test_an_answer_stands_in_its_thread(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest
    ) -> None:
        """And is known as ours."""
        thread_id = await world.say(pull.id, "why?", path="a.py", line=3)
        answer = await host.comment(pull.id, "answer-1", "because", thread_id=thread_id)
        (thread,) = (await host.read(pull.id)).threads
        assert [(one.id, one.text, one.is_ours) for one in thread.comments] == [
            (thread_id, "why?", False),
            (answer, "because", True),
        ]

    async def test_what_is_gone_is_not_found(self, world: CodeHostWorld, host: CodeHost, pull: PullRequest) -> None:
        """A pull request, or a thread."""
        with pytest.raises(NotFound):
            await host.comment(MISSING, "status", "text")
        with pytest.raises(NotFound):
            await host.comment(pull.id, "answer", "text", thread_id=MISSING)
        with pytest.raises(NotFound):
            await host.read(MISSING)


class TestReading:
    async def test_threads_keep_place_and_order(self, world: CodeHostWorld, host: CodeHost, pull: PullRequest) -> None:
        """About the whole, a line, a deleted line; answers to answers are in the thread of the first."""
        whole = await world.say(pull.id, "in general")
        line = await world.say(pull.id, "here", path="src/a.py", line=12, author="bob")
        gone = await world.say(pull.id, "why deleted?", path="src/b.py", old_line=7)
        answer = await world.say(pull.id, "so", answer_to=line)
        deeper = await world.say(pull.id, "no", answer_to=answer, author="bob")
        threads = (await host.read(pull.id)).threads
        assert [(one.id, one.path, one.line, one.old_line) for one in threads] == [
            (whole, "", None, None),
            (line, "src/a.py", 12, None),
            (gone, "src/b.py", None, 7),
        ]
        assert [one.id for one in threads[1].comments] == [line, answer, deeper]
        first = threads[1].comments[0]
        assert (first.author, first.author_name, first.text) == (world.account("bob"), "Bob", "here")
        assert first.at_ms > 0 and not first.is_ours

    async def test_deleted_comments_say_nothing(self, world: CodeHostWorld, host: CodeHost, pull: PullRequest) -> None:
        """A thread whose beginning was deleted goes on with its answers; one without any is gone."""
        root = await world.say(pull.id, "regretted", path="a.py", line=1)
        answer = await world.say(pull.id, "an answer", answer_to=root)
        other = await world.say(pull.id, "regretted too")
        await world.delete_comment(pull.id, root)
        await world.delete_comment(pull.id, other)
        (thread,) = (await host.read(pull.id)).threads
        assert (thread.id, thread.path, [one.id for one in thread.comments]) == (root, "a.py", [answer])

    async def test_a_thread_is_settled_once(self, world: CodeHostWorld, host: CodeHost, pull: PullRequest) -> None:
        """Again it stays so; what cannot be settled says False."""
        thread_id = await world.say(pull.id, "rename this", path="a.py", line=1)
        assert not (await host.read(pull.id)).threads[0].is_resolved
        assert await host.resolve(pull.id, thread_id)
        assert await host.resolve(pull.id, thread_id)
        assert (await host.read(pull.id)).threads[0].is_resolved
        assert not await host.resolve(pull.id, MISSING)
        assert not await host.resolve(MISSING, thread_id)

    async def test_more_comments_than_fit_on_a_page_are_read(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest
    ) -> None:
        """None is left out."""
        for number in range(120):
            await world.say(pull.id, f"comment {number}")
        threads = (await host.read(pull.id)).threads
        assert [one.comments[0].text for one in threads] == [f"comment {number}" for number in range(120)]

    async def test_verdicts_are_the_latest(self, world: CodeHostWorld, host: CodeHost, pull: PullRequest) -> None:
        """Who only talks has none, and one may be taken back."""
        await world.say(pull.id, "hm", author="bob")
        await world.judge(pull.id, "changes_requested")
        (review,) = (await host.read(pull.id)).reviews
        assert (review.author, review.verdict) == (world.account("ada"), "changes_requested")
        await world.judge(pull.id, "approved")
        assert [one.verdict for one in (await host.read(pull.id)).reviews] == ["approved"]
        await world.judge(pull.id, None)
        assert (await host.read(pull.id)).reviews == ()

    async def test_checks_are_those_of_the_head(self, world: CodeHostWorld, host: CodeHost, pull: PullRequest) -> None:
        """Waiting, passed, failed, and stopped, which is a failure that says so."""
        old = await world.push(BRANCH)
        await world.report(old, "old", "failed")
        head = await world.push(BRANCH)
        for key, state in [("a", "pending"), ("b", "passed"), ("c", "failed"), ("d", "stopped")]:
            await world.report(head, key, state)
        checks = (await host.read(pull.id)).checks
        assert {one.key: one.state for one in checks} == {"a": "pending", "b": "passed", "c": "failed", "d": "failed"}
        assert "stopped" in next(one.description for one in checks if one.key == "d")

    async def test_a_failed_build_tells_its_end(self, world: CodeHostWorld, host: CodeHost, pull: PullRequest) -> None:
        """Of a long log the last 64 KiB, as plain text."""
        head = await world.push(BRANCH)
        lines = b"".join(b"line %d\n" % number for number in range(50_000))
        await world.fail_build(head, lines + b"\x1b[31mE   assert 1 == 2\x1b[0m\r\n\x00")
        (check,) = [one for one in (await host.read(pull.id)).checks if one.state == "failed"]
        log = await host.read_log(head, check)
        assert log.endswith("line 49999\nE   assert 1 == 2")
        assert 1_000 < len(log) <= 65_536

    async def test_a_check_of_somebody_else_has_no_log(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest
    ) -> None:
        """Empty, and no error: the address is there for people."""
        head = await world.push(BRANCH)
        await world.report(head, "elsewhere", "failed")
        (check,) = (await host.read(pull.id)).checks
        assert await host.read_log(head, check) == ""
        assert await host.read_log("0" * 40, CommitCheck(key="x", name="x", state="failed")) == ""

    async def test_conflicts_name_the_files(self, world: CodeHostWorld, host: CodeHost, pull: PullRequest) -> None:
        """None where both sides can be merged."""
        assert (await host.read(pull.id)).conflicts == ()
        await world.push(BRANCH, {"src/a.py": "ours\n", "b.py": "same\n"})
        await world.push("main", {"src/a.py": "theirs\n", "b.py": "same\n"})
        assert (await host.read(pull.id)).conflicts == ("src/a.py",)

    @pytest.mark.parametrize("end", ["merged", "declined"])
    async def test_one_that_is_over_can_still_be_read(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest, end: str
    ) -> None:
        """With what was said; nothing conflicts any more."""
        await world.say(pull.id, "thanks")
        await (world.merge(pull.id) if end == "merged" else world.decline(pull.id))
        reading = await host.read(pull.id)
        assert (reading.pull_request.state, reading.conflicts) == (end, ())
        assert [one.comments[0].text for one in reading.threads] == ["thanks"]

    async def test_every_change_shows_in_its_time(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest
    ) -> None:
        """A push, a comment, a verdict."""
        seen = [pull.updated_ms]
        for change in (
            lambda: world.push(BRANCH),
            lambda: world.say(pull.id, "text"),
            lambda: world.judge(pull.id, "approved"),
        ):
            await change()
            (found,) = await host.fetch([pull.id])
            seen.append(found.updated_ms)
        assert seen == sorted(set(seen))


class TestMerging:
    async def test_it_is_merged_as_it_is_once(self, world: CodeHostWorld, host: CodeHost, pull: PullRequest) -> None:
        """Asked again, also by another start, the answer is the same."""
        commit = await world.push(BRANCH)
        assert (await host.merge(pull.id, commit, "merge_commit")).state == "merged"
        assert (await host.merge(pull.id, commit, "merge_commit")).state == "merged"
        async with world.open() as again:
            assert (await again.merge(pull.id, commit, "merge_commit")).id == pull.id
        assert [one.state for one in await host.fetch([pull.id])] == ["merged"]

    async def test_a_branch_that_went_on_is_not_merged(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest
    ) -> None:
        """What was not meant is not merged along."""
        commit = await world.push(BRANCH)
        await world.push(BRANCH)
        with pytest.raises(Refused):
            await host.merge(pull.id, commit, "merge_commit")
        assert [one.state for one in await host.fetch([pull.id])] == ["open"]

    async def test_what_was_declined_or_is_gone_stays_so(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest
    ) -> None:
        """Nobody opens it again."""
        commit = await world.push(BRANCH)
        await world.decline(pull.id)
        with pytest.raises(Refused):
            await host.merge(pull.id, commit, "merge_commit")
        with pytest.raises(NotFound):
            await host.merge(MISSING, commit, "merge_commit")

    async def test_conflicts_are_not_merged(self, world: CodeHostWorld, host: CodeHost, pull: PullRequest) -> None:
        """The host says so."""
        await world.push("main", {"a.py": "theirs\n"})
        commit = await world.push(BRANCH, {"a.py": "ours\n"})
        with pytest.raises(Refused):
            await host.merge(pull.id, commit, "merge_commit")

    async def test_a_merge_whose_answer_was_lost_is_found(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest
    ) -> None:
        """It is merged, once."""
        commit = await world.push(BRANCH)
        await world.lose_answer("merge")
        with pytest.raises(ServiceError):
            await host.merge(pull.id, commit, "merge_commit")
        assert (await host.merge(pull.id, commit, "merge_commit")).state == "merged"

    async def test_an_approval_says_of_which_commit_it_is(
        self, world: CodeHostWorld, host: CodeHost, pull: PullRequest
    ) -> None:
        """Given before a push it is none of what was pushed."""
        commit = await world.push(BRANCH)
        await world.judge(pull.id, "approved")
        await world.push(BRANCH)
        (review,) = (await host.read(pull.id)).reviews
        assert review.verdict == "approved" and not review.is_ours
        assert is_same_commit(review.commit, commit)
