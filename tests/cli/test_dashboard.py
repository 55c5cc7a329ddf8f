"""`opensymphony dashboard`."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.cli.program import call, played, run

MADE = {"code": "a-code-of-one-minute", "expires_ms": 60_000}


@pytest.fixture(autouse=True)
def no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)


def page_of(uri: str) -> Path:
    parts = urlsplit(uri.strip())
    assert parts.scheme == "file"
    return Path(unquote(parts.path))


def test_it_writes_a_page_for_its_owner_alone_and_prints_where(here: Path) -> None:
    """The code is in the page, not in the address, and the token is in neither."""
    with played(here, 200, MADE) as asked:
        said = call("dashboard", "--no-open")
    assert asked == [("/api/v1/dashboard-codes", None)]
    assert said.code == 0
    page = page_of(said.out)
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
    text = page.read_text()
    assert 'name="code" value="a-code-of-one-minute"' in text
    assert re.search(r'action="http://127\.0\.0\.1:\d+/"', text)
    assert "the-token" not in text + said.out + said.err
    assert "a-code-of-one-minute" not in said.out + said.err


def test_a_browser_is_given_the_page_and_nothing_else(here: Path) -> None:
    """The command of BROWSER gets the page's address as its only argument."""
    browser = here / "browser"
    browser.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {here}/opened\n')
    browser.chmod(0o755)
    with played(here, 200, MADE):
        said = run("dashboard", BROWSER=str(browser))
    assert (said.code, said.out) == (0, "")
    assert "opens in your browser" in said.err
    [argument] = (here / "opened").read_text().splitlines()
    assert page_of(argument).is_file()


def test_without_a_screen_it_says_how_to_look_from_elsewhere(here: Path) -> None:
    """No browser of the terminal is begun."""
    with played(here, 200, MADE):
        said = call("dashboard")
    assert said.code == 0
    assert page_of(said.out).is_file()
    assert re.search(r"ssh -N -L (\d+):127\.0\.0\.1:\1 ", said.err)
    assert "opensymphony dashboard --page" in said.err


def test_the_page_itself_for_another_machine(here: Path) -> None:
    """On standard output; nothing is written here."""
    with played(here, 200, MADE):
        said = call("dashboard", "--page")
    assert said.out.startswith("<!doctype html>")
    assert 'value="a-code-of-one-minute"' in said.out
    assert not (here / "store" / "dashboard").exists()


def test_pages_that_nobody_can_use_any_more_are_removed(here: Path) -> None:
    """A young one may be about to be read."""
    with played(here, 200, MADE):
        old, young = (page_of(call("dashboard", "--no-open").out) for _ in range(2))
        os.utime(old, (1, 1))
        call("dashboard", "--no-open")
    assert not old.exists()
    assert young.exists()


def test_without_a_daemon_it_is_one_line(here: Path) -> None:
    """What to do, and exit code 1."""
    with played(here, 200, MADE):
        pass
    (here / "store" / "daemon.json").unlink()
    said = call("dashboard")
    assert (said.code, said.out, len(said.lines)) == (1, "", 1)
    assert "start one with `opensymphony run`" in said.err


def test_an_older_daemon_is_told(here: Path) -> None:
    """One that has no dashboard: one line."""
    with played(here, 404, {"error": {"code": "not_found", "message": "no"}}):
        said = call("dashboard")
    assert (said.code, said.out, len(said.lines)) == (1, "", 1)
    assert "of another release" in said.err


def test_a_store_that_cannot_be_written_is_told(here: Path) -> None:
    """Cause and place in one line."""
    with played(here, 200, MADE):
        (here / "store" / "dashboard").write_text("in the way")
        said = call("dashboard", "--no-open")
    assert (said.code, said.out, len(said.lines)) == (1, "", 1)
    assert "no page can be written there" in said.err
