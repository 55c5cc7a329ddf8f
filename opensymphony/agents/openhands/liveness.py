"""Whether anything works behind a silent tool call: the processes of a conversation are looked at twice.

They are known by the server's nonce and by the directory they are or began in, with whatever they started. Work is processor
time or moved data between the looks, that of children which came and went included: a build is made of those. What waits,
however long (a `sleep`, a dead connection, a shell, an idle server with its few timers), does neither.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

import anyio
import anyio.to_thread
import msgspec
from msgspec import Struct

from opensymphony.model import Liveness
from opensymphony.processes import NONCE_VARIABLE, list_processes, variable_of

_PAUSE_S = 2.0
_CPU_TICKS_MIN = 4
"""Of a hundred in a second: what is idle but has timers, or looks for something once a second, stays below 2 % of a core."""
_BYTES_MIN = 16_384
"""Signals between threads, what keeps a dead connection open, and the start of one small program stay below."""
_NAME_MAX = 40
_TERMINALS = ("tmux",)
"""The server draws from it all the time, whether or not anything runs in it."""


class _Effort(Struct, frozen=True):
    """What a process has done so far."""

    name: str
    cpu_ticks: int
    """With those of the children whose end it has seen."""
    bytes_moved: int
    """By its own threads, through files, pipes and the like; 0 where that is not ours to see."""


_Efforts = Mapping[tuple[int, int], _Effort]


async def look_for_work(server_pid: int | None, working_dir: str) -> Liveness:
    """What the processes below the server do for the conversation that works in `working_dir`.

    Where they cannot be seen, a server that answers has to do: then this says that something works.
    """
    nonce = await anyio.to_thread.run_sync(variable_of, server_pid, NONCE_VARIABLE) if server_pid is not None else ""
    if not nonce:
        return Liveness(alive=True, detail="the agent-server answers, and what runs below it cannot be seen from here")
    measure = partial(_measure, nonce, working_dir)
    before = await anyio.to_thread.run_sync(measure)
    await anyio.sleep(_PAUSE_S)
    after = await anyio.to_thread.run_sync(measure)
    return _compare(before, after, working_dir)


def _measure(nonce: str, working_dir: str) -> _Efforts:
    working_dir = os.path.realpath(working_dir)
    everyone = list_processes(nonce)
    efforts = {found.pid: effort for found in everyone if (effort := _effort_of(found.pid)) is not None}
    ours = {pid for pid in efforts if not _is_terminal(efforts[pid]) and _is_inside(pid, working_dir)}
    grew = bool(ours)
    while grew:
        children = {found.pid for found in everyone if found.parent in ours and found.pid not in ours}
        ours |= children
        grew = bool(children)
    ours &= efforts.keys()
    return {(found.pid, found.start_time): efforts[found.pid] for found in everyone if found.pid in ours}


def _is_terminal(effort: _Effort) -> bool:
    return effort.name.startswith(_TERMINALS)


def _is_inside(pid: int, working_dir: str) -> bool:
    return any(path == working_dir or path.startswith(working_dir + os.sep) for path in _directories_of(pid))


def _compare(before: _Efforts, after: _Efforts, working_dir: str) -> Liveness:
    """A process that went has left its time to its parent; one that is new has used all of its own since the first look, but
    what it moved may be no more than its own program."""
    ticks: dict[str, int] = {}
    moved: dict[str, int] = {}
    for key, effort in after.items():
        if _is_terminal(effort):
            continue
        earlier = before.get(key) or msgspec.structs.replace(effort, cpu_ticks=0)
        ticks[effort.name] = ticks.get(effort.name, 0) + effort.cpu_ticks - earlier.cpu_ticks
        moved[effort.name] = moved.get(effort.name, 0) + effort.bytes_moved - earlier.bytes_moved
    if sum(ticks.values()) >= _CPU_TICKS_MIN:
        return Liveness(alive=True, detail=f"{_most(ticks)} uses the processor")
    if sum(moved.values()) >= _BYTES_MIN:
        return Liveness(alive=True, detail=f"{_most(moved)} moves data")
    if not after:
        return Liveness(alive=False, detail=f"there is no process that works in {working_dir}")
    detail = f"nothing in {working_dir} has used the processor or moved data in {_PAUSE_S:g} s"
    return Liveness(alive=False, detail=detail)


def _most(amounts: Mapping[str, int]) -> str:
    """The name of the process that did the most; agents choose names, so it is shown without control characters."""
    name = max(amounts, key=lambda one: amounts[one])
    return "".join(letter if letter.isprintable() else "?" for letter in name[:_NAME_MAX]) or "a process"


def _directories_of(pid: int) -> tuple[str, ...]:
    """Where the process is and where it began, as far as that can be seen."""
    try:
        here = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        here = ""
    return here, variable_of(pid, "PWD")


def _effort_of(pid: int) -> _Effort | None:
    """None for a process that is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            head, _, tail = file.read().rpartition(b")")
    except OSError:
        return None
    name = head.partition(b"(")[2].decode(errors="replace")
    return _Effort(name, cpu_ticks=sum(map(int, tail.split()[11:15])), bytes_moved=_bytes_moved(pid))


def _bytes_moved(pid: int) -> int:
    # The figures of the process itself hold its children's, too: what each of them read of its libraries to begin with.
    try:
        paths = [f"/proc/{pid}/task/{thread}/io" for thread in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return 0
    return sum(map(_bytes_of_thread, paths))


def _bytes_of_thread(path: str) -> int:
    try:
        with open(path, "rb") as file:
            lines = [line.split() for line in file.read().splitlines()]
    except OSError:
        return 0
    return sum(int(value) for name, value in lines if name in (b"rchar:", b"wchar:"))
