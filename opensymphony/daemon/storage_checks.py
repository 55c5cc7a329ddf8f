"""What `doctor` says about room: journal, logs, archives, workspaces, mirrors and tools, and how full their disks are.

In: settings and policy. Out: one `Check` each; a limit of `retention` that is exceeded, or a disk that is nearly full,
is a warning. Directories below the workspace root that nobody knows are named here and removed by nobody.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio.to_thread
import msgspec
from msgspec import Struct

from opensymphony.api.client import fetch_snapshot, find_daemon
from opensymphony.clock import Clock, iso
from opensymphony.daemon.archiving import active_dirs, archives_dir
from opensymphony.daemon.sizes import Size, measure, measure_all, shown
from opensymphony.errors import InstanceError, StoreError, WorkspaceError
from opensymphony.logs import FILE_NAME
from opensymphony.settings import Settings
from opensymphony.store.summary import summarise
from opensymphony.views import Check, TicketView
from opensymphony.workflow.policy import Policy
from opensymphony.workspace.receipts import Receipts
from opensymphony.workspace.removal import SET_ASIDE, TRASH

_NAMED_MAX = 5
_SECONDS_MAX = 5.0
"""For one place: `doctor` is waited for."""
_NEARLY_FULL = 0.95
_FREE_ENOUGH = 5_000_000_000


async def storage_checks(settings: Settings, policy: Policy) -> tuple[Check, ...]:
    """Every place, off the loop; nothing is started or changed."""
    clock = Clock()
    looks: tuple[Callable[[], Check], ...] = (
        partial(_journal, settings, policy, clock),
        partial(_logs, settings, policy, clock),
        partial(_archives, settings, policy, clock),
        partial(_workspaces, settings, policy, clock),
        partial(_place, "mirrors-size", Path(settings.store_dir) / "mirrors", clock),
        partial(_place, "tools-size", Path(settings.tool_dir), clock),
        partial(_disks, settings, policy),
    )
    return tuple([await anyio.to_thread.run_sync(look) for look in looks])


def _measure(path: Path | str, clock: Clock) -> Size:
    return measure(path, clock, seconds_max=_SECONDS_MAX)


def _check(name: str, detail: str, over: list[str], **figures: int) -> Check:
    """Passed, unless something is over its limit."""
    if not over:
        return Check(name=name, status="pass", detail=detail, figures=figures)
    fix = "make room, or raise the limit; a running daemon removes what it may within the hour"
    return Check(name=name, status="warn", detail=f"{detail}: {', '.join(over)}", fix=fix, figures=figures)


def _over(size: Size, limit: int, key: str) -> list[str]:
    return [f"more than retention.{key} ({shown(limit)})"] if 0 < limit < size.bytes else []


def _journal(settings: Settings, policy: Policy, clock: Clock) -> Check:
    path = Path(settings.store_dir) / "journal.db"
    try:
        found = summarise(path)
    except StoreError as error:
        return Check(name="journal-size", status="warn", detail=str(error), fix="see docs/operations.md, After a crash")
    if found is None:
        return Check(name="journal-size", status="pass", detail=f"{path}: none yet")
    size = Size()
    for suffix in ("", "-wal"):
        size += _measure(f"{path}{suffix}", clock)
    oldest_ms = _time_of(found.oldest)
    oldest = f", the oldest of {iso(oldest_ms)}" if oldest_ms else ""
    over = _over(size, policy.retention.journal_bytes, "journal_bytes")
    figures = {"records": found.records, "bytes": size.bytes, "oldest_ms": oldest_ms or 0}
    return _check("journal-size", f"{found.records:,} records{oldest}, {shown(size)}", over, **figures)


class _Event(Struct):
    at_ms: int


class _Record(Struct):
    event: _Event


def _time_of(body: bytes | None) -> int | None:
    try:
        return msgspec.json.decode(body or b"", type=_Record).event.at_ms
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _logs(settings: Settings, policy: Policy, clock: Clock) -> Check:
    sizes = [_measure(path, clock) for path in sorted(Path(settings.logs_dir).glob(f"{FILE_NAME}*"))]
    total = sum(sizes, Size())
    over = _over(total, policy.retention.logs_bytes, "logs_bytes")
    detail = f"{_counted(len(sizes), 'file')}, {shown(total)}"
    return _check("logs-size", detail, over, files=len(sizes), bytes=total.bytes)


def _archives(settings: Settings, policy: Policy, clock: Clock) -> Check:
    active = [_directories(place, clock) for place in active_dirs(settings, policy)]
    live, live_size = sum(number for number, _ in active), sum((one for _, one in active), Size())
    put, size = _directories(archives_dir(settings, policy), clock)
    over = _over(size, policy.retention.archives_bytes, "archives_bytes")
    detail = f"{live} in use, {shown(live_size)}; {put} archived, {shown(size)}"
    figures = {"active": live, "active_bytes": live_size.bytes, "archived": put, "archived_bytes": size.bytes}
    return _check("conversations-size", detail, over, **figures)


def _directories(parent: Path, clock: Clock) -> tuple[int, Size]:
    names = _names(parent)
    return len(names), measure_all((parent / name for name in names), clock, seconds_max=_SECONDS_MAX)


def _names(parent: Path) -> list[str]:
    try:
        with os.scandir(parent) as found:
            return sorted(
                one.name for one in found if one.is_dir(follow_symlinks=False) and not one.name.startswith(".")
            )
    except OSError:
        return []


def _workspaces(settings: Settings, policy: Policy, clock: Clock) -> Check:
    """Whose each directory is stands in our receipts; which of them rest, only a running daemon can tell."""
    root = Path(os.path.realpath(policy.workspace.root))
    receipts = Receipts(os.path.realpath(Path(settings.store_dir) / "mirrors"), str(root))
    ours: list[str] = []
    unknown: list[str] = []
    for name in _names(root):
        (ours if _is_ours(receipts, root, name) else unknown).append(name)
    size = measure_all((root / name for name in ours), clock, seconds_max=_SECONDS_MAX)
    resting, kept = _at_rest(settings)
    parts = [f"{len(ours)}, {shown(size)}", _told_rest(resting, kept)]
    for place, what in ((TRASH, "being removed"), (SET_ASIDE, "set aside")):
        left = _measure(root / place, clock)
        if left.entries > 1:
            parts.append(f"{shown(left)} {what} in {root / place}")
    over = _over(size, policy.retention.workspaces_bytes, "workspaces_bytes")
    figures = {"workspaces": len(ours), "bytes": size.bytes, "unknown": len(unknown)}
    if resting is not None:
        figures |= {"resting": len(resting), "kept": len(kept)}
    check = _check("workspaces-size", "; ".join(filter(None, parts)), over, **figures)
    if not unknown:
        return check
    more = f" and {len(unknown) - _NAMED_MAX} more" if len(unknown) > _NAMED_MAX else ""
    return msgspec.structs.replace(
        check,
        status="warn",
        detail=f"{check.detail}; of no ticket that is known: {', '.join(unknown[:_NAMED_MAX])}{more} in {root}",
        fix="look at them and remove them by hand; the daemon never does",
    )


def _is_ours(receipts: Receipts, root: Path, name: str) -> bool:
    try:
        receipt = receipts.read(name)
    except WorkspaceError:
        return False
    return receipt is not None and receipt.path == str(root / name)


def _at_rest(settings: Settings) -> tuple[list[str] | None, list[str]]:
    """Tickets whose workspace rests, and those of them whose work was never pushed; None when no daemon runs to be asked."""
    try:
        tickets = fetch_snapshot(find_daemon(settings.store_dir)).tickets
    except InstanceError:
        return None, []
    resting = [ticket for ticket in tickets if _rests(ticket)]
    kept = [ticket.identifier for ticket in resting if "workspace kept: " in ticket.reason]
    return [ticket.identifier for ticket in resting], kept


def _told_rest(resting: list[str] | None, kept: list[str]) -> str:
    if resting is None:
        return ""
    named = f" ({', '.join(kept[:_NAMED_MAX])}{', ...' if len(kept) > _NAMED_MAX else ''})" if kept else ""
    return f"{len(resting)} at rest, {len(kept)} kept for work that was never pushed{named}"


def _rests(ticket: TicketView) -> bool:
    return ticket.workspace is not None and ticket.phase in ("in_review", "needs_person", "closed")


def _place(name: str, path: Path, clock: Clock) -> Check:
    size = _measure(path, clock)
    return Check(name=name, status="pass", detail=f"{path}: {shown(size)}", figures={"bytes": size.bytes})


def _disks(settings: Settings, policy: Policy) -> Check:
    """One line for each disk that something of ours is on."""
    found: dict[int, str] = {}
    full: list[str] = []
    for place in (settings.store_dir, policy.workspace.root, settings.tool_dir, settings.logs_dir):
        there = next((path for path in (Path(place), *Path(place).parents) if path.exists()), Path("/"))
        device = there.stat().st_dev
        if device in found:
            continue
        usage = shutil.disk_usage(there)
        share = 1 - usage.free / usage.total if usage.total else 1.0
        found[device] = f"{there}: {shown(usage.free)} of {shown(usage.total)} free"
        if share > _NEARLY_FULL and usage.free < _FREE_ENOUGH:
            full.append(found[device])
    if full:
        detail = f"nearly full: {'; '.join(full)}"
        return Check(name="disk", status="warn", detail=detail, fix="make room before the disk is full")
    return Check(name="disk", status="pass", detail="; ".join(found.values()))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
