"""Edits a file again and again in processes of its own, each killed at another file operation, while a person saves.

Run as a program: `python crashes.py <folder> <exchange|move>`. Prints one JSON line for each process: what happened.
Single-threaded, so that it may fork.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from itertools import combinations
from pathlib import Path

from opensymphony.services.files import exchange

NAME = "T-1.md"
READ, WRITTEN = b"what was read", b"what we write"
SAVES = (b"saved first", b"saved second")
EVENTS = frozenset({"open", "os.rename", "os.link", "os.remove", "os.listdir"})


class Person:
    """Saves at given operations of the edit, and ends the process at another."""

    def __init__(self, folder: Path, saves: tuple[int, ...], kill: int, style: str) -> None:
        self._folder, self._saves, self._kill, self._style = folder, saves, kill, style
        self._count = 0
        self._busy = False
        self.found: list[str | None] = []

    def watch(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._busy or event not in EVENTS:
            return
        self._busy = True
        if self._count in self._saves:
            self._save(SAVES[self._saves.index(self._count)])
        if self._count == self._kill:
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += 1
        self._busy = False

    def _save(self, text: bytes) -> None:
        path = self._folder / NAME
        found = path.read_bytes().decode() if path.exists() else None
        if self._style == "rename":
            fresh = self._folder.parent / "editor"
            fresh.write_bytes(text)
            fresh.rename(path)
        else:
            path.write_bytes(text)
        # What a person's save wrote over; written down outside, for the process may end at once.
        with (self._folder.parent / "log").open("a") as log:
            log.write(json.dumps({"text": text.decode(), "over": found}) + "\n")


def edit(folder: Path, saves: tuple[int, ...], kill: int, style: str) -> None:
    person = Person(folder, saves, kill, style)
    with exchange.opened(str(folder)) as descriptor, exchange.locked(descriptor):
        before = exchange.read(descriptor, NAME, 1000)
        sys.addaudithook(person.watch)
        exchange.replace(descriptor, NAME, before, WRITTEN)


def one(root: Path, saves: tuple[int, ...], kill: int, style: str) -> bool:
    """False when the edit had ended before it could be killed."""
    folder = root / "board"
    folder.mkdir()
    (folder / NAME).write_bytes(READ)
    child = os.fork()
    if child == 0:
        edit(folder, saves, kill, style)
        os._exit(0)
    killed = os.waitpid(child, 0)[1] == signal.SIGKILL
    crashed = sorted(os.listdir(folder))
    with exchange.opened(str(folder)) as descriptor, exchange.locked(descriptor):
        exchange.recover(descriptor)
    files = {path.name: path.read_bytes().decode() for path in folder.iterdir()}
    log = root / "log"
    saved = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    case = {"saves": saves, "kill": kill, "style": style, "killed": killed}
    print(json.dumps(case | {"crashed": crashed, "files": files, "saved": saved}))
    for path in (*folder.iterdir(), log):
        path.unlink(missing_ok=True)
    folder.rmdir()
    return killed


def main() -> None:
    root = Path(sys.argv[1])
    if sys.argv[2] == "move":
        exchange._renameat2 = None  # As on a platform that cannot exchange names.
    kill = 0
    while one(root, (), kill, "rename"):
        kill += 1
    for style in ("rename", "write"):
        for number in (1, 2):
            for saves in combinations(range(kill + 6), number):
                at = saves[-1]
                while one(root, saves, at, style):
                    at += 1


if __name__ == "__main__":
    main()
