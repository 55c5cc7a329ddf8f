"""Webhooks make the daemon look sooner, and nothing more."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import anyio
import httpx
import jwt
import pytest

from opensymphony.api.public import Turned
from opensymphony.clock import Clock
from opensymphony.daemon import ingress as ingress_module
from opensymphony.daemon.ingress import Ingress, Reviewed, Tracked, open_ingress
from opensymphony.errors import ConfigurationError, InstanceError, Problem, Unreachable
from opensymphony.interfaces import Tracker
from opensymphony.model import Ticket, TicketId
from opensymphony.services import Secrets, open_webhooks
from opensymphony.services.bitbucket.webhook import BitbucketWebhook
from opensymphony.services.jira.webhook import JiraWebhook
from opensymphony.settings import Settings, load_settings
from opensymphony.store.inbox import Inbox
from opensymphony.views import WebhookCounts
from opensymphony.workflow.policy import TrackerPolicy
from tests.fakes.bitbucket import WEBHOOK_SECRET as BITBUCKET_SECRET
from tests.fakes.bitbucket import FakeBitbucket
from tests.fakes.jira import AGENT, WEBHOOK_SECRET, FakeJira
from tests.fakes.jira_oauth import CLIENT_SECRET
from tests.fakes.shifted_clock import Shifted


class Bench:
    """An ingress without a daemon: what it looked at, and what secret there is."""

    def __init__(self, inbox: Inbox) -> None:
        self.jira = FakeJira()
        self.looked: list[list[str]] = []
        self.away = 0
        self.secrets = [WEBHOOK_SECRET]
        self.read = 0
        self.clock = Shifted()
        self.ingress = Ingress(
            "jira",
            [JiraWebhook()],
            inbox,
            secrets=Secrets(read=self._secret),
            look_at=self._look_at,
            account=lambda: AGENT,
            clock=self.clock,
        )

    async def _secret(self, name: str, variable: str | None) -> str:
        assert name == "jira_webhook_secret"
        self.read += 1
        found = self.secrets[min(self.read, len(self.secrets)) - 1]
        if not found:
            raise ConfigurationError([Problem(file="opensymphony.toml", message="it is not set")])
        return found

    async def _look_at(self, ids: Sequence[TicketId]) -> dict[TicketId, Ticket]:
        if self.away:
            self.away -= 1
            raise Unreachable("jira", "it is away", retry_after_ms=1)
        self.looked.append(list(ids))
        there = {issue.id: issue for issue in self.jira.issues.values()}
        return {
            one: Ticket(id=one, identifier=there[one].key, title="t", state=there[one].fields["status"])
            for one in ids
            if one in there
        }

    async def send(self, body: bytes, identifier: str, **headers: str) -> bool:
        signed = {key.lower(): value for key, value in self.jira.signed(body, identifier).items()} | headers
        return await self.ingress.receive("jira", signed, body)

    async def refused(self, body: bytes, identifier: str = "d", **headers: str) -> tuple[int, str]:
        with pytest.raises(Turned) as caught:
            await self.send(body, identifier, **headers)
        return caught.value.status, caught.value.code

    async def outcomes(self) -> list[tuple[str, str]]:
        return [(one.outcome, one.detail) for one in (await self.ingress.listed()).deliveries][::-1]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    inbox = await Inbox.open(tmp_path / "inbox.db")
    yield Bench(inbox)
    await inbox.close()


async def test_a_ticket_is_looked_at_once_for_all_that_is_said_about_it(bench: Bench) -> None:
    """Late, doubled and out of order: what counts is what the tracker says now."""
    one, two = bench.jira.create(), bench.jira.create(status="In Progress")
    events = [bench.jira.event(ticket) for ticket in (one, two, one, one, two)]
    for body, identifier in (*events, *events[::-1]):
        await bench.send(body, identifier)
    assert not await bench.ingress.work()
    assert bench.looked == [[one, two]]
    assert await bench.outcomes() == [
        ("looked", f"its state is {state}") for state in ("Todo", "In Progress", "Todo", "Todo", "In Progress")
    ]
    assert (await bench.ingress.listed()).refused == {"duplicate": 5}
    assert bench.ingress.counts() == WebhookCounts(accepted=5, outcomes={"looked": 5}, refused={"duplicate": 5})


async def test_our_own_changes_wake_nobody(bench: Bench) -> None:
    """Nor does what is about no ticket; what is about one that we may not see does no harm."""
    ticket = bench.jira.create()
    await bench.send(*bench.jira.event(ticket, author=AGENT))
    body = json.dumps({"webhookEvent": "project_updated", "timestamp": bench.clock.now_ms()}).encode()
    await bench.send(body, "about nothing")
    await bench.ingress.work()
    assert bench.looked == []
    gone = bench.jira.create()
    await bench.send(*bench.jira.event(gone))
    bench.jira.delete(gone)
    await bench.ingress.work()
    assert await bench.outcomes() == [
        ("ignored", "we did this ourselves"),
        ("ignored", "it is about no ticket"),
        ("looked", "the ticket is not there, or not ours to see"),
    ]


async def test_what_is_not_genuine_is_counted_and_not_kept(bench: Bench) -> None:
    """Forged, cut off, no event, of yesterday or of tomorrow."""
    body, identifier = bench.jira.event(bench.jira.create())
    assert await bench.refused(body, identifier, **{"x-hub-signature": "sha256=" + "0" * 64}) == (401, "signature")
    assert await bench.refused(body, identifier, **{"x-hub-signature": ""}) == (401, "signature")
    assert await bench.refused(b'{"webhookEvent": 7}') == (400, "malformed")
    for shift_ms in (25 * 3_600_000, -3_600_000):
        bench.clock.shift_ms = shift_ms
        assert await bench.refused(body, identifier) == (400, "stale")
    bench.clock.shift_ms = 0
    assert (await bench.ingress.listed()).deliveries == ()
    assert await bench.send(body, identifier)


async def test_without_a_secret_nothing_is_genuine(bench: Bench) -> None:
    """An empty key is everybody's."""
    bench.secrets = [""]
    body, identifier = bench.jira.event(bench.jira.create())
    assert await bench.refused(body, identifier) == (401, "signature")


