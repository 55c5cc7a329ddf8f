"""What a managed server finds around it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opensymphony.agents.openhands import environment
from opensymphony.agents.openhands.environment import Places, command_line, initialisation, launch_mark, prepare
from opensymphony.errors import AgentServerError
from opensymphony.processes import NONCE_VARIABLE
from opensymphony.workflow.policy import LocalServerPolicy


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(state=tmp_path / "state", conversations=tmp_path / "conversations")


def test_the_command_line_names_loopback_and_hides_the_pool_size_from_agents() -> None:
    """The number of processors is an option of this interpreter only; no key stands where every process can read it."""
    assert command_line("/python", 7) == [
        *("/python", "-u", "-X", "cpu_count=64"),
        *("-c", environment._RUN, "--host", "127.0.0.1", "--port", "7"),
    ]


def test_the_environment_has_our_settings_and_no_secret_of_ours(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's PATH and the policy's additions, never the daemon's credentials; what identifies us cannot be overridden."""
    monkeypatch.setenv("LLM_API_KEY", "canary")
    monkeypatch.setenv("PATH", "/users/bin")
    env = prepare(
        places, nonce="n", init_key="once", extra={"OH_MAX_CONCURRENT_RUNS": "3", "HOME": "/elsewhere", "X": "1"}
    )
    assert "canary" not in str(env)
    assert (env["OH_DEFERRED_INIT"], env["OH_SECRET_KEY"]) == ("1", "once")
    assert not [name for name in env if name.startswith("OH_SESSION_API_KEY")]
    assert (env["PATH"], env["X"], env["OH_MAX_CONCURRENT_RUNS"]) == ("/users/bin", "1", "3")
    assert (env["HOME"], env[NONCE_VARIABLE]) == (str(places.home), "n")
    assert (places.home / ".gitconfig").read_text().startswith("[user]")
    assert places.home.stat().st_mode & 0o777 == 0o700


def test_the_tmux_directory_leaves_room_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long state path gives a short directory that stays the same, is ours alone, and is refused when it is not."""
    monkeypatch.setattr(environment.tempfile, "gettempdir", lambda: f"/tmp/o{os.getpid()}")
    short = Path(f"/tmp/o{os.getpid()}")
    short.mkdir()
    places = Places(state=tmp_path / ("long" * 20), conversations=tmp_path / "c")
    found = [prepare(places, nonce="n", init_key="once", extra={})["TMUX_TMPDIR"] for _ in range(2)]
    directory = Path(found[0])
    assert found[0] == found[1]
    assert (directory.parent, directory.stat().st_mode & 0o777) == (short, 0o700)
    directory.rmdir()
    directory.symlink_to(tmp_path)
    with pytest.raises(AgentServerError, match="somebody else"):
        prepare(places, nonce="n", init_key="once", extra={})
    directory.unlink()
    short.rmdir()


def test_an_empty_secret_key_is_told(places: Places) -> None:
    """A file cut off by a full disk is not used as a key."""
    places.state.mkdir()
    places.secret_key.touch()
    with pytest.raises(AgentServerError, match=r"agent-server\.secret"):
        initialisation(places, "key")


def test_the_keys_come_after_the_start(places: Places) -> None:
    """A session key for this start, and the secret key that stays the same."""
    places.state.mkdir()
    first, second = initialisation(places, "one"), initialisation(places, "two")
    assert (first["session_api_keys"], second["session_api_keys"]) == (["one"], ["two"])
    assert first["secret_key"] == second["secret_key"] == places.secret_key.read_text()
    assert places.secret_key.stat().st_mode & 0o777 == 0o600


def test_a_launcher_of_the_policy_takes_the_place_of_ours() -> None:
    """It is given host and port as ours is."""
    assert command_line("/python", 7, ("/bin/launch", "-x")) == [
        *("/bin/launch", "-x", "--host", "127.0.0.1", "--port", "7")
    ]


def test_the_mark_of_a_launch_tells_what_differs(places: Places, tmp_path: Path) -> None:
    """Another interpreter, launcher, environment or store is another launch; nothing else is."""
    elsewhere = Places(state=places.state, conversations=tmp_path / "elsewhere")
    marks = {
        launch_mark(places, "/python", LocalServerPolicy()),
        launch_mark(places, "/other", LocalServerPolicy()),
        launch_mark(places, "/python", LocalServerPolicy(command=("/bin/launch",))),
        launch_mark(places, "/python", LocalServerPolicy(env={"A": "1"})),
        launch_mark(elsewhere, "/python", LocalServerPolicy()),
    }
    assert len(marks) == 5
    assert launch_mark(places, "/python", LocalServerPolicy(max_restarts=9)) in marks
