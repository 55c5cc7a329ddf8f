"""An agent-server that is installed whole, as far as anybody looks without starting it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from opensymphony import bundled
from opensymphony.agents.openhands import installation


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
