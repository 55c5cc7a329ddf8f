"""Where things are tried."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import anyio
import pytest

from opensymphony.clock import new_id
from opensymphony.doctor import place as places
from opensymphony.doctor.place import _BASE_MAX, PREFIX, open_place


def guards() -> list[str]:
    """Command lines of guards that we have started."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid() and "opensymphony.doctor.guard" in line:
            found.append(line)
    return found


async def test_it_is_private_and_gone_at_the_end(base: Path) -> None:
    """With its guard, which knows where it is."""
    async with open_place() as place:
        assert stat.S_IMODE(place.directory.stat().st_mode) == 0o700
        assert place.directory.name.startswith(PREFIX)
        assert [str(place.directory) in line for line in guards()] == [True]
    assert os.listdir(base) == []
    assert guards() == []


async def test_it_is_gone_when_it_is_left_in_a_hurry(base: Path) -> None:
    with anyio.CancelScope() as scope:
        async with open_place() as place:
            (place.home / "file").write_text("x")
            scope.cancel()
            await anyio.sleep_forever()
    assert os.listdir(base) == []
    with pytest.raises(ValueError, match="odd"):
        async with open_place():
            raise ValueError("odd")
    assert os.listdir(base) == []
    assert guards() == []


async def test_what_others_made_is_not_cleared_up(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its name: neither what was there before, nor what comes when ours is gone."""
    monkeypatch.setattr(places, "new_id", lambda: f"{new_id()}-123456")
    before = base / f"{PREFIX}123456" / "file"
    before.parent.mkdir()
    before.write_text("x")
    async with open_place() as place:
        await place.remove()
        place.directory.mkdir()
        (place.directory / "file").write_text("x")
    assert before.exists()
    assert (place.directory / "file").exists()
    assert guards() == []


async def test_nothing_stays_where_no_guard_can_be_started(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something was made, but nothing is tried there."""
    monkeypatch.setattr(places.sys, "executable", str(base / "no-python"))
    with pytest.raises(OSError, match="no-python"):
        async with open_place():
            raise AssertionError
    assert os.listdir(base) == []


def test_paths_of_sockets_have_room() -> None:
    """As long as the directory for temporary files has a short name; else /tmp is taken."""
    from opensymphony.agents.openhands.environment import _SOCKET_PATH_MAX, _TMUX_TAIL

    longest = f"{'x' * _BASE_MAX}/{PREFIX}12345678/state/tmux"
    assert len(longest) + _TMUX_TAIL <= _SOCKET_PATH_MAX
