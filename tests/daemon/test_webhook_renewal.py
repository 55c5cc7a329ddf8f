"""Webhooks that end are renewed in time, and whatever happens with that, the daemon goes on."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from structlog.testing import capture_logs

from opensymphony.clock import Clock
from opensymphony.daemon.ingress import Tracked, open_ingress
from opensymphony.daemon.webhook_renewal import WebhookRenewal
from opensymphony.interfaces import Tracker
from opensymphony.services import Secrets, open_registrar
from opensymphony.settings import load_settings
from opensymphony.workflow.policy import TrackerPolicy
from tests.fakes.jira import FakeJira
from tests.fakes.jira_oauth import CLIENT_SECRET
from tests.services.jira.world import oauth_policy_for, policy_for

DAY_MS = 86_400_000
URL = "https://hooks.example.com/webhook/jira"


class Bench:
    """A site and its renewal, which sleeps no longer than it is told to."""

    def __init__(self, jira: FakeJira, directory: Path) -> None:
        self.jira = jira
        self.secrets = Secrets(read=self._read, directory=directory)
        self.slept: list[float] = []
        self.between: list[Callable[[], Any]] = []
        """What happens during each sleep; after the last one it is cancelled."""

    async def _read(self, name: str, variable: str | None) -> str:
        assert name == "jira_oauth_client_secret"
        return CLIENT_SECRET

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if not self.between:
            await anyio.sleep_forever()
        self.between.pop(0)()

    async def run(self, policy: TrackerPolicy | None = None) -> None:
        """Until it sleeps for good, or ends."""
        renewal = WebhookRenewal(policy or oauth_policy_for(self.jira), URL, self.secrets, Clock(), self._sleep)
        expected = len(self.slept) + len(self.between) + 1
        async with anyio.create_task_group() as tasks:

            async def through() -> None:
                await renewal.run()
                tasks.cancel_scope.cancel()

            tasks.start_soon(through)
            while len(self.slept) < expected:
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()

    async def register(self) -> dict[str, Any]:
        registrar = open_registrar(oauth_policy_for(self.jira), Clock(), self.secrets)
        assert registrar is not None
        made = await registrar.register(URL)
        await registrar.close()
        return self.jira.app_hooks[int(made.id)]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    jira = FakeJira()
    async with jira.serving():
        yield Bench(jira, tmp_path / "store")
    assert jira.violations == []


async def test_one_that_ends_soon_is_renewed_at_the_start_and_once_a_day(bench: Bench) -> None:
    """Thirty days are over only where the daemon was away for two weeks."""
    hook = await bench.register()

    def age() -> None:
        hook["expirationDate"] = int(time.time() * 1000) + 14 * DAY_MS

    age()
    ends: list[int] = []
    bench.between = [lambda: (ends.append(hook["expirationDate"]), age()), lambda: ends.append(hook["expirationDate"])]
    await bench.run()
    assert [end > time.time() * 1000 + 29 * DAY_MS for end in ends] == [True, True]
    assert bench.slept == [86_400, 86_400, 86_400]


async def test_where_none_is_registered_the_command_is_named(bench: Bench) -> None:
    with capture_logs() as told:
        await bench.run()
    assert told[-1]["log_level"] == "warning"
    assert told[-1]["command"] == "opensymphony webhook register https://hooks.example.com"
    assert bench.jira.app_hooks == {}, "and none is made unasked"


async def test_trouble_is_logged_and_tried_again_after_an_hour(bench: Bench) -> None:
    """A site that refuses, a policy that is wrong, a defect of ours."""
    await bench.register()
    bench.jira.denied.add("manage:jira-webhook")
    bench.between = [bench.jira.denied.clear]
    with capture_logs() as told:
        await bench.run()
    assert bench.slept == [3_600, 86_400]
    assert [one["error"].count("the scope manage:jira-webhook") for one in told if one["log_level"] == "warning"] == [1]
    with capture_logs() as told:
        await bench.run(oauth_policy_for(bench.jira, base_url=""))
    assert (bench.slept[2:], "base_url: is missing" in told[-1]["error"]) == ([3_600], True)
    bench.secrets = Secrets(read=cast("Any", None), directory=bench.secrets.directory)
    with capture_logs() as told:
        await bench.run()
    assert (bench.slept[3:], told[-1]["log_level"], told[-1]["exc_info"]) == ([3_600], "error", True)


@pytest.mark.parametrize("kind", ["jira", "files"])
async def test_where_webhooks_do_not_end_it_is_over_at_once(bench: Bench, kind: str) -> None:
    """Those of an administrator's, and those of a tracker that has none."""
    policy = policy_for(bench.jira) if kind == "jira" else TrackerPolicy(kind=kind)
    assert await WebhookRenewal(policy, URL, bench.secrets, Clock()).look() is None
    assert bench.jira.requests == []


class Quiet:
    """A tracker that is not asked."""

    account = "acc"


async def look_at(ids: object) -> Any:
    raise AssertionError("nothing is looked at")


@pytest.mark.parametrize(("public", "renewed"), [('url = "https://hooks.example.com/"', True), ("", False)])
async def test_a_daemon_renews_where_it_says_where_it_is_called(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, public: str, renewed: bool
) -> None:
    """Beside the listener, which does not wait for it."""
    monkeypatch.setenv("JIRA_OAUTH_CLIENT_SECRET", CLIENT_SECRET)
    hook = await bench.register()
    hook["expirationDate"] = before = int(time.time() * 1000) + DAY_MS
    bench.jira.requests.clear()
    (tmp_path / "opensymphony.toml").write_text(f'[store]\ndirectory = "store"\n[public]\nport = 0\n{public}\n')
    settings, problems = load_settings(str(tmp_path / "WORKFLOW.md"))
    assert not problems
    tracked = Tracked(
        policy=oauth_policy_for(bench.jira), tracker=cast("Tracker", Quiet()), look_at=look_at, clock=Clock()
    )
    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        assert await open_ingress(settings, tracked, stack, tasks) is not None
        while renewed and hook["expirationDate"] == before:
            await anyio.sleep(0.01)
        if not renewed:
            await anyio.sleep(0.3)  # long enough for a request on loopback
            assert bench.jira.requests == []
        tasks.cancel_scope.cancel()
