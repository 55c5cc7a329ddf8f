"""Telling the tracker where to call us, on the terminal."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from tests.cli.program import call
from tests.fakes.jira import EMAIL, TOKEN, WEBHOOK_SECRET, FakeJira

WORKFLOW = """\
---
tracker:
  kind: {kind}
  provider: {{base_url: '{url}', email: {email}, project_key: PROJ}}
---
Do it.
"""


class Site:
    """A fake site in a thread of its own: the command has an event loop of its own."""

    def __init__(self) -> None:
        self.jira = FakeJira()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: anyio.run(self._serve), daemon=True)
        self._stop = threading.Event()

    async def _serve(self) -> None:
        async with self.jira.serving():
            self._ready.set()
            await anyio.to_thread.run_sync(self._stop.wait)

    def __enter__(self) -> Site:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeJira]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JIRA_API_TOKEN", TOKEN)
    monkeypatch.setenv("JIRA_WEBHOOK_SECRET", WEBHOOK_SECRET)
    with Site() as made:
        (tmp_path / "WORKFLOW.md").write_text(WORKFLOW.format(kind="jira", url=made.jira.base_url, email=EMAIL))
        yield made.jira


def test_an_address_is_registered_listed_and_removed(site: FakeJira) -> None:
    """The path is added where it is missing; done again it is the same one."""
    assert call("webhook", "list").out == "there are none\n"
    said = call("webhook", "register", "https://hooks.example.com/")
    assert (said.code, "https://hooks.example.com/webhook/jira (jira:issue_created," in said.out) == (0, True), said
    [number] = site.hooks
    assert call("webhook", "register", "https://hooks.example.com/webhook/jira").code == 0
    assert list(site.hooks) == [number]
    [listed] = json.loads(call("webhook", "list", "--json").out)
    assert (listed["id"], listed["condition"]) == (number, 'project = "PROJ"')
    assert WEBHOOK_SECRET not in call("webhook", "list").out
    assert call("webhook", "remove", number).out == f"webhook {number} is removed\n"
    assert call("webhook", "remove", number).lines == [f"opensymphony: there is no webhook {number}"]


@pytest.mark.parametrize(
    "url", ["http://hooks.example.com", "hooks.example.com", "https://u:p@x.example", "https://x.example/?a=b"]
)
def test_an_address_that_no_tracker_calls_is_refused(site: FakeJira, url: str) -> None:
    said = call("webhook", "register", url)
    assert (said.code, "is no address that a tracker calls" in said.lines[0]) == (2, True)
    assert site.hooks == {}


def test_what_cannot_be_done_is_one_line(site: FakeJira, tmp_path: Path) -> None:
    """No permission, a nonsensical id, a tracker without webhooks."""
    site.denied.add("ADMINISTER")
    said = call("webhook", "list")
    assert (said.code, len(said.lines), "Administer Jira" in said.lines[0]) == (3, 1, True)
    assert call("webhook", "remove", "../1").code == 2
    (tmp_path / "board").mkdir()
    (tmp_path / "WORKFLOW.md").write_text("---\ntracker: {kind: files, provider: {path: board}}\n---\nDo it.\n")
    assert call("webhook", "list").lines == ["opensymphony: the tracker files has no webhooks"]
