"""Find `uv` and a Python for the agent-server, and run `uv` so that an interruption leaves no process.

In: our environment and `opensymphony.bundled`. Out: paths, and each line of uv's narration as it comes.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from opensymphony import bundled
from opensymphony.errors import InstallationError

PYTHON_VERSIONS = ("3.13", "3.12")
"""What the pinned agent-server runs on, best first."""

_REMEDY_UV = "install it (pip install uv) or name it in OPENSYMPHONY_UV"
_REMEDY_PYTHON = "install Python 3.12 or 3.13, or let uv fetch one (uv python install 3.13)"
_LINE_BYTES_MAX = 65_536
_LINES_KEPT = 60
_DEV_NULL = -3
# Network, locale and uv's own settings; no credential of a tracker, a forge or a model.
_PASSED_ON = re.compile(
    r"(UV|SSL|LC|XDG)_\w+|PATH|HOME|USER|LANG|TMPDIR|NETRC|(HTTPS?|ALL|NO)_PROXY|PYENV_ROOT", re.IGNORECASE
)
# Settings that would put something else than the pins into the environment.
_HELD_BACK = re.compile(
    r"UV_(PYTHON|SYSTEM_PYTHON|PROJECT\w*|TARGET|PREFIX|CONSTRAINT|OVERRIDE|EXCLUDE\w*|NO_BUILD\w*|WORKING_DIR\w*)"
)


def find_uv() -> str:
    """The absolute path of `uv`; what OPENSYMPHONY_UV names goes first and is never passed over."""
    named = os.environ.get("OPENSYMPHONY_UV")
    if named:
        if found := shutil.which(named):
            return str(Path(found).absolute())
        raise InstallationError(f"OPENSYMPHONY_UV names {named}, which cannot be run: {_REMEDY_UV}")
    if found := shutil.which("uv"):
        return str(Path(found).absolute())
    root = bundled.repository()
    if root and os.access(root / ".uv" / "bin" / "uv", os.X_OK):
        return str(root / ".uv" / "bin" / "uv")
    try:
        return str(importlib.import_module("uv").find_uv_bin())  # the package, wherever pip put its program
    except (ImportError, FileNotFoundError):
        raise InstallationError(f"uv was not found: {_REMEDY_UV}") from None


async def find_python(uv: str) -> str:
    """An interpreter that outlives our own environment: ours by its real path if it fits, else one that uv finds."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" in PYTHON_VERSIONS and (own := _own_base()):
        return own
    for version in PYTHON_VERSIONS:
        found: list[str] = []
        arguments = ["python", "find", "--no-project", "--no-python-downloads", "--system", version]
        try:
            # Where pyenv manages Python, its shims answer only to a version that was asked for.
            await run_uv([uv, *arguments], print_to=found.append, extra={"PYENV_VERSION": version})
        except InstallationError:
            continue
        if found and os.access(found[-1], os.X_OK):
            return found[-1]
    managed: list[str] = []
    try:
        await run_uv([uv, "python", "install", "--no-bin", PYTHON_VERSIONS[0]])
        await run_uv(
            [uv, "python", "find", "--no-project", "--managed-python", PYTHON_VERSIONS[0]],
            print_to=managed.append,
        )
        return managed[-1]
    except (InstallationError, IndexError):
        raise InstallationError(
            f"the agent-server needs Python 3.12 or 3.13, and uv found neither: {_REMEDY_PYTHON}"
        ) from None


def _own_base() -> str | None:
    """Our interpreter outside of any virtual environment, which may vanish."""
    candidates = [
        Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"),
        Path(os.path.realpath(sys.executable)),
    ]
    return next(
        (
            str(path)
            for path in candidates
            if os.access(path, os.X_OK) and not (path.parent.parent / "pyvenv.cfg").exists()
        ),
        None,
    )


async def run_uv(
    argv: Sequence[str],
    *,
    cwd: str | None = None,
    narrate: Callable[[str], None] = lambda line: None,
    print_to: Callable[[str], None] = lambda line: None,
    extra: dict[str, str] | None = None,
    keep_open: Sequence[int] = (),
) -> None:
    """Run to the end; `narrate` gets each line of standard error, `print_to` each of standard output.

    uv and what it starts form a process group that ends with us. `keep_open` are descriptors they inherit: a lock held
    through one is free only when all of them are gone, even if we were killed. Raises `InstallationError` with uv's reason.
    """
    environment = {k: v for k, v in os.environ.items() if _PASSED_ON.fullmatch(k) and not _HELD_BACK.fullmatch(k)}
    environment |= {"NO_COLOR": "1"} | (extra or {})
    try:
        process = await anyio.open_process(
            argv, stdin=_DEV_NULL, cwd=cwd, env=environment, start_new_session=True, pass_fds=tuple(keep_open)
        )
    except OSError as error:
        raise InstallationError(f"{argv[0]} cannot be run ({error.strerror}): {_REMEDY_UV}") from None
    kept: deque[str] = deque(maxlen=_LINES_KEPT)

    async def read(stream: anyio.abc.ByteReceiveStream | None, tell: Callable[[str], None]) -> None:
        assert stream is not None
        async for line in _lines(stream):
            kept.append(line)
            tell(line)

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, process.stdout, print_to)
            tasks.start_soon(read, process.stderr, narrate)
        code = await process.wait()
    finally:
        await _end(process)
    if code != 0:
        raise InstallationError(f"uv {argv[1]} failed: {_reason(kept) or f'exit code {code}'}")


async def _lines(stream: anyio.abc.ByteReceiveStream) -> AsyncIterator[str]:
    buffered = BufferedByteReceiveStream(stream)
    while True:
        try:
            raw = await buffered.receive_until(b"\n", _LINE_BYTES_MAX)
        except anyio.DelimiterNotFound:
            raw = await buffered.receive(_LINE_BYTES_MAX)
        except (anyio.EndOfStream, anyio.IncompleteRead):
            if buffered.buffer:
                yield buffered.buffer.decode(errors="replace").rstrip()
            return
        yield raw.decode(errors="replace").rstrip()


async def _end(process: anyio.abc.Process) -> None:
    """End the whole group. What uv wrote is thrown away and its cache takes a kill, so there is nothing to be gentle for."""
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        await process.aclose()


def _reason(lines: Sequence[str]) -> str:
    """The first `error:` and the innermost cause below it, on one line."""
    start = next((i for i, line in enumerate(lines) if line.startswith("error:")), None)
    if start is None:
        return lines[-1].strip() if lines else ""
    causes = [
        line.partition(":")[2].strip() for line in list(lines)[start + 1 :] if re.match(r"\s+(cause|Caused by):", line)
    ]
    return ": ".join([lines[start].removeprefix("error:").strip(), *causes[-1:]])
