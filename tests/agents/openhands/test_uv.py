"""Finding uv and a Python, and running uv."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from opensymphony import bundled
from opensymphony.agents.openhands import uv as uv_module
from opensymphony.agents.openhands.uv import find_python, find_uv, run_uv
from opensymphony.errors import InstallationError


def script(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_the_named_uv_goes_before_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OPENSYMPHONY_UV decides, as a path or as the name of a command."""
    named, other = script(tmp_path / "a" / "uv", ""), script(tmp_path / "b" / "uv", "")
    monkeypatch.setenv("PATH", str(tmp_path / "b"))
    monkeypatch.setenv("OPENSYMPHONY_UV", named)
    assert find_uv() == named
    monkeypatch.setenv("OPENSYMPHONY_UV", "uv")
    assert find_uv() == other
    monkeypatch.delenv("OPENSYMPHONY_UV")
    assert find_uv() == other


def test_a_named_uv_that_is_missing_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong OPENSYMPHONY_UV is an error that names it, not a silent choice of another."""
    monkeypatch.setenv("OPENSYMPHONY_UV", "/nonexistent/uv")
    with pytest.raises(InstallationError, match="OPENSYMPHONY_UV names /nonexistent/uv"):
        find_uv()


def test_without_any_uv_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither variable, path, checkout nor package: one line with what to do."""
    monkeypatch.delenv("OPENSYMPHONY_UV", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(bundled, "repository", lambda: tmp_path)
    with pytest.raises(InstallationError, match="pip install uv"):
        find_uv()
    script(tmp_path / ".uv" / "bin" / "uv", "")
    assert find_uv() == str(tmp_path / ".uv" / "bin" / "uv")


async def test_the_python_found_fits_and_is_in_no_virtual_environment() -> None:
    """The server's base interpreter is 3.12 or 3.13 and does not vanish with our own environment."""
    python = await find_python(find_uv())
    ask = "import sys; print(sys.version_info[:2] in ((3, 12), (3, 13)), sys.prefix == sys.base_prefix)"
    assert subprocess.check_output([python, "-c", ask], text=True) == "True True\n"


async def test_a_failure_is_the_error_and_its_innermost_cause(tmp_path: Path) -> None:
    """Of uv's account of a failure the first line and the last cause are told, on one line."""
    uv = script(
        tmp_path / "uv", "printf 'Resolved\\nerror: no luck\\n  cause: a\\n  cause: the disk is full\\n' >&2; exit 2"
    )
    with pytest.raises(InstallationError, match=r"^uv pip failed: no luck: the disk is full$"):
        await run_uv([uv, "pip"])


@pytest.mark.parametrize(("text", "told"), [("exit 3", "exit code 3"), ("echo; echo odd >&2; exit 1", "odd")])
async def test_a_failure_without_an_account_still_says_something(tmp_path: Path, text: str, told: str) -> None:
    """Without an `error:` line the last line or the exit code is told."""
    with pytest.raises(InstallationError, match=f"^uv pip failed: {told}$"):
        await run_uv([script(tmp_path / "uv", text), "pip"])


async def test_a_program_that_cannot_be_run_is_one_line(tmp_path: Path) -> None:
    """A uv that is no program is named."""
    with pytest.raises(InstallationError, match="No such file"):
        await run_uv([str(tmp_path / "uv"), "pip"])


async def test_uv_gets_no_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network settings and uv's own reach it; keys of models and trackers, and what would change the pins, do not."""
    for name in ("LLM_API_KEY", "JIRA_API_TOKEN", "UV_CONSTRAINT", "UV_EXCLUDE_NEWER", "HTTPS_PROXY", "UV_OFFLINE"):
        monkeypatch.setenv(name, "1")
    seen: list[str] = []
    await run_uv([script(tmp_path / "uv", "/usr/bin/env")], print_to=seen.append)
    names = {line.partition("=")[0] for line in seen}
    assert names >= {"HTTPS_PROXY", "UV_OFFLINE", "PATH", "HOME"}
    assert not names & {"LLM_API_KEY", "JIRA_API_TOKEN", "UV_CONSTRAINT", "UV_EXCLUDE_NEWER"}


async def test_lines_of_any_length_are_read(tmp_path: Path) -> None:
    """A last line without its end and one that is longer than the buffer arrive too."""
    seen: list[str] = []
    text = "head -c 200000 /dev/zero | tr '\\0' x; echo; printf end"
    await run_uv([script(tmp_path / "uv", text)], print_to=seen.append, extra={"PATH": os.environ["PATH"]})
    assert (sum(map(len, seen)), seen[-1]) == (200_003, "end")


@pytest.mark.parametrize(
    ("finds", "answer"),
    [
        ('*"find --no-project --no-python-downloads --system 3.12"*) echo /bin/sh ;;', "/bin/sh"),
        ('*"find --no-project --managed-python 3.13"*) echo /usr/bin/env ;; *install*) ;;', "/usr/bin/env"),
    ],
)
async def test_a_python_that_is_not_ours_is_found_or_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finds: str, answer: str
) -> None:
    """Where we run on another Python, uv looks for 3.13, then 3.12, and only then fetches one."""
    monkeypatch.setattr(uv_module, "_own_base", lambda: None)
    assert await find_python(script(tmp_path / "uv", f'case "$*" in {finds} *) exit 2 ;; esac')) == answer


async def test_no_python_at_all_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither found nor fetched: one line with what to install."""
    monkeypatch.setattr(uv_module, "_own_base", lambda: None)
    with pytest.raises(InstallationError, match=r"needs Python 3.12 or 3.13, .* install Python 3.12 or 3.13"):
        await find_python(script(tmp_path / "uv", "exit 2"))
