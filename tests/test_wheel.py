"""The wheel, built from this tree and installed elsewhere."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from opensymphony import bundled
from opensymphony.agents.openhands.uv import find_uv
from opensymphony.api.dashboard import assets

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.timeout(180)
def test_the_wheel_carries_everything_it_needs(tmp_path: Path) -> None:
    """Installed without the repository, in any directory, it finds the pinned agent-server's files and the workflows."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if not name.startswith(("opensymphony/", "opensymphony_orchestrator-"))] == []
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "opensymphony/tui/app.tcss" in names
    uv, elsewhere = find_uv(), tmp_path / "elsewhere"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(elsewhere)], check=True)
    python = str(elsewhere / "bin" / "python")
    install = [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, str(wheel)]
    subprocess.run(install, check=True, cwd=tmp_path)
    code = "import opensymphony.api.dashboard as d; print(*sorted(d.assets()))"
    libraries = {"PYTHONPATH": sysconfig.get_path("purelib")}  # our dependencies, but not this tree
    said = subprocess.check_output([python, "-c", code], cwd="/", env=libraries, text=True)
    assert said.split() == sorted(assets())
    code = "from opensymphony import bundled as b; print(b.path('openhands-server')); print(b.path('workflows'))"
    said = subprocess.check_output([python, "-c", code], cwd="/", env=libraries, text=True)
    for line, name in zip(said.splitlines(), ("openhands-server", "workflows"), strict=True):
        folder = Path(line)
        assert folder.is_relative_to(elsewhere)
        here = bundled.path("openhands-server" if name == "openhands-server" else "workflows")
        files = sorted(path.relative_to(here) for path in here.rglob("*") if path.is_file())
        assert sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file()) == files
        assert all((folder / path).read_bytes() == (here / path).read_bytes() for path in files)
