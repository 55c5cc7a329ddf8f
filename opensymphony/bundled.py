"""Where the files that travel with us are: in a checkout beside the package, in a wheel inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from opensymphony.errors import InstallationError

_PACKAGE = Path(__file__).resolve().parent
_IN_CHECKOUT = {"openhands-server": Path("tools", "openhands-server"), "workflows": Path("workflows")}


def path(name: Literal["openhands-server", "workflows"]) -> Path:
    """The folder: the pinned agent-server's files, or the ready policies as `<name>/WORKFLOW.md`."""
    checkout = repository()
    found = checkout / _IN_CHECKOUT[name] if checkout else _PACKAGE / "_data" / name
    if not found.is_dir():
        raise InstallationError(f"{found}: missing: this copy of OpenSymphony is incomplete, install it again")
    return found


def repository() -> Path | None:
    """The root of the checkout we run from; None when we were installed as a wheel."""
    return None if (_PACKAGE / "_data").is_dir() else _PACKAGE.parent
