"""Install the pinned agent-server, and tell whether an installation is whole.

In: the bundled files (`tools/openhands-server`) and a tool directory. Out: an environment of the server's own in it.

A virtual environment cannot be moved, so each installation gets a directory of its own, `env-<version>-<id>`, and the link
`current` is exchanged atomically as the very last step. Whatever is interrupted before that is never taken for whole and
is removed by the next installation. The receipt inside the environment lists every file with its size: what was deleted
or cut short afterwards is noticed by a look at each (15,000 files, under 0.1 s); a change that keeps the size is not.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

import anyio
import anyio.to_thread
import msgspec
from msgspec import Struct

from opensymphony import bundled
from opensymphony.agents.openhands.uv import find_python, find_uv, run_uv
from opensymphony.agents.openhands.uv_progress import InstallProgress, Narration
from opensymphony.clock import new_id
from opensymphony.errors import InstallationError

DISK_BYTES_NEEDED = 1_200_000_000
"""The environment with its bytecode, uv's cache of the same packages, and room to work."""

_RECEIPT = "installed.json"
_RECEIPT_FORMAT = 1
_LOCK = ".install.lock"
_PINS = ("requirements.txt", "build-constraints.txt")
_POLL_SECONDS = 0.2


class Receipt(Struct, frozen=True, kw_only=True):
    """What one finished installation consists of; written into it when everything else is there."""

    format: int
    version: str
    pins_sha256: str
    python: str
    """The base interpreter; the environment is useless without it."""
    python_version: str
    files: dict[str, int]
    """Path within the environment to size in bytes; bytecode is left out, since Python may rewrite it."""


class InstallationState(Struct, frozen=True, kw_only=True):
    """Whether the agent-server in a tool directory can be started."""

    status: Literal["absent", "complete", "interrupted", "damaged", "outdated"]
    version: str | None = None
    """Of what is installed; None where that cannot be told."""
    detail: str = ""
    """For people: what is wrong, with the path."""


class Installed(Struct, frozen=True, kw_only=True):
    """The outcome of an installation."""

    changed: bool
    """False when it was there already, whole and up to date."""
    version: str
    python: str
    """The interpreter that has the server: `<python> -m openhands.agent_server`."""
    reason: str = ""
    """Why something had to be done: the state found before."""
    duration_ms: int = 0


def check(tool_dir: Path, *, bundle: Path | None = None) -> InstallationState:
    """Look at every installed file; changes nothing. Blocking, a fraction of a second."""
    try:
        return _look(tool_dir, bundle or bundled.path("openhands-server"))
    except OSError as error:
        return InstallationState(status="damaged", detail=f"{error.filename or tool_dir}: {error.strerror}")


def _look(tool_dir: Path, bundle: Path) -> InstallationState:
    current = tool_dir / "current"
    if not current.is_symlink():
        left = _environments(tool_dir)
        if left:
            return InstallationState(status="interrupted", detail=f"{left[0]}: an installation was interrupted")
        return InstallationState(status="absent", detail=f"{tool_dir}: the agent-server is not installed")
    receipt = _read_receipt(current / _RECEIPT)
    if receipt is None:
        return InstallationState(status="damaged", detail=f"{current / _RECEIPT}: missing or unreadable")
    if receipt.pins_sha256 != _pins_sha256(bundle):
        detail = f"{tool_dir}: has agent-server {receipt.version}, this release pins {_version(bundle)}"
        if receipt.version == _version(bundle):
            detail = f"{tool_dir}: has agent-server {receipt.version} with other libraries than this release pins"
        return InstallationState(status="outdated", version=receipt.version, detail=detail)
    damage = _damage(current, receipt)
    return InstallationState(status="damaged" if damage else "complete", version=receipt.version, detail=damage)


def python_path(tool_dir: Path) -> str:
    """The interpreter of the installed server, by the real path: a later installation does not change what it names.

    Raises `InstallationError` when nothing is installed; whether it is whole is for `check` to say.
    """
    python = Path(os.path.realpath(tool_dir / "current")) / "bin" / "python"
    if not os.access(python, os.X_OK):
        raise InstallationError(f"{tool_dir}: the agent-server is not installed: run opensymphony install openhands")
    return str(python)


