"""The folder of tickets as a whole: which files are tickets, what they say, and how they relate.

In: a path. Out: tickets with their relations resolved, and one line for each problem. Blocking; for a worker thread. A file
is read again only when its time, size or identity changed, so that an unchanged folder costs one listing.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from opensymphony.clock import Clock
from opensymphony.errors import BadAnswer, Refused, ServiceError, Unreachable
from opensymphony.model import Ticket, TicketComment, TicketId, TicketPage, TicketRef
from opensymphony.services.files import comment_file, exchange, ticket_file
from opensymphony.services.files.front_matter import FILE_BYTES_MAX, Malformed
from opensymphony.services.files.ticket_file import IDENTIFIER, TicketFile

SERVICE = "files"
TICKETS_MAX = 20_000
BYTES_MAX = 256 * 1_048_576
"""Of all tickets together; they are kept in memory."""
PROBLEMS_MAX = 100

_GONE_TRIES = 5
_GONE_PAUSE_S = 0.05
_SETTLED_MS = 2_000
"""A file system's clock may tick this slowly: two saves within one tick look alike, so a younger reading is repeated."""
_IGNORED = re.compile(r"\..*|.*~|#.*#|.*\.(swp|swo|tmp|bak|orig)|.*\.comments\.md|readme\.md", re.IGNORECASE)

_TALK = ".comments.md"

_Key = tuple[int, int, int, int]


class Broken(Struct, frozen=True, kw_only=True):
    """A file that should be a ticket and is none."""

    line: int
    message: str


class _Known(Struct, frozen=True, kw_only=True):
    """A reading of one file, with what tells that it is still good."""

    key: _Key
    digest: bytes
    read_ms: int
    settled: bool
    content: TicketFile | Broken


class _Talk(Struct, frozen=True, kw_only=True):
    """What people say about one ticket, as of a reading."""

    key: _Key
    read_ms: int
    comments: tuple[TicketComment, ...]


class Scan(Struct, frozen=True, kw_only=True):
    """The folder at one moment, sorted by name."""

    folder: str
    files: dict[str, TicketFile | Broken]
    oddities: tuple[str, ...]
    """Problems of files that are not tickets at all."""
    children: dict[str, tuple[str, ...]]
    comments: dict[str, tuple[TicketComment, ...]] = {}

    def page(self, states: Iterable[str]) -> TicketPage:
        """The tickets in these states, and every problem of the folder."""
        wanted = {state.strip().casefold() for state in states}
        tickets: list[Ticket] = []
        problems = list(self.oddities)
        for identifier, content in self.files.items():
            if isinstance(content, Broken):
                problems.append(f"{os.path.join(self.folder, identifier)}.md:{content.line}: {content.message}")
            elif content.state.casefold() in wanted:
                tickets.append(self.ticket(content))
                problems += self._problems(content)
        if len(problems) > PROBLEMS_MAX:
            more = len(problems) - PROBLEMS_MAX + 1
            problems[PROBLEMS_MAX - 1 :] = [f"{self.folder}: {more} more files with problems"]
        return TicketPage(tickets=tuple(tickets), problems=tuple(problems))

    def ticket(self, content: TicketFile) -> Ticket:
        return Ticket(
            id=TicketId(content.identifier),
            identifier=content.identifier,
            title=content.title,
            state=content.state,
            description=content.description,
            priority=content.priority,
            labels=content.labels,
            assignee=content.assignee,
            parent=None if content.parent is None else self._ref(content.parent),
            children=tuple(self._ref(child) for child in self.children.get(content.identifier, ())),
            blocked_by=tuple(self._ref(blocker) for blocker in content.blocked_by),
            comments=self.comments.get(content.identifier, ()),
            created_at=content.created_at,
            created_ms=content.created_ms,
            claim=content.claim,
            native_ref={"file": f"{content.identifier}.md"},
        )

    def _ref(self, identifier: str) -> TicketRef:
        other = self.files.get(identifier)
        state = other.state if isinstance(other, TicketFile) else None
        return TicketRef(id=TicketId(identifier), identifier=identifier, state=state)

    def _problems(self, content: TicketFile) -> list[str]:
        found = [(note.line, note.message) for note in content.notes]
        for key, others, effect in (
            ("blocked_by", content.blocked_by, "; the ticket waits until that is corrected"),
            ("parent", (content.parent,) if content.parent else (), ""),
        ):
            found += [
                (content.lines[key], f"'{key}' names {other[:100]!r}, which is no ticket here{effect}")
                for other in others
                if other not in self.files and other != ticket_file.UNREADABLE
            ]
        place = os.path.join(self.folder, f"{content.identifier}.md")
        return [f"{place}:{line}: {message}" for line, message in found]


