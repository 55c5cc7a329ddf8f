"""A folder of tickets as people keep it: tickets, and much that is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, Refused, ServiceError, Unreachable
from opensymphony.model import TicketId
from opensymphony.services.files import folder as folder_module
from opensymphony.services.files.folder import Folder

GOOD = "---\ntitle: Good\nstate: Todo\n---\n"


class SetClock(Clock):
    """Time that a test moves."""

    def __init__(self) -> None:
        super().__init__()
        self.at_ms = 1_000_000

    def now_ms(self) -> int:
        return self.at_ms


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def folder(tmp_path: Path, clock: SetClock) -> Folder:
    return Folder(tmp_path, clock)


def names(folder: Folder) -> list[str]:
    return [ticket.identifier for ticket in folder.scan().page(["todo"]).tickets]


def problems(folder: Folder) -> list[str]:
    return [problem.removeprefix(f"{folder.path}/") for problem in folder.scan().page(["todo"]).problems]


def test_what_is_no_ticket_is_ignored_without_a_word(folder: Folder, tmp_path: Path) -> None:
    """Backups and half-written files of editors, our comments, the readme, folders and other kinds of files."""
    for name in (
        "T-1.md",
        "T-1.md~",
        ".T-1.md.swp",
        "#T-1.md#",
        ".#T-1.md",
        "T-1.md.tmp",
        "T-1.md.bak",
        "T-1.comments.md",
        "README.md",
        "readme.md",
        "notes.txt",
        "4913",
        ".hidden.md",
    ):
        (tmp_path / name).write_text(GOOD)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "T-0.md").write_text(GOOD)
    assert names(folder) == ["T-1"]
    assert problems(folder) == []


def test_what_looks_like_a_ticket_and_is_none_is_reported(folder: Folder, tmp_path: Path) -> None:
    """One line each, with the file; the good ticket is there all the same."""
    (tmp_path / "T-1.md").write_text(GOOD)
    (tmp_path / "T 2.md").write_text(GOOD)
    (tmp_path / "größe.md").write_text(GOOD)
    (tmp_path / ("x" * 101 + ".md")).write_text(GOOD)
    (tmp_path / "a\nb.md").write_text(GOOD)
    (tmp_path / os.fsdecode(b"\xff.md")).write_text(GOOD)
    (tmp_path / "link.md").symlink_to(tmp_path / "T-1.md")
    (tmp_path / "dir.md").mkdir()
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "bad.md").write_text("---\ntitle: x\nstate: [\n---\n")
    (tmp_path / "T-1.md.kept-0123abcd").write_text("mine")
    found = problems(folder)
    assert names(folder) == ["T-1"]
    assert len(found) == 10
    assert all(problem.isprintable() for problem in found)
    by_name = {problem.split(": ")[0]: problem for problem in found}
    assert "symbolic link" in by_name["link.md"]
    assert "not a file" in by_name["dir.md"] and "not a file" in by_name["pipe.md"]
    assert "YAML" in by_name["bad.md:4"]
    assert "a text of T-1.md" in by_name["T-1.md.kept-0123abcd"]
    assert "letters" in by_name["T 2.md"] and "letters" in by_name["a\\nb.md"]


def test_an_unknown_blocker_blocks_and_is_reported(folder: Folder, tmp_path: Path) -> None:
    """With the line; a blocker that is only malformed has its own report."""
    (tmp_path / "T-1.md").write_text("---\ntitle: x\nstate: Todo\nblocked_by: [T-2, T-9]\nparent: E-9\n---\n")
    (tmp_path / "T-2.md").write_text("nothing")
    (ticket,) = folder.scan().page(["Todo"]).tickets
    assert [(ref.id, ref.state) for ref in ticket.blocked_by] == [("T-2", None), ("T-9", None)]
    assert ticket.parent is not None and ticket.parent.state is None
    assert [problem.split(":")[:2] for problem in problems(folder)] == [
        ["T-1.md", "4"],
        ["T-1.md", "5"],
        ["T-2.md", "1"],
    ]


def test_faults_of_tickets_nobody_works_on_are_not_reported(folder: Folder, tmp_path: Path) -> None:
    """A closed ticket may name others that are long gone."""
    (tmp_path / "T-1.md").write_text("---\ntitle: x\nstate: Done\nblocked_by: T-0\npriority: high\n---\n")
    assert problems(folder) == []


def test_a_file_is_read_again_only_when_it_changed(folder: Folder, tmp_path: Path, clock: SetClock) -> None:
    """Once the clock of the file system has surely ticked; a change that leaves size and time alone is seen before that."""
    path = tmp_path / "T-1.md"
    path.write_text(GOOD)
    assert names(folder) == ["T-1"]
    status = path.stat()
    path.write_text(GOOD.replace("Good", "Best"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    (ticket,) = folder.scan().page(["todo"]).tickets
    assert ticket.title == "Best"
    clock.at_ms += 3_000
    assert names(folder) == ["T-1"]
    opened: list[str] = []
    real = folder_module.exchange.read
    folder_module.exchange.read = lambda *given: opened.append(given[1]) or real(*given)
    try:
        assert names(folder) == ["T-1"]
        assert opened == []
        path.write_text(GOOD.replace("Good", "Later"))
        assert names(folder) == ["T-1"]
        assert opened == ["T-1.md"]
    finally:
        folder_module.exchange.read = real


def test_problems_have_a_limit(folder: Folder, tmp_path: Path) -> None:
    """The last line says how many more there are."""
    for number in range(folder_module.PROBLEMS_MAX + 5):
        (tmp_path / f"T-{number}.md").write_text("no ticket")
    found = folder.scan().page(["todo"]).problems
    assert len(found) == folder_module.PROBLEMS_MAX
    assert found[-1].endswith("6 more files with problems")


def test_a_folder_has_a_limit(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Better a clear refusal than tickets left out at random."""
    monkeypatch.setattr(folder_module, "TICKETS_MAX", 1)
    for number in range(2):
        (tmp_path / f"T-{number}.md").write_text(GOOD)
    with pytest.raises(ServiceError, match="move closed tickets"):
        folder.scan()