async def install(
    tool_dir: Path, report: Callable[[InstallProgress], None] = lambda progress: None, *, bundle: Path | None = None
) -> Installed:
    """Make the installation whole and up to date, or find that it is.

    A second installation into the same directory waits for the first. Cancelled, it leaves no process and no half-made
    environment; killed, the next one clears up. Raises `InstallationError`.
    """
    started = anyio.current_time()
    bundle = bundle or bundled.path("openhands-server")
    try:
        tool_dir = await anyio.to_thread.run_sync(_absolute, tool_dir, bundle)
        state = await anyio.to_thread.run_sync(lambda: check(tool_dir, bundle=bundle))
        if state.status == "complete":
            await anyio.to_thread.run_sync(_write_bundle, bundle, tool_dir)
            return _installed(tool_dir, bundle, started)
        uv = find_uv()
        await anyio.to_thread.run_sync(_open_place, tool_dir)
        async with _locked(tool_dir, report) as lock:
            state = await anyio.to_thread.run_sync(lambda: check(tool_dir, bundle=bundle))
            if state.status != "complete":  # else the installation we waited for did it
                await _make(tool_dir, uv, bundle, lock, report)
            return _installed(tool_dir, bundle, started, state)
    except OSError as error:
        raise InstallationError(
            f"{error.filename or tool_dir}: {error.strerror}: choose another --tool-dir or repair this one"
        ) from None


def _installed(tool_dir: Path, bundle: Path, started: float, found: InstallationState | None = None) -> Installed:
    changed = found is not None and found.status != "complete"
    return Installed(
        changed=changed,
        version=_version(bundle),
        python=python_path(tool_dir),
        reason=found.status if found and changed else "",
        duration_ms=round((anyio.current_time() - started) * 1000),
    )


async def _make(tool_dir: Path, uv: str, bundle: Path, lock: int, report: Callable[[InstallProgress], None]) -> None:
    """Build a new environment beside the old one and exchange the link to it."""
    report(InstallProgress(phase="preparing", share=0.0, detail=str(tool_dir)))
    await anyio.to_thread.run_sync(_remove_leftovers, tool_dir)
    _check_disk(tool_dir)
    await anyio.to_thread.run_sync(_write_bundle, bundle, tool_dir)
    python = await find_python(uv)
    environment = tool_dir / f"env-{_version(bundle)}-{new_id()[:8]}"
    try:
        await _fill(environment, uv, python, bundle, lock, report)
        report(InstallProgress(phase="finishing", share=0.97, detail="looking at every file"))
        receipt = await anyio.to_thread.run_sync(_receipt, environment, bundle, python)
        await anyio.to_thread.run_sync(_finish, tool_dir, environment, receipt)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_remove_unless_current, tool_dir, environment)
        raise
    await anyio.to_thread.run_sync(_remove_leftovers, tool_dir)
    report(InstallProgress(phase="finishing", share=1.0, detail="done"))


async def _fill(
    environment: Path, uv: str, python: str, bundle: Path, lock: int, report: Callable[[InstallProgress], None]
) -> None:
    """Make the environment and install the pins into it, with progress from uv's narration and from what has appeared."""
    cwd = str(environment.parent)
    await run_uv([uv, "venv", "--no-project", "--python", python, str(environment)], cwd=cwd, keep_open=[lock])
    narration = Narration(environment, report)
    # Copies: with links into uv's cache, damage to an installed file would be installed again by the repair.
    argv = [uv, "pip", "install", "--python", str(environment / "bin" / "python"), "--require-hashes", "--no-deps"]
    argv += ["--link-mode", "copy", "--compile-bytecode", "-r", str(bundle / "requirements.txt")]
    argv += ["--build-constraints", str(bundle / "build-constraints.txt")]
    failure: InstallationError | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(narration.watch)
        try:
            await run_uv(argv, cwd=cwd, narrate=narration.hear, keep_open=[lock])
        except InstallationError as error:
            failure = error  # raised outside of the group, which would wrap it
        tasks.cancel_scope.cancel()
    if failure:
        raise failure