class Folder:
    """Reads the folder again and again. Not for two threads at once."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = str(path)
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._talks: dict[str, _Talk] = {}
        self._recovered = False

    def scan(self) -> Scan:
        """Raises `Unreachable` when the folder is not there and `Refused` when it may not be read."""
        with translated(self.path), exchange.opened(self.path) as folder:
            self._recover(folder)
            names, talks, oddities = self._listing(folder)
            self._talks = {identifier: self._talk(folder, identifier, key) for identifier, key in talks}
            files = {identifier: self._content(folder, identifier, key) for identifier, key in names}
        self._known = {identifier: self._known[identifier] for identifier in files if identifier in self._known}
        found = {identifier: content for identifier, content in files.items() if content is not None}
        comments = {identifier: talk.comments for identifier, talk in self._talks.items() if talk.comments}
        return Scan(
            folder=self.path, files=found, oddities=tuple(oddities), children=_children(found), comments=comments
        )

    def tickets(self, ids: Sequence[TicketId]) -> tuple[Ticket, ...]:
        """These tickets, without those that are gone. Raises `BadAnswer` for one that cannot be understood."""
        for identifier in ids:
            self._known.pop(identifier, None)
        scan, missing = self.scan(), list[TicketId]()
        for attempt in range(_GONE_TRIES):
            missing = [identifier for identifier in ids if is_ticket(identifier) and identifier not in scan.files]
            if not missing or (attempt and not self._on_the_way(missing)):
                break
            # Some editors move a file away before they write the new one: gone is what stays gone.
            time.sleep(_GONE_PAUSE_S)
            scan = self.scan()
        else:
            raise Unreachable(SERVICE, f"{self.path}/{missing[0]}.md is being moved about; it is read again shortly")
        contents = [(identifier, scan.files[identifier]) for identifier in ids if identifier in scan.files]
        tickets: list[Ticket] = []
        for identifier, content in contents:
            if isinstance(content, Broken):
                raise malformed(self.path, f"{identifier}.md", content.line, content.message)
            tickets.append(scan.ticket(content))
        return tuple(tickets)

    def _on_the_way(self, missing: Sequence[str]) -> bool:
        with translated(self.path), exchange.opened(self.path) as folder:
            names = set(os.listdir(folder))
            return any(f"{name}.md" in names or exchange.moved_aside(folder, f"{name}.md") for name in missing)

    def _recover(self, folder: int) -> None:
        """Finish what a killed process left, once at the start and whenever something is found; never wait for it."""
        if self._recovered and not any(exchange.is_leftover(name) for name in os.listdir(folder)):
            return
        try:
            with exchange.locked(folder, wait=False):
                exchange.recover(folder)
                self._recovered = True
        except exchange.Busy:
            return

    def _listing(self, folder: int) -> tuple[list[tuple[str, _Key]], list[tuple[str, _Key]], list[str]]:
        """Files of tickets, files of comments, and what is odd."""
        found: list[tuple[str, _Key]] = []
        talks: list[tuple[str, _Key]] = []
        oddities: list[str] = []
        size = 0
        with os.scandir(folder) as entries:
            for entry in entries:
                problem = _oddity(entry)
                if problem is not None:
                    oddities.append(f"{os.path.join(self.path, printable(entry.name))}: {problem}")
                elif (is_talk := entry.name.endswith(_TALK)) or _is_ticket_name(entry.name):
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    size += status.st_size
                    key = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
                    name = entry.name.removesuffix(_TALK if is_talk else ".md")
                    (talks if is_talk else found).append((name, key))
        if len(found) > TICKETS_MAX or size > BYTES_MAX:
            raise ServiceError(
                SERVICE,
                f"{self.path} holds {len(found):,} tickets of {size // 1_048_576:,} MiB, more than {TICKETS_MAX:,} or "
                f"{BYTES_MAX // 1_048_576} MiB; move closed tickets to a folder inside it",
            )
        return sorted(found), talks, sorted(oddities)

    def _talk(self, folder: int, identifier: str, key: _Key) -> _Talk:
        """What people say about a ticket; what cannot be read says nothing, and is told when we write there."""
        known, now_ms = self._talks.get(identifier), self._clock.now_ms()
        if known is not None and known.key == key and known.read_ms - key[0] // 1_000_000 >= _SETTLED_MS:
            return known
        try:
            comments = comment_file.read(exchange.read(folder, f"{identifier}{_TALK}", FILE_BYTES_MAX).data)
        except (OSError, exchange.NotAFile):
            comments = ()
        return _Talk(key=key, read_ms=now_ms, comments=comments)

    def _content(self, folder: int, identifier: str, key: _Key) -> TicketFile | Broken | None:
        """None when the file has gone since the listing."""
        known = self._known.get(identifier)
        if known is not None and known.key == key and known.settled:
            return known.content
        try:
            data = exchange.read(folder, f"{identifier}.md", FILE_BYTES_MAX).data
        except FileNotFoundError:
            return None
        except exchange.NotAFile:
            return Broken(line=1, message="this is not a plain file")
        except PermissionError:
            return Broken(line=1, message="the file may not be read; give this user permission")
        now_ms = self._clock.now_ms()
        digest = hashlib.sha256(data).digest()
        if known is not None and known.digest == digest:
            same_key = known.key == key
            settled = same_key and now_ms - known.read_ms >= _SETTLED_MS
            read_ms = known.read_ms if same_key else now_ms
            content = known.content
        else:
            settled, read_ms, content = False, now_ms, _parsed(identifier, data)
        self._known[identifier] = _Known(key=key, digest=digest, read_ms=read_ms, settled=settled, content=content)
        return content


@contextmanager
def translated(path: str) -> Generator[None]:
    """Turns what the operating system says about the folder into words for people."""
    try:
        yield
    except exchange.Busy as error:
        raise Unreachable(SERVICE, f"{path} is held by another process; it is tried again") from error
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            message = f"there is no folder {path}; make it, or correct tracker.provider.path in WORKFLOW.md"
            raise Unreachable(SERVICE, message) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            message = f"{path}: {error.strerror}; give this user the right to read and write there"
            raise Refused(SERVICE, message) from error
        raise Unreachable(SERVICE, f"{path}: {error.strerror or error}") from error


def malformed(folder: str, name: str, line: int, message: str) -> BadAnswer:
    return BadAnswer(SERVICE, f"{os.path.join(folder, name)}:{line}: {message}")


def printable(name: str) -> str:
    """A file's name as it may stand in one line of a message."""
    return name if name.isprintable() else ascii(name)[1:-1]


