"""A person's text survives our edits, at any moment and through any crash."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from opensymphony.errors import ServiceError
from opensymphony.model import Claim, TicketId
from opensymphony.services.files import exchange
from tests.services.files import crashes
from tests.services.files.world import files_tracker

NAME = "T-1.md"


@pytest.fixture(params=["exchange", "move"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With names that can be exchanged, and as on a platform where they cannot."""
    if request.param == "move":
        monkeypatch.setattr(exchange, "_renameat2", None)
    return request.param


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    with exchange.opened(str(tmp_path)) as folder, exchange.locked(folder):
        yield folder


class TestReplace:
    def test_the_file_says_the_new_text_and_nothing_is_left(self, way: str, folder: int, tmp_path: Path) -> None:
        """Its permissions stay."""
        (tmp_path / NAME).write_text("old")
        (tmp_path / NAME).chmod(0o640)
        assert exchange.replace(folder, NAME, exchange.read(folder, NAME, 100), b"new")
        assert os.listdir(tmp_path) == [NAME]
        assert (tmp_path / NAME).read_text() == "new"
        assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o640

    @pytest.mark.parametrize("saved", ["longer than before", "OLD", ""])
    def test_what_a_person_saved_after_our_reading_stays(
        self, way: str, folder: int, tmp_path: Path, saved: str
    ) -> None:
        """We are told so, and nothing is left."""
        (tmp_path / NAME).write_text("old")
        before = exchange.read(folder, NAME, 100)
        (tmp_path / NAME).write_text(saved)
        assert not exchange.replace(folder, NAME, before, b"new")
        assert os.listdir(tmp_path) == [NAME]
        assert (tmp_path / NAME).read_text() == saved

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="leases are Linux's")
    def test_a_file_that_is_open_for_writing_is_left_alone(self, folder: int, tmp_path: Path) -> None:
        """The program that has it open writes later, without truncating first; its text must not go to a deleted file."""
        (tmp_path / NAME).write_text("old")
        before = exchange.read(folder, NAME, 100)
        with (tmp_path / NAME).open("r+") as editor:
            assert not exchange.replace(folder, NAME, before, b"new")
            editor.write("mine")
        assert os.listdir(tmp_path) == [NAME]
        assert (tmp_path / NAME).read_text() == "mine"
        assert exchange.replace(folder, NAME, exchange.read(folder, NAME, 100), b"new")

    def test_a_file_that_went_away_stays_away(self, way: str, folder: int, tmp_path: Path) -> None:
        """A person who deletes a ticket wins too."""
        (tmp_path / NAME).write_text("old")
        before = exchange.read(folder, NAME, 100)
        (tmp_path / NAME).unlink()
        with pytest.raises(FileNotFoundError):
            exchange.replace(folder, NAME, before, b"new")
        assert os.listdir(tmp_path) == []

    def test_links_and_folders_are_no_files(self, way: str, folder: int, tmp_path: Path) -> None:
        """Neither when they are read nor when they appear meanwhile."""
        (tmp_path / NAME).write_text("old")
        before = exchange.read(folder, NAME, 100)
        (tmp_path / NAME).unlink()
        (tmp_path / NAME).symlink_to("elsewhere")
        assert not exchange.replace(folder, NAME, before, b"new")
        assert os.readlink(tmp_path / NAME) == "elsewhere"
        os.mkfifo(tmp_path / "pipe")
        for name in (NAME, "pipe", "."):
            with pytest.raises(exchange.NotAFile):
                exchange.read(folder, name, 100)

    def test_making_a_file_never_writes_over_one(self, way: str, folder: int, tmp_path: Path) -> None:
        """The one that was there first stays."""
        assert exchange.create(folder, NAME, b"first", 0o644)
        assert not exchange.create(folder, NAME, b"second", 0o644)
        assert os.listdir(tmp_path) == [NAME]
        assert (tmp_path / NAME).read_text() == "first"


class TestLock:
    def test_a_folder_has_one_writer(self, folder: int, tmp_path: Path) -> None:
        """Also within one process."""
        with exchange.opened(str(tmp_path)) as other, pytest.raises(exchange.Busy), exchange.locked(other, wait=False):
            pass


