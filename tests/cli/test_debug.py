"""`opensymphony debug`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from opensymphony.cli.loading import required
from opensymphony.daemon.archiving import conversations_dir
from tests.cli.program import argv, call, write_workflow
from tests.debug.conftest import EVENTS, ID, write


def lay_out(here: Path) -> None:
    (here / "opensymphony.toml").write_text('[store]\ndirectory = "store"\n')
    write_workflow(here)
    settings, policy = required(None)
    assert settings.tool_dir.startswith(str(here))
    write(conversations_dir(settings, policy) / ID.replace("-", ""), EVENTS)


def test_a_transcript_needs_no_daemon_and_no_server(here: Path) -> None:
    """As text, as JSON lines, and only its end."""
    lay_out(here)
    said = call("debug", ID[:8])
    assert said.code == 0 and "to the agent:" in said.out and "$ seq 40" in said.out
    kinds = [json.loads(line)["kind"] for line in call("debug", ID[:8], "--json").out.splitlines()]
    assert len(kinds) == 11
    assert len(call("debug", ID[:8], "--json", "--last", "2").out.splitlines()) == 2


def test_what_is_not_known_is_one_line(here: Path) -> None:
    """With a hint."""
    lay_out(here)
    said = call("debug", "NO-1")
    assert (said.code, said.out, len(said.lines)) == (2, "", 1)
    assert "no conversation of 'NO-1' is known" in said.err


def test_a_reader_that_goes_away_ends_it_quietly(here: Path) -> None:
    """As with `| head -1`."""
    lay_out(here)
    read, write_end = os.pipe()
    os.close(read)
    done = subprocess.run(argv("debug", ID[:8]), stdout=write_end, stderr=subprocess.PIPE, timeout=50, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")
