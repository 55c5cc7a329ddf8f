"""From what uv says to a share of the work."""

from __future__ import annotations

from pathlib import Path

import anyio

from opensymphony.agents.openhands.uv_progress import InstallProgress, Narration

NARRATION = """\
Using Python 3.13.0 environment at: env
Resolved 153 packages in 1.08s
Downloading pygments (1.0MiB)
Downloading litellm (3.0MiB)
   Building func-timeout==4.3.5
 Downloaded pygments
 Downloaded litellm
Prepared 153 packages in 3.25s
Installed 153 packages in 1.23s
 + agent-client-protocol==0.12.1
"""


def test_each_phase_is_told_with_what_and_how_much(tmp_path: Path) -> None:
    """The phases follow uv's lines, downloads are counted in MiB, unknown lines change nothing."""
    seen: list[InstallProgress] = []
    narration = Narration(tmp_path, seen.append)
    for line in NARRATION.splitlines():
        narration.hear(line)
    assert [(p.phase, p.detail) for p in seen] == [
        ("downloading", "153 packages"),
        ("downloading", "0 of 1 MiB"),
        ("downloading", "0 of 4 MiB"),
        ("downloading", "1 of 4 MiB"),
        ("downloading", "4 of 4 MiB"),
        ("installing", "153 packages"),
        ("compiling", "bytecode"),
    ]
    shares = [p.share or 0.0 for p in seen]
    assert shares == sorted(shares)


def test_everything_in_the_cache_skips_the_download(tmp_path: Path) -> None:
    """Without a download uv goes straight to installing; the share does not fall back later."""
    seen: list[InstallProgress] = []
    narration = Narration(tmp_path, seen.append)
    for line in ("Resolved 2 packages in 1ms", "Installed 2 packages in 1ms", "Downloading late (1.0MiB)"):
        narration.hear(line)
    assert seen[-1].share == seen[-2].share


async def test_compiling_is_counted_by_what_has_appeared(tmp_path: Path) -> None:
    """While uv compiles it says nothing: the compiled files are counted."""
    cache = tmp_path / "lib" / "__pycache__"
    cache.mkdir(parents=True)
    for name in ("a", "b", "c", "d"):
        (tmp_path / "lib" / f"{name}.py").touch()
    (cache / "a.cpython-313.pyc").touch()
    seen: list[InstallProgress] = []
    narration = Narration(tmp_path, seen.append)
    narration.hear("Installed 4 packages in 1ms")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(narration.watch)
        with anyio.fail_after(20):
            while len(seen) < 2:
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()
    assert seen[1].detail == "1 of 4 files"


async def test_installing_is_counted_by_packages(tmp_path: Path) -> None:
    """While uv copies, the packages that are there are counted."""
    (tmp_path / "lib" / "python3.13" / "site-packages" / "one-1.0.dist-info").mkdir(parents=True)
    seen: list[InstallProgress] = []
    narration = Narration(tmp_path, seen.append)
    narration.hear("Resolved 2 packages in 1ms")
    narration.hear("Prepared 2 packages in 1ms")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(narration.watch)
        with anyio.fail_after(20):
            while len(seen) < 3:
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()
    assert seen[2].detail == "1 of 2 packages"
