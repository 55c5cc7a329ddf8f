"""Which conversation a person means, and where it lies.

In: an identifier, a ticket's id, or the beginning of a conversation's id. Asked are, in this order, the running daemon, the
journal (read only), the manifest in the workspace, and the names in the stores.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec
from msgspec import Struct

from opensymphony.api.client import Address, fetch_issues, find_daemon
from opensymphony.daemon.archiving import archives_dir, conversation_stores, locate
from opensymphony.daemon.history import open_store, replayed
from opensymphony.daemon.model_access import model_environment
from opensymphony.errors import InstanceError, OpenSymphonyError, StoreError
from opensymphony.model import ticket_key
from opensymphony.settings import Settings
from opensymphony.views import TicketView
from opensymphony.workflow.policy import Policy

_PREFIX = re.compile(r"[0-9a-f]{4,32}")
_ID = re.compile(r"[0-9a-f]{32}")


class Found(Struct, frozen=True, kw_only=True):
    """One conversation."""

    conversation_id: str
    directory: Path | None
    """None when no store holds it (yet)."""
    archived: bool = False
    view: TicketView | None = None
    """The ticket that it is about, as the daemon or the journal tells it."""
    daemon: Address | None = None
    """None when none runs."""

    @property
    def name(self) -> str:
        return self.view.identifier if self.view else self.conversation_id


class _Manifest(Struct, frozen=True, kw_only=True):
    conversation_id: str


def find(settings: Settings, policy: Policy, wanted: str) -> Found:
    """Raises `InstanceError`, in one line, when there is none or more than one."""
    daemon, views = _known(settings)
    folded = wanted.strip().casefold()
    prefix = folded.replace("-", "")
    prefix = prefix if _PREFIX.fullmatch(prefix) else None
    view = next((one for one in views if folded in (one.identifier.casefold(), one.id.casefold())), None)
    if view is None and prefix is not None:
        view = next((one for one in views if _plain(one.conversation_id).startswith(prefix)), None)
    if view is not None and view.conversation_id is None:
        raise InstanceError(f"{view.identifier} has no conversation yet: {view.reason or 'no run of it has begun'}")
    conversation_id = view.conversation_id if view is not None else _in_manifest(policy, wanted)
    if conversation_id is None and prefix is not None:
        conversation_id = _by_name(settings, policy, prefix)
    if conversation_id is None:
        raise InstanceError(
            f"no conversation of {wanted[:200]!r} is known: give a ticket that was worked on, or the beginning of a "
            "conversation's id"
        )
    directory = locate(settings, policy, conversation_id)
    return Found(
        conversation_id=conversation_id,
        directory=directory,
        archived=directory is not None and directory.parent == archives_dir(settings, policy),
        view=view,
        daemon=daemon,
    )


def know_secrets(settings: Settings, policy: Policy) -> None:
    """So that they are taken out of what is shown; one that cannot be read now is not known."""
    with suppress(OpenSymphonyError):
        anyio.run(model_environment, policy, settings)


def view_of(settings: Settings, found: Found) -> TicketView | None:
    """The ticket as it is now."""
    if found.view is None:
        return None
    _, views = _known(settings)
    return next((one for one in views if one.id == found.view.id), None)


def _known(settings: Settings) -> tuple[Address | None, Sequence[TicketView]]:
    try:
        daemon = find_daemon(settings.store_dir)
        return daemon, fetch_issues(daemon).issues
    except InstanceError:
        pass  # none runs, or the one that did was killed
    try:
        with open_store(Path(settings.store_dir)) as history:
            return None, replayed(history, None).tickets
    except StoreError:
        return None, ()


def _in_manifest(policy: Policy, wanted: str) -> str | None:
    """Written by us, but the agent's to change: only the form of an id is believed, and only for looking."""
    key = ticket_key(wanted)
    place = Path(policy.workspace.root) / key / ".opensymphony" / "conversation.json"
    try:
        found = msgspec.json.decode(place.read_bytes(), type=_Manifest).conversation_id
    except (OSError, msgspec.MsgspecError, UnicodeError, ValueError):
        return None
    return found if _ID.fullmatch(_plain(found)) else None


def _by_name(settings: Settings, policy: Policy, prefix: str) -> str | None:
    names: set[str] = set()
    for store in conversation_stores(settings, policy):
        try:
            names.update(place.name for place in store.iterdir() if _ID.fullmatch(place.name))
        except OSError:
            continue
    found = sorted(name for name in names if name.startswith(prefix))
    if len(found) > 1:
        raise InstanceError(
            f"{len(found)} conversations begin with {prefix}: give more of the id, such as {found[0][:12]}"
        )
    return found[0] if found else None


def _plain(conversation_id: str | None) -> str:
    return (conversation_id or "").replace("-", "").lower()