@asynccontextmanager
async def _locked(tool_dir: Path, report: Callable[[InstallProgress], None]) -> AsyncGenerator[int]:
    """Hold the directory's lock; wait while another installation, or what a killed one left running, holds it."""
    descriptor = os.open(tool_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                report(InstallProgress(phase="waiting", detail=f"another installation into {tool_dir} is running"))
                await anyio.sleep(_POLL_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


def _absolute(tool_dir: Path, bundle: Path) -> Path:
    absolute = Path(os.path.abspath(tool_dir.expanduser()))
    if absolute.resolve() == bundle.resolve():
        raise InstallationError(f"{absolute}: holds the files to install from: choose another --tool-dir")
    return absolute


def _open_place(tool_dir: Path) -> None:
    """Make the directory, but not where there is no room for what goes into it."""
    if not tool_dir.is_dir():
        _check_disk(tool_dir)
        tool_dir.mkdir(parents=True, exist_ok=True)


def _check_disk(tool_dir: Path) -> None:
    place = next(path for path in (tool_dir, *tool_dir.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < DISK_BYTES_NEEDED:
        need, have = DISK_BYTES_NEEDED // 1_000_000, free // 1_000_000
        remedy = "make room or choose another --tool-dir"
        raise InstallationError(f"{tool_dir}: not enough disk space: {need} MB needed, {have} MB free: {remedy}")


def _write_bundle(bundle: Path, tool_dir: Path) -> None:
    """Copy the bundled files that differ, each in one step."""
    for source in sorted(bundle.iterdir()):
        target = tool_dir / source.name
        if not source.is_file() or (target.is_file() and target.read_bytes() == source.read_bytes()):
            continue
        new = tool_dir / f".{source.name}.{new_id()[:8]}"
        try:
            shutil.copyfile(source, new)
            new.chmod(0o755 if source.suffix == ".sh" else 0o644)
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)


def _receipt(environment: Path, bundle: Path, python: str) -> Receipt:
    files: dict[str, int] = {}
    for directory, _, names in os.walk(environment):
        if not directory.endswith("__pycache__"):
            paths = (os.path.join(directory, name) for name in names)
            files |= {os.path.relpath(path, environment): os.lstat(path).st_size for path in paths}
    settings = (environment / "pyvenv.cfg").read_text()
    found = re.search(r"^version(?:_info)? *= *(\S+)", settings, re.MULTILINE)
    return Receipt(
        format=_RECEIPT_FORMAT,
        version=_version(bundle),
        pins_sha256=_pins_sha256(bundle),
        python=python,
        python_version=found[1] if found else "",
        files=files,
    )


def _finish(tool_dir: Path, environment: Path, receipt: Receipt) -> None:
    """Write the receipt and exchange the link, after everything else has reached the disk."""
    os.sync()
    new_receipt = environment / f"{_RECEIPT}.new"
    with new_receipt.open("wb") as stream:
        stream.write(msgspec.json.encode(receipt))
        stream.flush()
        os.fsync(stream.fileno())
    new_receipt.replace(environment / _RECEIPT)
    link = tool_dir / f".current.{new_id()[:8]}"
    link.symlink_to(environment.name)
    link.replace(tool_dir / "current")


def _damage(environment: Path, receipt: Receipt) -> str:
    """What is wrong with the installed files, or nothing."""
    if not os.access(environment / "bin" / "python", os.X_OK):
        return f"{receipt.python}: the Python it was installed with is gone"
    root = os.path.join(os.path.realpath(environment), "")
    missing: list[str] = []
    for name, size in receipt.files.items():
        try:
            if os.lstat(root + name).st_size != size:
                missing.append(name)
        except OSError:
            missing.append(name)
    return f"{root}{missing[0]}: missing or changed ({len(missing)} such files)" if missing else ""


def _read_receipt(path: Path) -> Receipt | None:
    try:
        receipt = msgspec.json.decode(path.read_bytes(), type=Receipt)
    except (OSError, msgspec.MsgspecError, ValueError):
        return None
    return receipt if receipt.format == _RECEIPT_FORMAT else None


def _remove_unless_current(tool_dir: Path, environment: Path) -> None:
    if os.path.realpath(tool_dir / "current") != os.path.realpath(environment):
        shutil.rmtree(environment, ignore_errors=True)


def _remove_leftovers(tool_dir: Path) -> None:
    """Remove every environment but the current one and those that a running server was started from."""
    current = os.path.realpath(tool_dir / "current")
    commands = _command_lines()
    for environment in _environments(tool_dir):
        path = os.path.realpath(environment)
        if path != current and not any(f"{path}/" in command for command in commands):
            shutil.rmtree(environment, ignore_errors=True)


def _command_lines() -> list[str]:
    """Of every process of this machine, where the platform shows them as files; else none."""
    lines: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return lines


def _environments(tool_dir: Path) -> list[Path]:
    return sorted(tool_dir.glob("env-*"))


def _version(bundle: Path) -> str:
    return (bundle / "version.txt").read_text().strip()


def _pins_sha256(bundle: Path) -> str:
    return hashlib.sha256(b"".join((bundle / name).read_bytes() for name in _PINS)).hexdigest()