async def test_a_secret_that_was_exchanged_is_read_again(bench: Bench) -> None:
    """Once a minute at most: whoever sends nonsense makes us read nothing."""
    bench.secrets = ["old", WEBHOOK_SECRET]
    body, identifier = bench.jira.event(bench.jira.create())
    for _ in range(5):
        assert await bench.refused(body, identifier) == (401, "signature")
    assert bench.read == 1
    bench.clock.shift_ms = 61_000
    assert await bench.send(body, identifier)
    assert bench.read == 2


class AppBench(Bench):
    """The same for the webhooks of an app; an administrator's secret may be given as well."""

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(inbox)
        self.given = {"jira_oauth_client_secret": CLIENT_SECRET}
        self.ingress = Ingress(
            "jira",
            open_webhooks(TrackerPolicy(kind="jira", provider={"oauth_client_id": "app"})),
            inbox,
            secrets=Secrets(read=self._read, is_given=lambda name: name in self.given),
            look_at=self._look_at,
            account=lambda: AGENT,
            clock=self.clock,
        )

    async def _read(self, name: str, variable: str | None) -> str:
        self.read += 1
        if name not in self.given:
            raise ConfigurationError([Problem(file="opensymphony.toml", message="it is not set")])
        return self.given[name]

    async def bear(self, body: bytes, identifier: str, **headers: str) -> bool:
        borne = {key.lower(): value for key, value in self.jira.borne(body, identifier).items()} | headers
        return await self.ingress.receive("jira", borne, body)


@pytest.fixture
async def app_bench(tmp_path: Path) -> AsyncIterator[AppBench]:
    inbox = await Inbox.open(tmp_path / "inbox.db")
    yield AppBench(inbox)
    await inbox.close()


async def test_an_apps_webhooks_bear_a_token(app_bench: AppBench) -> None:
    """And none else is taken: neither what is signed, nor what has ended, nor what an empty secret would make."""
    bench = app_bench
    body, identifier = bench.jira.event(bench.jira.create())
    assert await bench.bear(body, identifier)
    ended = bench.jira.borne(body, "late", ends_in_s=-120)["Authorization"]
    for authorization in (ended, "", "Bearer x.y.z", f"Bearer {jwt.encode({'exp': 9e9}, None, algorithm='none')}"):
        with pytest.raises(Turned, match="does not fit"):
            await bench.bear(body, identifier, authorization=authorization)
    assert await bench.refused(body, "signed") == (401, "signature")
    await bench.ingress.work()
    assert await bench.outcomes() == [("looked", "its state is Todo")]
    assert bench.read == 1, "a secret that is not given is not asked for"


async def test_an_administrators_are_taken_beside_them_where_their_secret_is_given(app_bench: AppBench) -> None:
    """Each kind by its own secret."""
    bench = app_bench
    bench.given["jira_webhook_secret"] = WEBHOOK_SECRET
    one, two = bench.jira.create(), bench.jira.create()
    assert await bench.send(*bench.jira.event(one))
    assert await bench.bear(*bench.jira.event(two))
    bench.given = {"jira_webhook_secret": CLIENT_SECRET}
    bench.clock.shift_ms = 61_000
    with pytest.raises(Turned):
        await bench.bear(*bench.jira.event(one), authorization="Bearer x.y.z")  # the secrets are read again
    assert await bench.refused(*bench.jira.event(one)) == (401, "signature")
    with pytest.raises(Turned):
        await bench.bear(*bench.jira.event(one))


async def test_without_the_apps_secret_all_are_refused(app_bench: AppBench) -> None:
    bench = app_bench
    body, identifier = bench.jira.event(bench.jira.create())
    for given in ({}, {"jira_oauth_client_secret": ""}):
        bench.given = given
        bench.clock.shift_ms += 61_000
        with pytest.raises(Turned):
            await bench.bear(body, identifier)


