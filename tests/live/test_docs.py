"""What README and quickstart tell a newcomer to type, typed: every `sh` block in order, in one shell, in a clean copy."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from opensymphony import processes
from opensymphony.clock import new_id

ROOT = Path(__file__).parent.parent.parent
PAGES = ["README.md", "docs/quickstart.md"]
TOOL_DIR = os.environ.get("OPENSYMPHONY_TOOL_DIR") or str(Path.home() / ".opensymphony" / "openhands-server")
UV = os.environ.get("OPENSYMPHONY_UV") or shutil.which("uv")

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]


def uv_cache() -> str:
    """The packages that are on this machine already; a new home directory would hide them."""
    assert UV is not None, "uv is needed: run the tests through ./dev test"
    return subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()


CACHE = uv_cache() if UV else ""


def blocks() -> list[str]:
    """`sh` blocks are to be run; `console` blocks only show what a person may type."""
    return [
        block for page in PAGES for block in re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    ]


async def test_every_block_for_a_newcomer_runs(tmp_path: Path) -> None:
    """From a clean copy and an empty home directory each block succeeds, and the last says that the ticket would start."""
    assert len(blocks()) >= 8
    copy = tmp_path / "copy"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    home = tmp_path / "home"
    home.mkdir()
    nonce = new_id()
    passed_on = {name: value for name, value in os.environ.items() if name.startswith("UV_") or name == "PIP_CERT"}
    given = {"HOME": str(home), "OPENSYMPHONY_TOOL_DIR": TOOL_DIR, "UV_CACHE_DIR": CACHE}
    env = {**processes.scrubbed_environment(nonce), **passed_on, **given}
    env["PATH"] = f"{Path(UV or '').parent}{os.pathsep}{env['PATH']}"
    script = "set -eux\n" + "\n".join(blocks())
    done = await processes.run(["sh", "-c", script], cwd=str(copy), env=env, timeout_ms=800_000)
    assert done.exit_code == 0, done.output[-4_000:]
    assert "FIRST-1  would start" in done.output
    assert processes.list_processes(nonce) == ()
