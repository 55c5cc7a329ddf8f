"""Change a file that people edit at the same time, without ever losing what they saved.

In: an open folder, a name, what we read, what it should say. Out: whether that is what it says now. Plain blocking calls, for a
worker thread.

How: the new text is written beside the file and the two names are exchanged in one step (`renameat2(RENAME_EXCHANGE)`). What
came out is then in our hands and is compared with what we had read. Something else, or a file that a program still has open for
writing: a person saved meanwhile, so the names are exchanged back and the caller starts again from the newer text.

What is guaranteed, also when we are killed at any instruction:

- The file is there all the time, under its name, with one complete text: a person's or ours.
- A text is deleted only if it is byte for byte what we had read, or our own, and no program has it open for writing
  (asked with a read lease; not every file system answers). Every other text is put back under the name, or, if a person
  saved twice within our two exchanges, kept beside it as `<name>.kept-<id>`, where it is reported.
- For the moment between exchange and comparison our text is visible although a person's newer one exists.

Not covered: a program that has looked the name up before our exchange and opens the file, in the same system call, after our
comparison; and, where leases do not work, one that opened the file without truncating it before the exchange and writes after.

Where names cannot be exchanged, the file is moved aside, compared, and the new text linked to the name, which fails if a person
has put a file there. The name is then missing for a moment; whoever finds `.<name>.opensymphony-aside-...` knows that.

Leftovers of a crash carry in their names the hashes of what was read and what was to be written, so `recover` can tell a
person's text from ours. All of this runs under a lock on the folder, so what is found under the lock has no living owner.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import re
import signal
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

from msgspec import Struct

from opensymphony.clock import new_id

_NO_REPLACE = 1
_EXCHANGE = 2
_NOT_SUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
_UNLIMITED = 1 << 40
_LOCK_TRIES = 500
_LOCK_PAUSE_S = 0.01

_LEFTOVER = re.compile(
    r"\.(?P<name>.+)\.opensymphony-(?P<kind>new|swap|aside)-(?P<read>[0-9a-f]{32})-(?P<written>[0-9a-f]{32})-[0-9a-f]{8}\Z"
)
_KEPT = re.compile(r"(?P<name>.+)\.kept-[0-9a-f]{8}\Z")


class Busy(Exception):
    """Raised when another process holds the folder for longer than an edit takes."""


class NotAFile(Exception):
    """Raised for a symbolic link, a folder or a device where a file belongs."""


class _NoExchange(Exception):
    """Raised where two names cannot be exchanged in one step."""


class Reading(Struct, frozen=True, kw_only=True):
    """A file as it was."""

    data: bytes
    mode: int
    owner: int
    group: int


@contextmanager
def opened(folder: str) -> Generator[int]:
    """The folder as a descriptor, so that what is done below it stays in the same folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: int, *, wait: bool = True) -> Generator[bool]:
    """Hold the folder against other writers of ours, in this process or another. Raises `Busy`.

    False: this file system has no locks, and nobody is kept out.
    """
    held = True
    for attempt in range(_LOCK_TRIES if wait else 1):
        if attempt:
            time.sleep(_LOCK_PAUSE_S)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except OSError:
            held = False
        break
    else:
        raise Busy
    try:
        yield held
    finally:
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_UN)


def read(folder: int, name: str, limit: int) -> Reading:
    """At most `limit` bytes and one more. Raises `FileNotFoundError` and `NotAFile`."""
    descriptor = _open(folder, name)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotAFile(name)
        data = _contents(descriptor, limit + 1)
        return Reading(data=data, mode=stat.S_IMODE(status.st_mode), owner=status.st_uid, group=status.st_gid)
    finally:
        os.close(descriptor)


def replace(folder: int, name: str, before: Reading, data: bytes) -> bool:
    """Write `data` over what was read. False: a person saved meanwhile, theirs is in place.

    To be called with the folder locked. Raises `FileNotFoundError` when the file is gone.
    """
    fresh = _write(folder, name, before, data)
    try:
        try:
            done = _exchange_and_check(folder, name, fresh, before.data, data)
        except _NoExchange:
            done = _move_and_check(folder, name, fresh, before.data)
    finally:
        _remove(folder, fresh)
    _settle(folder)
    return done


