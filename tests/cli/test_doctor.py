"""`opensymphony doctor`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import argv, call, write_workflow
from tests.daemon.world import World
from tests.fakes.stub_installation import install_stub


@pytest.fixture
def place(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything that a run needs, as far as anybody looks."""
    world = World(here / "world")
    write_workflow(here, more=f"repository: {{url: {world.upstream}}}\n")
    (here / "opensymphony.toml").write_text('[server]\nport = 0\n[store]\ndirectory = "store"\n')
    monkeypatch.setenv("OPENSYMPHONY_TOOL_DIR", str(install_stub(here / "tools")))
    monkeypatch.setenv("LLM_MODEL", "openai/m")
    monkeypatch.setenv("LLM_API_KEY", "canary-key")
    return here


def test_all_is_well(place: Path) -> None:
    """Exit code 0, a line for each check, no key in any of them, nothing made."""
    said = call("doctor")
    assert said.code == 0, said.out
    assert said.lines[-1].startswith("everything that a run needs is here")
    verdicts = [line.split()[:2] for line in said.out.splitlines() if line[:4] in ("PASS", "WARN", "FAIL", "SKIP")]
    assert len(verdicts) >= 10
    assert [name for verdict, name in verdicts if verdict != "PASS" and name not in ("isolation", "uv")] == []
    assert "canary" not in said.out
    assert not (place / "store").exists()
    document = json.loads(call("doctor", "--json").out)
    assert document["ok"]
    assert {check["name"] for check in document["checks"]} >= {"git", "workflow", "prompt", "agent-server", "port"}


def test_an_unknown_template_variable_is_found(place: Path) -> None:
    """Before a ticket finds it; exit code 1."""
    text = (place / "WORKFLOW.md").read_text().replace("issue.title", "issue.titel")
    (place / "WORKFLOW.md").write_text(text)
    said = call("doctor")
    assert (said.code, "failed" in said.lines[-1]) == (1, True)
    [line] = [line for line in said.out.splitlines() if line.startswith("FAIL")]
    assert "titel" in line
    assert "WORKFLOW.md:7: prompt: " in line


def test_a_bad_workflow_skips_what_needs_it(place: Path) -> None:
    """Exit code 1, every problem, and the checks that do not need it."""
    write_workflow(place, more="agent: {max_turns: many}\nverify: {timeout_ms: -1}\n")
    said = call("doctor")
    assert said.code == 1
    [line] = [line for line in said.out.splitlines() if line.startswith("FAIL")]
    assert "agent.max_turns" in line
    assert "verify.timeout_ms" in line
    assert "SKIP  tracker" in said.out
    assert "PASS  git" in said.out
    (place / "WORKFLOW.md").unlink()
    assert call("doctor").code == 1


def test_missing_tools_are_found(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No git, no agent-server: what to install; exit code 1."""
    (place / "bin").mkdir()
    monkeypatch.setenv("PATH", str(place / "bin"))
    monkeypatch.setenv("OPENSYMPHONY_TOOL_DIR", str(place / "nothing"))
    failed = {check["name"]: check for check in json.loads(call("doctor", "--json").out)["checks"]}
    assert failed["git"]["status"] == "fail"
    assert failed["git"]["fix"] == "install git (on Debian: apt-get install git)"
    assert failed["agent-server"]["status"] == "fail"
    assert failed["agent-server"]["fix"] == "run `opensymphony install openhands`"


def test_trying_needs_a_workflow_that_can_be_used(place: Path) -> None:
    """Each thing that was asked for says that it was not tried."""
    (place / "WORKFLOW.md").unlink()
    said = call("doctor", "--live", "--model", "--json")
    assert said.code == 1
    skipped = [check["name"] for check in json.loads(said.out)["checks"] if check["status"] == "skip"]
    assert {"model-call", "live-server", "live-cleanup"} <= set(skipped)


def test_a_server_that_cannot_be_started_fails_the_command(place: Path) -> None:
    """With the step, its cause and its remedy, and without a word of a log that is gone."""
    write_workflow(place, more="isolation: none\nopenhands: {local_server: {startup_timeout_ms: 200}}\n")
    said = call("doctor", "--live")
    assert said.code == 1, said
    [line] = [line for line in said.out.splitlines() if line.startswith("FAIL")]
    assert line.startswith("FAIL  live-server        agent-server: it did not answer within")
    assert "SKIP  live-message" in said.out
    assert "PASS  live-cleanup" in said.out


def test_a_reader_that_goes_away_ends_it_quietly(place: Path) -> None:
    """`opensymphony doctor --live | head`: no traceback, and nothing is left."""
    write_workflow(place, more="isolation: none\nopenhands: {local_server: {startup_timeout_ms: 200}}\n")
    process = subprocess.Popen(argv("doctor", "--live"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    for line in process.stdout:
        if line[6:].startswith("disk"):
            break
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert (process.wait(50), "Traceback" in told) == (0, False), told