def test_a_missing_folder_says_what_to_do(tmp_path: Path, clock: SetClock) -> None:
    """Also when a file stands in its place; nothing is gone because of that."""
    (tmp_path / "file").write_text("")
    for name in ("missing", "file"):
        with pytest.raises(Unreachable, match=r"make it, or correct tracker\.provider\.path"):
            Folder(tmp_path / name, clock).tickets([TicketId("T-1")])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_or_ticket_without_permission_says_so(folder: Folder, tmp_path: Path) -> None:
    """The folder fails as a whole, one ticket on its own."""
    (tmp_path / "T-1.md").write_text(GOOD)
    (tmp_path / "T-1.md").chmod(0)
    assert "permission" in problems(folder)[0]
    tmp_path.chmod(0)
    try:
        with pytest.raises(Refused):
            folder.scan()
    finally:
        tmp_path.chmod(0o700)


def test_a_ticket_on_its_way_is_not_gone(folder: Folder, tmp_path: Path) -> None:
    """Killed while the file was moved aside: the next look puts it back and finds it."""
    aside = f".T-1.md.opensymphony-aside-{'0' * 32}-{'1' * 32}-00000000"
    assert folder.tickets([TicketId("T-1")]) == ()
    (tmp_path / aside).write_text(GOOD)
    exchange = folder_module.exchange
    with exchange.opened(folder.path) as other, exchange.locked(other), pytest.raises(Unreachable):
        folder.tickets([TicketId("T-1")])
    (ticket,) = folder.tickets([TicketId("T-1")])
    assert (ticket.title, os.listdir(tmp_path)) == ("Good", ["T-1.md"])


def test_a_malformed_ticket_asked_for_is_not_gone(folder: Folder, tmp_path: Path) -> None:
    """The message has the file and the line."""
    (tmp_path / "T-1.md").write_text("---\ntitle: x\n---\n")
    with pytest.raises(BadAnswer, match=r"T-1\.md:1: 'state' is missing"):
        folder.tickets([TicketId("T-1")])


@pytest.mark.parametrize(
    "name", ["../T-1", "/etc/passwd", "", ".", "a/b", "T-1.comments", "README", "T-1\n", "x" * 300, "\0"]
)
def test_an_id_that_no_file_may_have_is_no_ticket(folder: Folder, tmp_path: Path, name: str) -> None:
    """Nothing outside the folder is looked at."""
    (tmp_path / "T-1.comments.md").write_text(GOOD)
    (tmp_path / "README.md").write_text(GOOD)
    assert folder.tickets([TicketId(name)]) == ()
