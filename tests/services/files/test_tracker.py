"""The files tracker where it differs from every other: what it writes into files that belong to people."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path

import anyio
import pytest

from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, ConfigurationError, NotFound, Refused, ServiceError, Unreachable
from opensymphony.interfaces import Tracker
from opensymphony.model import Claim, TicketId
from opensymphony.services import open_tracker
from opensymphony.workflow.policy import TrackerPolicy
from tests.services.files.world import files_tracker

T1 = TicketId("T-1")
MINE = Claim(instance="here", generation=1, heartbeat_ms=1_000)
TEXT = b"---\r\n# mine\r\nstate:  'Todo' # now\r\ntitle: x\r\n---\r\n\r\nbody, no end"


@pytest.fixture
def board(tmp_path: Path) -> Path:
    folder = tmp_path / "board"
    folder.mkdir()
    return folder


@pytest.fixture
def tracker(board: Path) -> Tracker:
    return files_tracker(board)


async def test_a_whole_run_leaves_only_the_state_behind(tracker: Tracker, board: Path) -> None:
    """Claimed, renewed, moved twice, released: one word differs, and there is one file more."""
    path = board / "T-1.md"
    path.write_bytes(TEXT)
    path.chmod(0o640)
    await tracker.claim(T1, MINE, replacing=None)
    await tracker.transition(T1, from_states=["todo"], to_state="In Progress")
    await tracker.claim(T1, Claim(instance="here", generation=1, heartbeat_ms=2_000), replacing=None)
    await tracker.upsert_comment(T1, "m", "hello")
    await tracker.transition(T1, from_states=["in progress"], to_state="In Review")
    await tracker.release(T1, MINE)
    assert path.read_bytes() == TEXT.replace(b"'Todo'", b"In Review")
    assert sorted(os.listdir(board)) == ["T-1.comments.md", "T-1.md"]
    assert [entry.stat().st_mode & 0o777 for entry in (path, board / "T-1.comments.md")] == [0o640, 0o640]


async def test_a_call_without_effect_writes_nothing(tracker: Tracker, board: Path) -> None:
    """Not even the same bytes again: an open editor would ask its person about it."""
    path = board / "T-1.md"
    path.write_bytes(TEXT)
    await tracker.claim(T1, MINE, replacing=None)
    await tracker.upsert_comment(T1, "m", "hello")
    before = [(entry.stat().st_ino, entry.stat().st_mtime_ns) for entry in (path, board / "T-1.comments.md")]
    await tracker.claim(T1, MINE, replacing=None)
    await tracker.claim(T1, Claim(instance="there", generation=1, heartbeat_ms=1_000), replacing=None)
    await tracker.release(T1, Claim(instance="there", generation=1, heartbeat_ms=1_000))
    await tracker.transition(T1, from_states=["Done"], to_state="Todo")
    await tracker.transition(T1, from_states=["Todo"], to_state="todo")
    await tracker.upsert_comment(T1, "m", "hello")
    assert before == [(entry.stat().st_ino, entry.stat().st_mtime_ns) for entry in (path, board / "T-1.comments.md")]


async def test_a_file_that_is_half_saved_is_waited_for(tracker: Tracker, board: Path) -> None:
    """An editor empties a file before it writes it, or moves it away first."""
    path = board / "T-1.md"
    path.write_bytes(b"")
    timer = threading.Timer(0.03, path.write_bytes, [TEXT])
    timer.start()
    assert (await tracker.transition(T1, from_states=["Todo"], to_state="Done")).moved
    timer.join()
    path.rename(board / "T-1.md~")
    timer = threading.Timer(0.03, path.write_bytes, [TEXT])
    timer.start()
    assert [ticket.state for ticket in await tracker.fetch_tickets([T1])] == ["Todo"]
    timer.join()


async def test_a_file_that_somebody_holds_open_for_writing_is_left_alone(tracker: Tracker, board: Path) -> None:
    """And the message says why."""
    (board / "T-1.md").write_bytes(TEXT)
    with (board / "T-1.md").open("r+"), pytest.raises(Unreachable, match="held open for writing"):
        await tracker.claim(T1, MINE, replacing=None)
    assert (board / "T-1.md").read_bytes() == TEXT
    assert os.listdir(board) == ["T-1.md"]


async def test_malformed_and_foreign_files_are_never_edited(tracker: Tracker, board: Path, tmp_path: Path) -> None:
    """Each refusal names the file; nothing outside the folder is touched."""
    (board / "T-1.md").write_text("no ticket")
    with pytest.raises(BadAnswer, match=r"T-1\.md:1:"):
        await tracker.claim(T1, MINE, replacing=None)
    outside = tmp_path / "outside.md"
    outside.write_bytes(TEXT)
    (board / "T-2.md").symlink_to(outside)
    (board / "T-3.md").write_bytes(TEXT)
    (board / "T-3.comments.md").symlink_to(outside)
    with pytest.raises(Refused, match=r"T-2\.md"):
        await tracker.transition(TicketId("T-2"), from_states=["Todo"], to_state="Done")
    with pytest.raises(Refused, match=r"T-3\.comments\.md"):
        await tracker.upsert_comment(TicketId("T-3"), "m", "x")
    for name in ("../outside", "T-3.comments", str(outside.with_suffix(""))):
        with pytest.raises(NotFound):
            await tracker.claim(TicketId(name), MINE, replacing=None)
    assert outside.read_bytes() == TEXT


async def test_a_comment_file_that_cannot_be_edited_is_left_alone(tracker: Tracker, board: Path) -> None:
    """Not text, or too large: one line that says so."""
    (board / "T-1.md").write_bytes(TEXT)
    comments = board / "T-1.comments.md"
    for content, word in ((b"fine\n\xff", "T-1.comments.md:2: .*UTF-8"), (b"x" * (1 << 20), "larger than")):
        comments.write_bytes(content)
        with pytest.raises(BadAnswer, match=word):
            await tracker.upsert_comment(T1, "m", "x")
        assert comments.read_bytes() == content


async def test_two_writers_of_one_comment_file_lose_nothing(board: Path) -> None:
    """Two daemons and a person, each with a comment of its own."""
    (board / "T-1.md").write_bytes(TEXT)
    trackers = [files_tracker(board) for _ in range(2)]

    async def write(tracker: Tracker, name: str) -> None:
        for number in range(10):
            await tracker.upsert_comment(T1, f"{name}-{number % 3}", f"{name} says {number}")

    async with anyio.create_task_group() as tasks:
        for tracker, name in zip(trackers, ("one", "two"), strict=True):
            tasks.start_soon(write, tracker, name)
    text = (board / "T-1.comments.md").read_text()
    for name in ("one", "two"):
        assert [text.count(f"{name} says {number}\n") for number in range(10)] == [0] * 7 + [1] * 3
    assert sorted(os.listdir(board)) == ["T-1.comments.md", "T-1.md"]


async def test_a_missing_folder_is_trouble_for_every_call(tracker: Tracker, board: Path) -> None:
    """Release included: we cannot know that the claim is off."""
    await anyio.Path(board).rmdir()
    for call in (
        tracker.claim(T1, MINE, replacing=None),
        tracker.release(T1, MINE),
        tracker.transition(T1, from_states=["Todo"], to_state="Done"),
        tracker.upsert_comment(T1, "m", "x"),
        tracker.fetch_candidates(["Todo"]),
    ):
        with pytest.raises(ServiceError, match="there is no folder") as caught:
            await call
        assert not isinstance(caught.value, NotFound)


@pytest.mark.parametrize("provider", [{}, {"path": ""}, {"path": 5}, {"path": "relative"}, {"path": None}])
def test_a_policy_without_a_folder_is_refused(provider: dict[str, object]) -> None:
    """With the key; keys that we do not know are nobody's business."""
    with pytest.raises(ConfigurationError) as caught:
        open_tracker(TrackerPolicy(kind="files", provider=provider | {"x_custom": 1}), Clock())
    assert caught.value.problems[0].key == "tracker.provider.path"


async def test_without_locks_a_claim_takes_time_to_settle(
    tracker: Tracker, board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With locks it is certain at once; on a file system that has none, others may still write, and it says so."""
    (board / "T-1.md").write_bytes(TEXT)
    assert (await tracker.claim(T1, MINE, replacing=None)).granted
    assert tracker.claim_settle_ms == 0

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    await tracker.claim(T1, Claim(instance="here", generation=1, heartbeat_ms=9), replacing=None)
    assert tracker.claim_settle_ms >= 1_000
    monkeypatch.undo()
    await tracker.release(T1, MINE)
    assert tracker.claim_settle_ms == 0