def is_ticket(identifier: str) -> bool:
    """Whether a file of a ticket may have this stem."""
    return IDENTIFIER.match(identifier) is not None and _is_ticket_name(f"{identifier}.md")


def _is_ticket_name(name: str) -> bool:
    return name.endswith(".md") and not _IGNORED.fullmatch(name)


def _oddity(entry: os.DirEntry[str]) -> str | None:
    kept = exchange.kept_of(entry.name)
    if kept is not None:
        return f"a text of {kept} that was saved while that file changed; take over what you need and delete it"
    if not _is_ticket_name(entry.name):
        return None
    if not IDENTIFIER.match(entry.name.removesuffix(".md")):
        return "a ticket's name has only letters, digits and . _ -, at most 100; rename the file"
    if entry.is_symlink():
        return "symbolic links are not followed; put the ticket itself here"
    if not entry.is_file(follow_symlinks=False):
        return "this is not a file; a ticket is a plain file"
    return None


def _parsed(identifier: str, data: bytes) -> TicketFile | Broken:
    try:
        return ticket_file.parse(identifier, data)
    except Malformed as error:
        return Broken(line=error.line, message=error.message)


def _children(files: dict[str, TicketFile | Broken]) -> dict[str, tuple[str, ...]]:
    children: dict[str, tuple[str, ...]] = {}
    for identifier, content in files.items():
        if isinstance(content, TicketFile) and content.parent is not None:
            children[content.parent] = (*children.get(content.parent, ()), identifier)
    return children
