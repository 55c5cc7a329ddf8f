"""Telling the tracker where to call us, on the terminal."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from tests.cli.program import call
from tests.fakes.bitbucket import API_TOKEN, FakeBitbucket
from tests.fakes.bitbucket import EMAIL as HOST_EMAIL
from tests.fakes.bitbucket import WEBHOOK_SECRET as BITBUCKET_SECRET
from tests.fakes.jira import EMAIL, TOKEN, WEBHOOK_SECRET, FakeJira
from tests.fakes.jira_oauth import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN

WORKFLOW = """\
---
tracker:
  kind: {kind}
  provider: {{base_url: '{url}', email: {email}, project_key: PROJ}}
---
Do it.
"""


class Served:
    """A fake in a thread of its own: the command has an event loop of its own."""

    def __init__(self, serving: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        self._serving = serving
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: anyio.run(self._serve), daemon=True)
        self._stop = threading.Event()

    async def _serve(self) -> None:
        async with self._serving():
            self._ready.set()
            await anyio.to_thread.run_sync(self._stop.wait)

    def __enter__(self) -> Served:
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
    jira = FakeJira()
    with Served(jira.serving):
        (tmp_path / "WORKFLOW.md").write_text(WORKFLOW.format(kind="jira", url=jira.base_url, email=EMAIL))
        yield jira


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
    assert call("webhook", "list").lines == ["opensymphony: files has no webhooks"]


def test_an_apps_webhooks_are_shown_with_their_end(
    site: FakeJira, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registered again they hold for longer; no token is said, and the store alone keeps them."""
    monkeypatch.setenv("JIRA_OAUTH_CLIENT_SECRET", CLIENT_SECRET)
    monkeypatch.setenv("JIRA_OAUTH_REFRESH_TOKEN", REFRESH_TOKEN)
    app = (
        f"gateway_url: '{site.base_url}', oauth_client_id: {CLIENT_ID}, oauth_token_url: '{site.base_url}/oauth/token'"
    )
    workflow = tmp_path / "WORKFLOW.md"
    workflow.write_text(workflow.read_text().replace("project_key: PROJ", f"project_key: PROJ, {app}"))
    (tmp_path / "opensymphony.toml").write_text('[store]\ndirectory = "store"\n')
    outputs = [call("webhook", "list"), call("webhook", "register", "https://hooks.example.com")]
    assert (outputs[0].out, outputs[1].code) == ("there are none\n", 0), outputs
    [number] = site.app_hooks
    outputs += [call("webhook", "list"), call("webhook", "list", "--json")]
    assert re.search(r'where project = "PROJ", until 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\n', outputs[2].out)
    [listed] = json.loads(outputs[3].out)
    assert listed["expires_ms"] == site.app_hooks[number]["expirationDate"]
    outputs += [call("webhook", "remove", str(number)), call("webhook", "remove", str(number))]
    assert [one.code for one in outputs[-2:]] == [0, 1]
    assert len(site.oauth.asked) == 1, "all of them used one token"
    secrets = [*site.oauth.made, CLIENT_SECRET, REFRESH_TOKEN]
    assert not [one for one in secrets if any(one in said.out + said.err for said in outputs)]
    holders = {path.name for path in tmp_path.rglob("*") if path.is_file() and site.oauth.made[0] in path.read_text()}
    assert holders == {"jira-oauth.json"}
    site.oauth.refresh_tokens.clear()
    (tmp_path / "store" / "jira-oauth.json").unlink()
    said = call("webhook", "list")
    assert (said.code, len(said.lines), "sign in to the OAuth app again" in said.lines[0]) == (3, 1, True)


def test_a_code_host_is_told_by_its_name(tmp_path: Path, site: FakeJira, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name in WORKFLOW.md; what is neither the tracker nor the code host is refused."""
    monkeypatch.setenv("BITBUCKET_TOKEN", API_TOKEN)
    monkeypatch.setenv("BITBUCKET_WEBHOOK_SECRET", BITBUCKET_SECRET)
    made = FakeBitbucket(tmp_path / "bitbucket")
    with Served(made.serving):
        text = (tmp_path / "WORKFLOW.md").read_text()
        provider = f"workspace: acme, repository: app, api_url: '{made.api_url}', email: {HOST_EMAIL}"
        host = f"code_host: {{kind: bitbucket, provider: {{{provider}}}}}"
        more = f"repository: {{url: '{made.git_url}'}}\n{host}\n"
        (tmp_path / "WORKFLOW.md").write_text(text.replace("---\nDo it", f"{more}---\nDo it"))
        said = call("webhook", "register", "https://hooks.example.com", "--service", "bitbucket")
        assert said.code == 0 and "https://hooks.example.com/webhook/bitbucket" in said.out, said
        hook = next(iter(made.hooks)).strip("{}")
        assert hook in call("webhook", "list", "--service", "bitbucket").out
        assert call("webhook", "remove", hook, "--service", "bitbucket").code == 0 and made.hooks == {}
        other = call("webhook", "list", "--service", "github")
        assert (other.code, other.lines) == (
            2,
            ["opensymphony: github is neither the tracker nor the code host of WORKFLOW.md: jira or bitbucket"],
        )
    assert made.violations == []
