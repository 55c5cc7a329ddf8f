"""Look at an agent's repository without running git in it.

In: a workspace's path. Out: its references, as read from their files, and a *shadow*: a repository of the daemon's own that
borrows the agent's objects. Git runs in the shadow or the mirror only, so that no configuration, hook, filter, attribute
driver or helper of the agent's is ever read, whatever git's next release makes of them. Links that lead out of the
agent's repository are refused; an agent that still runs could exchange them after the look and would gain no more than objects
whose names it knows.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from msgspec import Struct

from opensymphony.errors import WorkspaceError

LOOK_PREFIX = ".look-"
REFERENCES_MAX = 20_000
_REFERENCE_BYTES_MAX = 4_096
_PACKED_BYTES_MAX = 32 * 1024 * 1024
_OBJECT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class AgentRepository(Struct, frozen=True, kw_only=True):
    """What the files of an agent's repository say; untrusted, but well-formed."""

    objects: str
    """Path of its object directory."""
    references: dict[str, str]
    """Full name to object name; symbolic ones resolved, broken ones left out."""
    heads: tuple[str, ...]
    """What is checked out: `HEAD` first if it names a commit, then those of linked work trees."""
    head: str | None
    shallow: tuple[str, ...]

    def unpublished(self) -> tuple[str, ...]:
        """Every object name that work could hang on: all references but copies of a remote's, and all heads."""
        names = {value for name, value in self.references.items() if not name.startswith("refs/remotes/")}
        return tuple(sorted(names.union(self.heads)))

    def published(self) -> tuple[str, ...]:
        """What the repository itself believes to be on a remote."""
        return tuple(sorted({value for name, value in self.references.items() if name.startswith("refs/remotes/")}))


def read_repository(workspace: str) -> AgentRepository:
    """Read the agent's repository; raises when it is missing, linked to elsewhere, or in a form we do not know."""
    try:
        with _directory(workspace, None) as top, _directory(".git", top) as git:
            with _directory("objects", git) as objects:
                _check_objects(objects)
            raw = _packed(git) | _loose(git)
            if _exists("reftable", git):
                raise WorkspaceError(f"{workspace}/.git keeps its references in a reftable: make it a files repository")
            heads = [_read("HEAD", git), *_worktree_heads(git)]
            shallow = tuple(
                line for line in _read("shallow", git, _PACKED_BYTES_MAX).split() if _OBJECT.fullmatch(line)
            )
    except OSError as error:
        what = f"{error.filename or '.git'}: {error.strerror}"
        message = f"the repository in {workspace} cannot be read ({what}): .git has to be a plain directory of its own"
        raise WorkspaceError(message, error_class="person") from error
    references = {name: value for name, text in raw.items() if (value := _resolve(text, raw))}
    resolved = [_resolve(text, raw) for text in heads]
    return AgentRepository(
        objects=os.path.join(workspace, ".git", "objects"),
        references=references,
        heads=tuple(value for value in resolved if value),
        head=resolved[0],
        shallow=shallow,
    )


@contextmanager
def shadow(
    parent: str, repository: AgentRepository, *, borrow: Sequence[str] = (), work: str | None = None
) -> Generator[str]:
    """A throw-away repository of ours over the agent's objects; `work` becomes its branch of that name."""
    try:
        directory = TemporaryDirectory(prefix=LOOK_PREFIX, dir=parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise WorkspaceError(f"{parent} cannot be written: {error.strerror}; make room there") from error
    with directory as path:
        try:
            _fill(path, repository, borrow, work)
        except OSError as error:
            raise WorkspaceError(f"{path} cannot be written: {error.strerror}; make room there") from error
        yield path


def _fill(path: str, repository: AgentRepository, borrow: Sequence[str], work: str | None) -> None:
    os.makedirs(os.path.join(path, "objects", "info"))
    os.makedirs(os.path.join(path, "refs", "heads"))
    _write(path, "HEAD", "ref: refs/heads/work\n")
    _write(path, "config", "[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
    _write(path, "objects/info/alternates", "".join(f"{objects}\n" for objects in (repository.objects, *borrow)))
    if repository.shallow:
        _write(path, "shallow", "".join(f"{name}\n" for name in repository.shallow))
    if work:
        _write(path, "refs/heads/work", f"{work}\n")


def _write(directory: str, name: str, text: str) -> None:
    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
        file.write(text)


@contextmanager
def _directory(name: str, parent: int | None) -> Generator[int]:
    """A real directory, held open; a link in its place is an `OSError`."""
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _exists(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _read(name: str, directory: int, bytes_max: int = _REFERENCE_BYTES_MAX) -> str:
    """The text of a regular file, stripped; empty when there is none. Never waits for a pipe and follows no link."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except FileNotFoundError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "is not a regular file", name)
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise OSError(0, f"is larger than {bytes_max} bytes", name)
    return content.decode(errors="replace").strip()


def _packed(git: int) -> dict[str, str]:
    packed: dict[str, str] = {}
    for line in _read("packed-refs", git, _PACKED_BYTES_MAX).splitlines():
        value, _, name = line.partition(" ")
        if _OBJECT.fullmatch(value) and name.startswith("refs/"):
            packed[name] = value
        if len(packed) > REFERENCES_MAX:
            raise OSError(0, f"holds more than {REFERENCES_MAX} references", "packed-refs")
    return packed


def _loose(git: int) -> dict[str, str]:
    loose: dict[str, str] = {}
    if not _exists("refs", git):
        return loose
    for directory, _, files, descriptor in os.fwalk("refs", dir_fd=git, follow_symlinks=False):
        for name in files:
            if not name.endswith(".lock"):
                loose[f"{directory}/{name}"] = _read(name, descriptor)
        if len(loose) > REFERENCES_MAX:
            raise OSError(0, f"holds more than {REFERENCES_MAX} references", "refs")
    return loose


def _worktree_heads(git: int) -> list[str]:
    if not _exists("worktrees", git):
        return []
    heads: list[str] = []
    with _directory("worktrees", git) as worktrees:
        for name in sorted(os.listdir(worktrees))[:REFERENCES_MAX]:
            with _directory(name, worktrees) as worktree:
                heads.append(_read("HEAD", worktree))
    return heads


def _resolve(text: str, raw: dict[str, str]) -> str | None:
    for _ in range(5):
        if _OBJECT.fullmatch(text):
            return text
        if not text.startswith("ref: "):
            return None
        text = raw.get(text[5:].strip(), "")
    return None


def _check_objects(objects: int) -> None:
    """Refuse an object store that reaches out of the repository, by a link or by alternates."""
    for entry in _entries(objects):
        if entry.is_symlink():
            raise OSError(0, "is a symbolic link", f"objects/{entry.name}")
        if not entry.is_dir(follow_symlinks=False):
            continue
        with _directory(entry.name, objects) as inner:
            for file in _entries(inner):
                if file.is_symlink():
                    raise OSError(0, "is a symbolic link", f"objects/{entry.name}/{file.name}")
            if entry.name == "info" and _read("alternates", inner):
                raise OSError(0, "borrows objects from another repository", "objects/info/alternates")


def _entries(directory: int) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return list(entries)
