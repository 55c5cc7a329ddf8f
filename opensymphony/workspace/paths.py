"""Names and places: from identifiers and repository addresses to directory names that cannot escape.

In: a ticket's identifier, a repository's address, the workspace root. Out: keys, canonical paths, or a `WorkspaceError`.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from urllib.parse import unquote, urlsplit

from opensymphony.errors import WorkspaceError
from opensymphony.model import encodable, ticket_key

SLUG_CHARS_MAX = 48

_SCP_ADDRESS = re.compile(r"^(?:[^/@]+@)?(?P<host>[^/:]+):(?P<path>.*)$")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")


def workspace_key(identifier: str) -> str:
    """The directory name of a ticket, `model.ticket_key`; a ticket without an identifier has none."""
    if not identifier.strip():
        raise WorkspaceError("a ticket without an identifier cannot have a workspace: give it one", error_class="final")
    return ticket_key(identifier)


def repository_key(url_or_path: str) -> str:
    """A directory name for a repository: a readable slug and 12 hex digits of the SHA-256 of its canonical address.

    The same for `x`, `x/`, `x.git` and, for a path, whatever links lead to it; credentials do not count.
    """
    canonical = canonical_repository(url_or_path)
    slug = re.sub(r"[^a-z0-9]+", "-", canonical.rpartition("/")[2].lower()).strip("-")[:SLUG_CHARS_MAX].strip("-")
    return f"{slug or 'repository'}-{hashlib.sha256(canonical.encode()).hexdigest()[:12]}"


def canonical_repository(url_or_path: str) -> str:
    """One spelling for one repository, without credentials."""
    path = local_path(url_or_path)
    if path is not None:
        return _without_suffix(os.path.realpath(path))
    if "://" not in url_or_path and (scp := _SCP_ADDRESS.match(url_or_path)):
        return _without_suffix(f"ssh://{scp['host'].lower()}/{scp['path'].lstrip('/')}")
    parts = urlsplit(url_or_path)
    host = (parts.hostname or "").lower() + (f":{parts.port}" if parts.port else "")
    return _without_suffix(f"{parts.scheme.lower()}://{host}{parts.path}")


def local_path(url_or_path: str) -> str | None:
    """The path that an address names, or None for one on another machine."""
    if url_or_path.startswith("file://"):
        return unquote(urlsplit(url_or_path).path)
    if "://" in url_or_path or _SCP_ADDRESS.match(url_or_path):
        return None
    return url_or_path


def without_credentials(text: str) -> str:
    """The text with `user:password@` taken out of every URL in it."""
    return _CREDENTIALS.sub("", text)


def _without_suffix(address: str) -> str:
    return address.rstrip("/").removesuffix(".git").rstrip("/")


def open_root(root: str) -> str:
    """Make the workspace root if it is missing (0700), and return it with its own links resolved.

    Refuses a root that another user owns: the default one has a name that anybody could have taken first.
    """
    if not os.path.isabs(root) or "\n" in root:
        raise WorkspaceError(f"workspace.root {root!r} is not an absolute path: write one", error_class="person")
    try:
        os.makedirs(root, mode=0o700, exist_ok=True)
        canonical = os.path.realpath(root, strict=True)
        owner = os.stat(canonical).st_uid
    except OSError as error:
        message = f"workspace.root {root} cannot be used: {error.strerror}; make it a directory that can be written"
        raise WorkspaceError(message, error_class="person") from error
    if encodable(canonical) != canonical:
        message = f"workspace.root {root} leads to a directory whose name is not UTF-8 text: choose another one"
        raise WorkspaceError(message, error_class="person")
    if owner != os.geteuid() and os.geteuid() != 0:
        message = f"workspace.root {root} belongs to another user: choose another one"
        raise WorkspaceError(message, error_class="person")
    return canonical


def child(root: str, key: str) -> str:
    """The path of one workspace below the canonical root; refuses a key that is not a plain name."""
    path = os.path.join(root, key)
    if os.path.dirname(os.path.normpath(path)) != root or os.path.basename(path) != key or key[:1] in (".", "-", ""):
        message = f"workspace key {key!r} leads outside {root}: it has to be one plain name"
        raise WorkspaceError(message, error_class="final")
    return path


def check_directory(path: str) -> bool:
    """Whether the directory exists; refuses anything else in its place, a symbolic link above all."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be looked at: {error.strerror}", error_class="person") from error
    if stat.S_ISDIR(mode):
        return True
    kind = "a symbolic link" if stat.S_ISLNK(mode) else "not a directory"
    message = f"{path} is {kind} where a workspace belongs: remove it or move it away"
    raise WorkspaceError(message, error_class="person")