class TestCrashes:
    @pytest.mark.parametrize("way_of", ["exchange", "move"])
    async def test_no_kill_loses_a_text(self, way_of: str) -> None:
        """Killed before every file operation, with up to two saves of a person at every operation before.

        After the recovery: the file is there, with a complete text; no leftover; and every text that a person saved is in the
        file or kept beside it, unless the person saved over it.
        """
        # In memory where that can be: each of a thousand edits would wait for a disk, whose part it is not that is shown here.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="opensymphony-", dir=memory) as directory:
            command = [sys.executable, crashes.__file__, directory, way_of]
            process = await anyio.run_process(command, env=os.environ | {"PYTHONPATH": os.getcwd()})
        cases = [json.loads(line) for line in process.stdout.splitlines()]
        assert len(cases) > 200
        texts = {crashes.READ.decode(), crashes.WRITTEN.decode(), *(save.decode() for save in crashes.SAVES)}
        for case in cases:
            files, saved = case["files"], case["saved"]
            assert files[NAME] in texts, case
            assert not [name for name in files if exchange.is_leftover(name)], case
            kept = {text for name, text in files.items() if exchange.kept_of(name) == NAME}
            assert set(files) == {NAME} | {name for name in files if exchange.kept_of(name)}, case
            overwritten = {save["over"] for save in saved}
            for save in saved:
                assert save["text"] in {files[NAME], *kept} or save["text"] in overwritten, case
            if saved:
                assert saved[-1]["text"] in {files[NAME], *kept}, case
            if len(saved) == 1:
                assert files[NAME] == saved[0]["text"], case
            if len(saved) < 2:
                assert not kept, case
        assert any(case["crashed"] != [NAME] for case in cases)
        assert {len(case["saved"]) for case in cases} == {0, 1, 2}

    def test_leftovers_with_a_strange_content_or_owner_harm_nobody(self, folder: int, tmp_path: Path) -> None:
        """A file that only looks like one of ours is kept for people, not deleted."""
        leftover = f".{NAME}.opensymphony-swap-{'0' * 32}-{'1' * 32}-00000000"
        (tmp_path / leftover).write_text("whose?")
        exchange.recover(folder)
        (name,) = os.listdir(tmp_path)
        assert exchange.kept_of(name) == NAME
        assert (tmp_path / name).read_text() == "whose?"


class Editor(threading.Thread):
    """Saves one version after another, in place and by renaming, and checks that the newest stays."""

    def __init__(self, path: Path, versions: int) -> None:
        super().__init__()
        self._path, self._versions = path, versions
        self.lost: list[str] = []

    def run(self) -> None:
        for version in range(self._versions):
            text = f"---\ntitle: version {version}\nstate: Todo\n---\n{'line of text' * 500} {version}\n"
            if version % 3 == 0:
                self._path.write_text(text)
            elif version % 3 == 1:
                fresh = self._path.with_name(".editor")
                fresh.write_text(text)
                fresh.rename(self._path)
            else:
                with self._path.open("r+") as file:  # Opened, thought about, written, cut.
                    threading.Event().wait(0.001)
                    file.write(text)
                    file.truncate()
            threading.Event().wait(version % 5 * 0.004)
            if not self._stays(version):
                self.lost.append(text)

    def _stays(self, version: int) -> bool:
        for _ in range(1000):
            kept = list(self._path.parent.glob("*.kept-*"))
            if any(f" {version}\n" in path.read_text() for path in [self._path, *kept]):
                return True
            threading.Event().wait(0.002)
        return False


async def test_nothing_that_a_person_saves_is_lost(tmp_path: Path) -> None:
    """We move a ticket to and fro and claim it as fast as we can, while somebody saves it 200 times."""
    path = tmp_path / NAME
    path.write_text("---\ntitle: version -1\nstate: Todo\n---\n")
    tracker, ticket_id = files_tracker(tmp_path), TicketId("T-1")
    editor = Editor(path, 200)
    editor.start()
    moved = claimed = turn = 0
    states = ["Todo", "In Progress"]
    while editor.is_alive():
        turn += 1
        try:
            answer = await tracker.transition(ticket_id, from_states=states, to_state=states[turn % 2])
            claim = Claim(instance="here", generation=1, heartbeat_ms=turn)
            claimed += (await tracker.claim(ticket_id, claim, replacing=None)).granted
        except ServiceError:
            continue  # Saved too often just now; said so, and nothing done.
        moved += answer.moved
    await anyio.to_thread.run_sync(editor.join)
    assert editor.lost == []
    assert moved > 10 and claimed > 10
    answer = await tracker.transition(ticket_id, from_states=["Todo", "In Progress"], to_state="Done")
    text = path.read_text()
    assert text.startswith("---\ntitle: version 199\nstate: Done\n") and text.endswith(" 199\n")
    assert not [name for name in os.listdir(tmp_path) if exchange.is_leftover(name)]


def test_a_disk_that_fills_up_leaves_the_old_text_and_nothing_else(
    folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a text is never put in place, nor left beside."""
    (tmp_path / "T.md").write_bytes(b"before")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        exchange.replace(folder, "T.md", exchange.read(folder, "T.md", 100), b"after")
    assert (tmp_path / "T.md").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["T.md"]
