"""Whether webhooks would arrive."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import cast

import anyio
import anyio.abc
import pytest
from anyio.streams.tls import TLSListener

from opensymphony.clock import Clock
from opensymphony.daemon.ingress import Ingress, Tracked, open_ingress
from opensymphony.daemon.webhook_check import webhook_check
from opensymphony.interfaces import Tracker
from opensymphony.settings import Settings, load_settings
from opensymphony.views import Check
from opensymphony.workflow.policy import Policy, TrackerPolicy
from tests.fakes.jira import AGENT, WEBHOOK_SECRET
from tests.fakes.jira_oauth import CLIENT_SECRET

POLICY = Policy(tracker=TrackerPolicy(kind="jira"), prompt="Do it.")


class Quiet:
    """A tracker that is not asked."""

    account = AGENT


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


class Place:
    """Where a daemon and a doctor have their settings."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self._monkeypatch = monkeypatch
        self.port = free_port()
        self.policy = POLICY
        self.ingress: Ingress | None = None
        self.secret(WEBHOOK_SECRET)

    def secret(self, value: str) -> None:
        self._monkeypatch.setenv("JIRA_WEBHOOK_SECRET", value)

    def settings(self, public: str | None = None) -> Settings:
        text = f"port = {self.port}" if public is None else public
        (self._directory / "opensymphony.toml").write_text(
            f'[store]\ndirectory = "{self._directory}/store"\n[public]\n{text}\n'
        )
        settings, problems = load_settings(str(self._directory / "WORKFLOW.md"))
        assert not problems
        return settings

    async def check(self, public: str | None = None) -> Check:
        return await webhook_check(self.settings(public), self.policy)

    @asynccontextmanager
    async def listening(self, public: str | None = None) -> AsyncIterator[None]:
        tracked = Tracked(policy=self.policy.tracker, tracker=cast("Tracker", Quiet()), look_at=no_one, clock=Clock())
        async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
            self.ingress = await open_ingress(self.settings(public), tracked, stack, tasks)
            yield
            tasks.cancel_scope.cancel()


async def no_one(ids: object) -> dict[object, object]:
    raise AssertionError("nothing is looked at")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


async def test_a_call_goes_round_and_nothing_is_kept(place: Place) -> None:
    async with place.listening():
        check = await place.check()
        assert (check.status, check.detail) == (
            "pass",
            f"signed calls arrive, others are refused: http://127.0.0.1:{place.port}/webhook/jira",
        )
        assert place.ingress is not None
        listed = await place.ingress.listed()
        assert listed.deliveries == ()
        assert listed.refused == {"malformed": 1, "signature": 1}


async def test_the_address_of_others_is_tried_too(place: Place) -> None:
    """A tunnel to nowhere, and one to something else."""
    port, nobody = place.port, free_port()
    async with place.listening():
        same = f'port = {port}\nurl = "http://localhost:{port}"'
        assert (await place.check(same)).detail.endswith(f"http://localhost:{port}/webhook/jira")
        away = await place.check(f'port = {port}\nurl = "http://localhost:{nobody}"')
        assert (away.status, away.fix) == ("fail", "start the tunnel or the proxy, or correct public.url")
        other = await place.check(f'port = {port}\nurl = "http://localhost:{port}/elsewhere"')
        assert other.status == "fail"
        assert other.detail.endswith("/elsewhere/webhook/jira is not our listener: it says 404")
        assert (await place.check(f'port = 0\nurl = "http://localhost:{port}"')).status == "pass"


async def test_two_secrets_do_not_fit(place: Place) -> None:
    async with place.listening():
        assert (await place.check()).status == "pass"
        place.secret("another")
        check = await place.check()
        assert check.status == "fail"
        assert check.detail.endswith("does not know the secret: it says 401")
        assert "another" not in str(check)


async def test_without_a_secret_all_would_be_refused(place: Place) -> None:
    place.secret("")
    check = await place.check()
    assert (check.status, check.fix) == ("fail", "set jira_webhook_secret under [secrets] in opensymphony.toml")


async def test_what_cannot_be_tried_is_no_pass(place: Place) -> None:
    assert (await place.check()).status == "skip"
    assert (await place.check("port = 0")).status == "skip"
    elsewhere = f'port = {place.port}\nsources = ["192.0.2.0/24"]'
    async with place.listening(elsewhere):
        check = await place.check(elsewhere)
        assert (check.status, check.detail.endswith("takes no calls from here (public.sources)")) == ("skip", True)


async def test_polling_alone_is_fine(place: Place) -> None:
    check = await place.check("")
    assert (check.status, check.detail) == ("pass", "none: tickets are polled every 30 s")


async def test_an_apps_calls_go_round_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """They bear a token that the app's secret makes; an administrator's secret is not needed."""
    place.policy = Policy(tracker=TrackerPolicy(kind="jira", provider={"oauth_client_id": "app"}), prompt="Do it.")
    place.secret("")
    check = await place.check()
    assert (check.status, check.fix) == ("fail", "set jira_oauth_client_secret under [secrets] in opensymphony.toml")
    monkeypatch.setenv("JIRA_OAUTH_CLIENT_SECRET", CLIENT_SECRET)
    async with place.listening():
        check = await place.check()
        assert check.status == "pass", check
        monkeypatch.setenv("JIRA_OAUTH_CLIENT_SECRET", f"another {CLIENT_SECRET}")
        assert (await place.check()).detail.endswith("does not know the secret: it says 401")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="a certificate is made with openssl")
async def test_a_certificate_of_an_authority_of_ones_own(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused until SSL_CERT_FILE names the authority; then the call goes round through TLS."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    wanted = [
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ]
    made = ["openssl", "req", *wanted, "-keyout", str(key), "-out", str(certificate)]
    await anyio.run_process(made)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    public = f'port = {place.port}\nurl = "https://localhost:{port}"'
    async with listener, place.listening(), anyio.create_task_group() as tasks:
        tasks.start_soon(TLSListener(listener, context, standard_compatible=False).serve, partial(pass_on, place.port))
        refused = await place.check(public)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        taken = await place.check(public)
        tasks.cancel_scope.cancel()
    assert refused.status == "fail"
    assert "CERTIFICATE_VERIFY_FAILED" in refused.detail
    assert (taken.status, taken.detail.count("https://localhost")) == ("pass", 1)


async def pass_on(port: int, outside: anyio.abc.ByteStream) -> None:
    """What a proxy with TLS does."""

    async def copy(source: anyio.abc.ByteStream, to: anyio.abc.ByteStream) -> None:
        with suppress(anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            while True:
                await to.send(await source.receive())
        tasks.cancel_scope.cancel()

    async with outside, await anyio.connect_tcp("127.0.0.1", port) as inside, anyio.create_task_group() as tasks:
        tasks.start_soon(copy, outside, inside)
        tasks.start_soon(copy, inside, outside)