async def test_while_the_tracker_is_away_deliveries_wait(bench: Bench) -> None:
    """They are tried again, and outlive the daemon."""
    ticket = bench.jira.create()
    await bench.send(*bench.jira.event(ticket))
    bench.away = 2
    assert await bench.ingress.work() and await bench.ingress.work()
    assert await bench.outcomes() == [("pending", "")]
    await bench.ingress.work()
    assert await bench.outcomes() == [("looked", "its state is Todo")]


async def test_one_is_replayed(bench: Bench) -> None:
    """As if it had come just now; one that is not there is said to be not there."""
    ticket = bench.jira.create()
    await bench.send(*bench.jira.event(ticket))
    await bench.ingress.work()
    bench.jira.edit(ticket, status="Done")
    [delivery] = (await bench.ingress.listed()).deliveries
    assert await bench.ingress.replay(delivery.number)
    await bench.ingress.work()
    assert await bench.outcomes() == [("looked", "its state is Done")]
    assert not await bench.ingress.replay(delivery.number + 1)
    assert await bench.ingress.shown(delivery.number) is not None


async def test_it_works_as_long_as_it_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there at the start comes first; what arrives is looked at at once."""
    monkeypatch.setattr(ingress_module, "_AGAIN_S", 3600)
    first = bench.jira.create()
    await bench.send(*bench.jira.event(first))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.ingress.run)
        with anyio.fail_after(10):
            while bench.looked != [[first]]:
                await anyio.sleep(0.01)
            second = bench.jira.create()
            await bench.send(*bench.jira.event(second))
            while bench.looked != [[first], [second]]:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


class Quiet:
    """A tracker that is not asked."""

    account = AGENT


async def test_a_listener_is_opened_where_the_settings_want_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the tracker has webhooks; a port that is taken is one line that says what to do."""
    monkeypatch.setenv("JIRA_WEBHOOK_SECRET", WEBHOOK_SECRET)
    jira, looked = FakeJira(), anyio.Event()

    async def look_at(ids: Sequence[TicketId]) -> dict[TicketId, Ticket]:
        looked.set()
        return {}

    def settings(port: int | None) -> Settings:
        (tmp_path / "opensymphony.toml").write_text(
            f'[store]\ndirectory = "{tmp_path}/store"\n' + ("" if port is None else f"[public]\nport = {port}\n")
        )
        return load_settings(str(tmp_path / "WORKFLOW.md"))[0]

    def tracked(service: str) -> Tracked:
        return Tracked(
            policy=TrackerPolicy(kind=service), tracker=cast("Tracker", Quiet()), look_at=look_at, clock=Clock()
        )

    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
            assert await open_ingress(settings(None), tracked("jira"), stack, tasks) is None
            assert await open_ingress(settings(0), tracked("files"), stack, tasks) is None
            with pytest.raises(InstanceError, match=r"choose another with public\.port"):
                await open_ingress(settings(taken.getsockname()[1]), tracked("jira"), stack, tasks)
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            assert await open_ingress(settings(port), tracked("jira"), stack, tasks) is not None
            body, identifier = jira.event(jira.create())
            async with httpx.AsyncClient() as http:
                url = f"http://127.0.0.1:{port}/webhook/jira"
                answer = await http.post(url, content=body, headers=jira.signed(body, identifier))
                assert answer.json() == {"accepted": True, "new": True}
            with anyio.fail_after(10):
                await looked.wait()
            tasks.cancel_scope.cancel()


async def test_a_code_host_s_deliveries_let_its_pull_request_be_looked_at(tmp_path: Path) -> None:
    """With its own secret, at its own address; what is about no branch of ours is ignored, and the tracker is not asked."""
    asked: list[list[str]] = []

    def look_at(branches: Sequence[str]) -> int:
        asked.append(list(branches))
        return int(branches == ["opensymphony/A-1"])

    bitbucket = FakeBitbucket(tmp_path / "bitbucket")
    inbox = await Inbox.open(tmp_path / "inbox.db")
    bench = Bench(inbox)

    async def secret(name: str, variable: str | None) -> str:
        return {"jira_webhook_secret": WEBHOOK_SECRET, "bitbucket_webhook_secret": BITBUCKET_SECRET}[name]

    ingress = Ingress(
        "jira",
        [JiraWebhook()],
        inbox,
        secrets=Secrets(read=secret),
        look_at=bench._look_at,
        account=lambda: AGENT,
        clock=bench.clock,
        reviewed=Reviewed(service="bitbucket", webhooks=[BitbucketWebhook()], look_at=look_at),
    )
    bitbucket.branch_off("opensymphony/A-1")
    bitbucket.branch_off("other")
    for branch in ("opensymphony/A-1", "other"):
        body, headers = bitbucket.event(bitbucket.open(branch), "pullrequest:comment_created")
        sent = {key.lower(): value for key, value in headers.items()}
        assert ingress.knows("bitbucket") and await ingress.receive("bitbucket", sent, body)
        with pytest.raises(Turned, match="signature"):
            await ingress.receive("jira", sent, body)
    await ingress.work()
    assert asked == [["opensymphony/A-1"], ["other"]] and bench.looked == []
    outcomes = [(one.ticket, one.outcome) for one in (await ingress.listed()).deliveries]
    assert outcomes == [("other", "ignored"), ("opensymphony/A-1", "looked")]
    await inbox.close()
