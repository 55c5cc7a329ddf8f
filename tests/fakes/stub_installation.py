"""An agent-server that is installed whole, as far as anybody looks without starting it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import msgspec

from opensymphony import bundled
from opensymphony.agents.openhands import installation

ROOT = Path(__file__).resolve().parents[2]
FAKE = "import sys; sys.path.insert(0, sys.argv.pop(1)); from tests.fakes.agent_server import main; main()"


def install_stub(tool_dir: Path, script: str = "exec sleep 600") -> Path:
    """An installation whose interpreter is this shell script."""
    environment = tool_dir / "env-stub-1"
    python = environment / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    receipt = installation.Receipt(
        format=installation._RECEIPT_FORMAT,
        version="stub",
        pins_sha256=installation._pins_sha256(bundled.path("openhands-server")),
        python=str(python),
        python_version="3.13",
        files={"bin/python": python.stat().st_size},
    )
    (environment / installation._RECEIPT).write_bytes(msgspec.json.encode(receipt))
    (tool_dir / "current").symlink_to(environment.name)
    assert installation.check(tool_dir).status == "complete"
    return tool_dir


def install_fake(tool_dir: Path, agents: Path) -> Path:
    """An installation that starts `tests/fakes/agent_server.py`, with the scripts of its agents in `agents`."""
    words = " ".join(shlex.quote(word) for word in (sys.executable, "-c", FAKE, str(ROOT)))
    # What comes before, and the program behind `-c`, is for the interpreter of the real one.
    return install_stub(
        tool_dir,
        f'while [ "$1" != -c ]; do shift; done; shift 2\nFAKE_AGENTS={shlex.quote(str(agents))} exec {words} "$@"',
    )