def create(folder: int, name: str, data: bytes, mode: int) -> bool:
    """Make a file. False: somebody made one meanwhile. To be called with the folder locked."""
    before = Reading(data=b"", mode=mode, owner=os.geteuid(), group=-1)
    fresh = _write(folder, name, before, data)
    try:
        try:
            _rename(folder, fresh, name, _NO_REPLACE)
        except _NoExchange:
            os.link(fresh, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        return False
    finally:
        _remove(folder, fresh)
    _settle(folder)
    return True


def is_leftover(name: str) -> bool:
    return _LEFTOVER.match(name) is not None


def kept_of(name: str) -> str | None:
    """Whose text this is, when it is one that was kept beside the file."""
    match = _KEPT.match(name)
    return match["name"] if match else None


def moved_aside(folder: int, name: str) -> bool:
    """Whether a file that seems to be missing is only on its way, or was left so by a crash."""
    prefix = f".{name}.opensymphony-aside-"
    return any(entry.startswith(prefix) for entry in os.listdir(folder))


def recover(folder: int) -> None:
    """Finish what a killed process began. To be called with the folder locked."""
    for leftover in sorted(os.listdir(folder)):
        match = _LEFTOVER.match(leftover)
        if match is None:
            continue
        with suppress(FileNotFoundError):
            _recover_one(folder, leftover, match)


def _recover_one(folder: int, leftover: str, match: re.Match[str]) -> None:
    name, read_hash, written_hash = match["name"], match["read"], match["written"]
    if match["kind"] == "new":
        _remove(folder, leftover)
        return
    if match["kind"] == "aside" and _link_back(folder, leftover, name):
        return
    in_place = _hash_of(folder, name)
    if _hash_of(folder, leftover) in (read_hash, written_hash, in_place):
        _remove(folder, leftover)
    elif match["kind"] == "swap" and in_place == written_hash:
        _put_back(folder, name, leftover, read(folder, name, _UNLIMITED).data)
    else:
        _keep(folder, name, leftover)


def _write(folder: int, name: str, before: Reading, data: bytes) -> str:
    """The new text beside the file, complete and on the disk, under a name that never holds a person's text."""
    fresh = f".{name}.opensymphony-new-{_hash(before.data)}-{_hash(data)}-{new_id()[:8]}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(fresh, flags, 0o600, dir_fd=folder)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        with suppress(OSError):  # Only root can give a file away; without it the file becomes ours, as with any editor.
            os.fchown(descriptor, before.owner, before.group)
        os.fchmod(descriptor, before.mode)
        os.fsync(descriptor)
    except BaseException:
        _remove(folder, fresh)
        raise
    finally:
        os.close(descriptor)
    return fresh


def _exchange_and_check(folder: int, name: str, fresh: str, expected: bytes, ours: bytes) -> bool:
    swap = fresh.replace(".opensymphony-new-", ".opensymphony-swap-")
    os.rename(fresh, swap, src_dir_fd=folder, dst_dir_fd=folder)
    try:
        _exchange(folder, swap, name)
    except (OSError, _NoExchange):
        os.rename(swap, fresh, src_dir_fd=folder, dst_dir_fd=folder)
        raise
    if _remove_if(folder, swap, expected):
        return True
    _put_back(folder, name, swap, ours)
    return False


def _put_back(folder: int, name: str, swap: str, ours: bytes) -> None:
    """A person's text is in `swap` and ours in place: the other way round."""
    try:
        _exchange(folder, swap, name)
    except FileNotFoundError:
        _keep(folder, name, swap)
        return
    if not _remove_if(folder, swap, ours):
        # They saved again between our two exchanges. The newest goes in place, the one before is kept.
        with suppress(FileNotFoundError):
            _exchange(folder, swap, name)
        _keep(folder, name, swap)


def _move_and_check(folder: int, name: str, fresh: str, expected: bytes) -> bool:
    aside = fresh.replace(".opensymphony-new-", ".opensymphony-aside-")
    os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=folder)
    # No lease here: network file systems, which are the ones without exchange, refuse it to everyone.
    if not _holds(folder, aside, expected, lease=False):
        if not _link_back(folder, aside, name):
            _keep(folder, name, aside)
        return False
    try:
        os.link(fresh, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        done = True
    except FileExistsError:
        done = False
    if not _remove_if(folder, aside, expected, lease=False):
        _keep(folder, name, aside)
    return done


def _link_back(folder: int, aside: str, name: str) -> bool:
    """False when the name is taken."""
    try:
        os.link(aside, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        return False
    _remove(folder, aside)
    return True


def _keep(folder: int, name: str, leftover: str) -> None:
    os.rename(leftover, f"{name}.kept-{new_id()[:8]}", src_dir_fd=folder, dst_dir_fd=folder)


def _remove_if(folder: int, name: str, expected: bytes, *, lease: bool = True) -> bool:
    """Delete a file that says exactly this and that nobody has open for writing."""
    if not _holds(folder, name, expected, lease=lease):
        return False
    _remove(folder, name)
    return True


def _holds(folder: int, name: str, expected: bytes, *, lease: bool) -> bool:
    try:
        descriptor = _open(folder, name)
    except NotAFile:
        return False
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        held = lease and _take_lease(descriptor)
        if held is None or _contents(descriptor, len(expected) + 1) != expected:
            return False
        return not (held and fcntl.fcntl(descriptor, fcntl.F_GETLEASE) == fcntl.F_UNLCK)
    finally:
        os.close(descriptor)  # The lease ends with it.


def _take_lease(descriptor: int) -> bool | None:
    """Whether we hold a read lease; None when it was refused because a program has the file open for writing.

    While it is held, an opening for writing waits until we close, a fraction of a millisecond, and can be seen.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        # The usual notice of a lease ends the process; this signal is ignored unless somebody asks for it.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return None
    except OSError:
        return False
    return True


def _open(folder: int, name: str) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotAFile(name) from error
        raise


def _contents(descriptor: int, limit: int) -> bytes:
    parts: list[bytes] = []
    while limit > 0 and (part := os.read(descriptor, min(limit, 1 << 20))):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def _remove(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _hash_of(folder: int, name: str) -> str:
    """None of a text when there is no such file."""
    try:
        return _hash(read(folder, name, _UNLIMITED).data)
    except FileNotFoundError:
        return "no file"
    except NotAFile:
        return f"no plain file: {name}"


def _settle(folder: int) -> None:
    """Make the names as durable as the contents, where the file system lets us."""
    with suppress(OSError):
        os.fsync(folder)


def _exchange(folder: int, one: str, other: str) -> None:
    _rename(folder, one, other, _EXCHANGE)


def _rename(folder: int, source: str, target: str, flags: int) -> None:
    if _renameat2 is None:
        raise _NoExchange
    if _renameat2(folder, os.fsencode(source), folder, os.fsencode(target), flags) != 0:
        code = ctypes.get_errno()
        if code in _NOT_SUPPORTED:
            raise _NoExchange
        raise OSError(code, os.strerror(code), target)


try:
    _renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    _renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    _renameat2.restype = ctypes.c_int
except (AttributeError, OSError, TypeError):  # Not Linux, or a C library without it.
    _renameat2 = None
