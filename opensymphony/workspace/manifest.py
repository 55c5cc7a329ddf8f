"""Copies for people and for `rebuild` inside a workspace: `.opensymphony/<name>.json`.

In: a workspace's path, a name, plain data. Out: a file of mode 0600, replaced in one step. The workspace belongs to the agent:
every step goes through a directory held open and follows no link, nothing here is ever read back for a decision, and
what looks like a credential is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import cast

import msgspec

from opensymphony.clock import new_id
from opensymphony.errors import WorkspaceError
from opensymphony.logs import redacted
from opensymphony.schema import looks_secret
from opensymphony.workspace.paths import without_credentials

DIRECTORY = ".opensymphony"
MANIFEST_BYTES_MAX = 1024 * 1024
EXCLUDE_LINE = f"/{DIRECTORY}/\n"

_NAME = re.compile(r"[a-z][a-z_-]{0,63}")
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def write_manifest(workspace: str, name: str, content: Mapping[str, object]) -> None:
    """Write `.opensymphony/<name>.json` in one step; raises `WorkspaceError` when something else is in the way."""
    if not _NAME.fullmatch(name):
        raise WorkspaceError(f"{name!r} is no name for a manifest: use lower-case letters", error_class="final")
    encoded = msgspec.json.format(msgspec.json.encode(_presentable(content), enc_hook=str), indent=2) + b"\n"
    if len(encoded) > MANIFEST_BYTES_MAX:
        message = f"manifest {name} of {workspace} is larger than {MANIFEST_BYTES_MAX} bytes and was not written"
        raise WorkspaceError(message, error_class="final")
    try:
        with _open(workspace, None) as top, _open(DIRECTORY, top, make=True) as directory:
            replace_file(directory, f"{name}.json", encoded)
    except OSError as error:
        message = (
            f"{workspace}/{DIRECTORY}/{name}.json cannot be written: {error.strerror}; remove what is in its place"
        )
        raise WorkspaceError(message) from error


def leave_file(workspace: str, name: str, content: bytes | None) -> None:
    """Write `.opensymphony/<name>` in one step, or with None see that there is none; raises `WorkspaceError`."""
    try:
        with _open(workspace, None) as top, _open(DIRECTORY, top, make=True) as directory:
            if content is not None:
                replace_file(directory, name, content)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=directory)
    except OSError as error:
        message = f"{workspace}/{DIRECTORY}/{name} cannot be written: {error.strerror}; remove what is in its place"
        raise WorkspaceError(message) from error


def exclude_from_git(workspace: str) -> None:
    """Tell the workspace's own git, if it has one, that `.opensymphony/` is none of its business."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    with (
        suppress(FileNotFoundError, NotADirectoryError),
        _open(workspace, None) as top,
        _open(".git", top) as git,
        _open("info", git, make=True) as info,
        os.fdopen(os.open("exclude", flags, 0o644, dir_fd=info), "r+", encoding="utf-8") as file,
    ):
        present = file.read(MANIFEST_BYTES_MAX)
        if EXCLUDE_LINE not in present:
            file.write(EXCLUDE_LINE if present.endswith("\n") or not present else f"\n{EXCLUDE_LINE}")


def replace_file(directory: int, name: str, content: bytes) -> None:
    """Replace a file in a directory held open, in one step and on disk when this returns."""
    temporary = f".{name}.{new_id()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=directory), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise
    os.fsync(directory)


@contextmanager
def _open(name: str, parent: int | None, *, make: bool = False) -> Generator[int]:
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
    descriptor = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _presentable(value: object) -> object:
    """The value without credentials: by the name of a key, and in addresses."""
    if isinstance(value, Mapping):
        pairs = cast(Mapping[object, object], value).items()
        return {str(key): _hidden(str(key), inner) for key, inner in pairs}
    if isinstance(value, (list, tuple)):
        return [_presentable(inner) for inner in cast(list[object], value)]
    if isinstance(value, str):
        return without_credentials(redacted(value))
    if isinstance(value, msgspec.Struct):
        return _presentable(msgspec.structs.asdict(value))
    return value


def _hidden(key: str, value: object) -> object:
    # Counts of tokens are numbers, and names of variables end in `_env`; only text under such a key can be a secret.
    if isinstance(value, (str, bytes)) and value and looks_secret(key):
        return "[hidden]"
    return _presentable(value)
