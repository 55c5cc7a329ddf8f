"""Conversations of closed tickets go into the archive, and those that are wanted again come out."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

import pytest

from opensymphony.agents import archive_conversations
from opensymphony.agents.openhands.archives import Disk, plan, put_in_order

ONE, TWO, THREE = (f"{digit * 8}-{digit * 4}-5{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "123")


class Store:
    """A store of conversations, as a server that does not run leaves it."""

    def __init__(self, directory: Path) -> None:
        self.active = directory / "active"
        self.archived = directory / "archived"
        self.active.mkdir()

    def add(self, conversation_id: str, text: str = "{}", *, archived: bool = False) -> Path:
        place = (self.archived if archived else self.active) / conversation_id.replace("-", "")
        (place / "events").mkdir(parents=True)
        (place / "meta.json").write_text(text)
        return place

    def order(self, closed: set[str], wanted: set[str]) -> tuple[int, int]:
        return put_in_order([self.active], self.archived, closed=closed, wanted=wanted)

    def names(self) -> tuple[list[str], list[str]]:
        places = (self.active, self.archived)
        return tuple(sorted(os.listdir(place)) if place.is_dir() else [] for place in places)  # type: ignore[return-value]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def plain(*ids: str) -> list[str]:
    return [one.replace("-", "") for one in ids]


@pytest.mark.parity("move_to_archive_from_active")
@pytest.mark.parity("keeps_existing_archived_archived")
def test_closed_ones_are_put_away_and_wanted_ones_taken_out(store: Store) -> None:
    """Whole, each once; what nobody spoke of stays where it is."""
    store.add(ONE)
    store.add(TWO)
    store.add(THREE, archived=True)
    assert store.order({ONE}, {THREE}) == (1, 1)
    assert store.names() == (plain(TWO, THREE), plain(ONE))
    assert (store.archived / plain(ONE)[0] / "events").is_dir()
    assert store.order({ONE}, {THREE}) == (0, 0)


def test_its_age_is_how_long_it_has_been_archived(store: Store) -> None:
    """Not how old the conversation is: it may have been worked on for months."""
    place = store.add(ONE)
    os.utime(place, (1_000_000, 1_000_000))
    store.order({ONE}, set())
    assert (store.archived / place.name).stat().st_mtime > 1_000_000
    assert store.archived.stat().st_mode & 0o777 == 0o700


def test_a_second_life_does_not_overwrite_the_first(store: Store) -> None:
    """A ticket that was re-opened while the server ran has two conversations of one id; the newer one is taken out again."""
    for text in ("first", "second", "third"):
        store.add(ONE, text)
        assert store.order({ONE}, set()) == (1, 0)
    [name] = plain(ONE)
    assert store.names() == ([], [name, f"{name}.1", f"{name}.2"])
    assert store.order(set(), {ONE}) == (0, 1)
    assert (store.active / name / "meta.json").read_text() == "third"
    store.add(ONE, "kept", archived=True)
    assert store.order(set(), {ONE}) == (0, 0), "one that is in use is never replaced"


def test_only_directories_of_conversations_are_moved(store: Store, tmp_path: Path) -> None:
    """No link, no file, nothing with another name, and nothing through an archive that is a link."""
    outside = tmp_path / "outside"
    outside.mkdir()
    one, two = plain(ONE, TWO)
    (store.active / one).symlink_to(outside)
    (store.active / two).write_text("a file")
    (store.active / "notes").mkdir()
    assert store.order({ONE, TWO, "notes"}, set()) == (0, 0)
    store.archived.symlink_to(outside)
    store.add(THREE)
    assert store.order({THREE}, {THREE}) == (0, 0)
    assert list(outside.iterdir()) == []


def test_trouble_keeps_nobody_from_starting(store: Store, tmp_path: Path) -> None:
    """A store that is not there yet, or an archive that cannot be made: told in the log, and that is all."""
    assert archive_conversations(tmp_path / "none", tmp_path / "no", closed=frozenset({ONE}), wanted=frozenset()) == (
        0,
        0,
    )
    store.add(ONE)
    store.archived.write_text("in the way")
    assert store.order({ONE}, set()) == (0, 0)
    assert store.names()[0] == plain(ONE)


class Killed(Exception):
    """The daemon dies here."""


class FailingDisk(Disk):
    """Two file systems, and a death before or in the step of a number."""

    def __init__(self, alive_for: int, across: bool = True) -> None:
        self.left = alive_for
        self.across = across

    def rename(self, source: Path, target: Path) -> None:
        self._step()
        if self.across and source.parent != target.parent:
            raise OSError(errno.EXDEV, "across", str(source))
        super().rename(source, target)

    def copy(self, source: Path, target: Path) -> None:
        if self.left == 0:
            target.mkdir()
            shutil.copy(source / "meta.json", target)
        self._step()
        super().copy(source, target)

    def remove(self, path: Path) -> None:
        if self.left == 0:
            (path / "meta.json").unlink(missing_ok=True)
        self._step()
        super().remove(path)

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


def with_events(place: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (place / "events" / f"event-{number:05}-{name}.json").write_text("{}")
    return place


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("steps", range(16))
def test_a_death_at_any_step_is_made_good(store: Store, steps: int, across: bool) -> None:
    """On one file system or across two: the next start ends what was begun; nothing is lost, doubled or left over."""
    with_events(store.add(ONE), "a", "b", "c")
    with_events(store.add(ONE, archived=True), "x")
    with_events(store.add(TWO, archived=True), "d")
    with contextlib.suppress(Killed):
        put_in_order([store.active], store.archived, closed={ONE}, wanted={TWO}, disk=FailingDisk(steps, across))
    put_in_order([store.active], store.archived, closed={ONE}, wanted={TWO}, disk=FailingDisk(99, across))
    [one], [two] = plain(ONE), plain(TWO)
    assert store.names() == ([two], [one, f"{one}.1"])
    assert sorted(os.listdir(store.archived / one / "events"))[2] == "event-00002-c.json"
    assert (store.archived / one / "meta.json").is_file() and (store.active / two / "meta.json").is_file()
    assert os.listdir(store.archived / f"{one}.1" / "events") == ["event-00000-x.json"]
    assert plan([store.active], store.archived, closed={ONE}, wanted={TWO}) == ()


def test_of_two_the_longer_one_wins(store: Store) -> None:
    """The other one is kept aside."""
    with_events(store.add(ONE), "a")
    with_events(store.add(ONE, archived=True), "x", "y")
    [move] = plan([store.active], store.archived, closed={ONE}, wanted=set())
    assert str(move) == f"move {move.source} to {store.archived / plain(ONE)[0]}.1"
    store.order({ONE}, set())
    assert len(os.listdir(store.archived / plain(ONE)[0] / "events")) == 2


def test_stores_of_several_servers(store: Store, tmp_path: Path) -> None:
    """What another server uses is left there, and nothing is put beside it; what servers that are gone had comes along."""
    in_use, gone = tmp_path / "active-2", tmp_path / "active-3"
    for place in (in_use, gone):
        place.mkdir()
    used = with_events(store.add(ONE, archived=True), "a").parent
    with_events(store.add(ONE), "a", "b").rename(in_use / plain(ONE)[0])
    with_events(store.add(TWO), "a").rename(in_use / plain(TWO)[0])
    with_events(store.add(THREE), "a").rename(gone / plain(THREE)[0])
    assert used == store.archived
    put_in_order([store.active], store.archived, closed={TWO}, wanted={ONE, THREE}, leaving=[gone], in_use=[in_use])
    assert store.names() == (plain(THREE), plain(ONE))
    assert (sorted(os.listdir(in_use)), os.listdir(gone)) == (plain(ONE, TWO), [])
    put_in_order([in_use], store.archived, closed={TWO}, wanted={ONE, THREE}, in_use=[store.active])
    assert store.names() == (plain(THREE), plain(ONE, TWO))
    assert os.listdir(in_use) == plain(ONE)


@pytest.mark.parity("move_to_archive_migrates_legacy")
def test_what_is_ours_leaves_the_flat_store(store: Store, tmp_path: Path) -> None:
    """Conversations of others stay there; one that has a newer copy in use goes into the archive."""
    legacy = tmp_path / "flat"
    legacy.mkdir()
    for conversation_id in (ONE, TWO, THREE):
        with_events(store.add(conversation_id), "a").rename(legacy / conversation_id.replace("-", ""))
    put_in_order([store.active], store.archived, closed={ONE}, wanted={TWO}, leaving=[legacy])
    assert (*store.names(), os.listdir(legacy)) == (plain(TWO), plain(ONE), plain(THREE))


@pytest.mark.parity("store_paths_are_repo_scoped")
def test_several_servers_have_stores_of_their_own(store: Store, tmp_path: Path) -> None:
    """What is wanted and lies in any of them stays there; what is closed leaves each."""
    second = tmp_path / "active-2"
    second.mkdir()
    for conversation_id in (ONE, TWO):
        store.add(conversation_id).rename(second / conversation_id.replace("-", ""))
    store.add(TWO, archived=True)
    put_in_order([store.active, second], store.archived, closed={ONE}, wanted={TWO})
    assert (*store.names(), os.listdir(second)) == ([], plain(ONE, TWO), plain(TWO))
