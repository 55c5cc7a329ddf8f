"""Tokens of an app: renewed in time, by one at a time, and never used before the next refresh token is safe."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from opensymphony import logs
from opensymphony.errors import BadAnswer, ConfigurationError, RateLimited, Refused, ServiceError, Unreachable
from opensymphony.interfaces import Tracker
from opensymphony.services import Secrets, open_tracker
from opensymphony.services.jira.client import JiraClient
from opensymphony.services.jira.issues import User
from opensymphony.services.jira.oauth import FILE
from opensymphony.services.jira.site import read_site
from tests.fakes.jira import AGENT, FakeJira
from tests.fakes.jira_oauth import CLIENT_SECRET, REFRESH_TOKEN
from tests.fakes.shifted_clock import Shifted
from tests.services.jira.world import app_tokens, oauth_policy_for

MINUTE_MS = 60_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Not there yet."""
    return tmp_path / "store"


def stored(store: Path) -> dict[str, object]:
    return json.loads((store / FILE).read_text())


def grants(jira: FakeJira) -> list[str]:
    return [one["grant_type"] for one in jira.oauth.asked]


async def failure(jira: FakeJira, store: Path, **more: str | None) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await app_tokens(jira, store, **more)(None)
    assert "\n" not in str(caught.value)
    return caught.value


async def whoami(client: JiraClient) -> str:
    return (await client.call("GET", "/myself", name="read our account")).value(User).accountId


async def test_a_token_is_shared_by_all_who_use_the_store(jira: FakeJira, store: Path) -> None:
    """In a file for its owner alone, beside which nothing is left but the lock."""
    first = await app_tokens(jira, store)(None)
    assert await app_tokens(jira, store)(None) == first
    assert grants(jira) == ["refresh_token"]
    assert stat.S_IMODE((store / FILE).stat().st_mode) == 0o600
    assert sorted(path.name for path in store.iterdir()) == ["jira-oauth.json", "jira-oauth.lock"]


async def test_what_the_operator_configured_is_not_stored(jira: FakeJira, store: Path) -> None:
    """Only a digest of it; also where the server goes on with the same refresh token."""
    jira.oauth.rotates = False
    clock = Shifted()
    tokens = app_tokens(jira, store, clock)
    await tokens(None)
    clock.shift_ms = 2 * 3_600_000
    await tokens(None)
    assert REFRESH_TOKEN not in (store / FILE).read_text()
    assert CLIENT_SECRET not in (store / FILE).read_text()
    assert [one["refresh_token"] for one in jira.oauth.asked] == [REFRESH_TOKEN] * 2


async def test_it_is_renewed_a_minute_before_its_end(jira: FakeJira, store: Path) -> None:
    """With the refresh token that came last, each of which is used once."""
    jira.oauth.leeway_s = 0
    clock = Shifted()
    tokens = app_tokens(jira, store, clock)
    found = [await tokens(None)]
    for _ in range(3):
        clock.shift_ms += 58 * MINUTE_MS
        assert await tokens(None) == found[-1]
        clock.shift_ms += MINUTE_MS + 1
        found.append(await tokens(None))
    assert len(set(found)) == 4
    assert (len(jira.oauth.asked), jira.oauth.reused) == (4, 0)


async def test_a_token_that_lasts_for_less_than_that_is_used_all_the_same(jira: FakeJira, store: Path) -> None:
    jira.oauth.expires_in = 30
    tokens = app_tokens(jira, store)
    assert await tokens(None) == await tokens(None)


async def test_a_refused_token_leads_to_one_renewal(jira: FakeJira, store: Path) -> None:
    """Many calls that are refused at once get the same new one."""
    clock = Shifted()
    client = JiraClient(read_site(oauth_policy_for(jira)), app_tokens(jira, store, clock), clock)
    assert await whoami(client) == AGENT
    jira.oauth.end_access()
    clock.shift_ms = 2 * MINUTE_MS
    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(whoami, client)
    assert len(jira.oauth.asked) == 2
    await client.close()


async def test_a_site_that_takes_no_token_is_not_bettered_by_more_of_them(jira: FakeJira, store: Path) -> None:
    """Each is given a minute; the error says what to look at."""
    jira.fail_next("GET", "/myself", status=401, times=99)
    client = JiraClient(read_site(oauth_policy_for(jira)), app_tokens(jira, store), Shifted())
    for _ in range(3):
        with pytest.raises(Refused, match="check the scopes of the OAuth app"):
            await whoami(client)
    assert len(jira.oauth.asked) == 1
    await client.close()


async def test_tokens_go_behind_the_gateway_only(jira: FakeJira, store: Path) -> None:
    """Not to the site, whose cloud is asked for first; where it is not known nothing is sent."""
    jira.cloud = "?"
    client = JiraClient(read_site(oauth_policy_for(jira)), app_tokens(jira, store), Shifted())
    with pytest.raises(Unreachable, match="does not say which cloud it is"):
        await whoami(client)
    assert (jira.requests, jira.oauth.asked) == ([], [])
    jira.cloud = "11111111-2222-4333-8444-555555555555"
    assert await whoami(client) == AGENT
    assert client.api_url == f"{jira.base_url}/ex/jira/{jira.cloud}"
    await client.close()


async def test_without_a_refresh_token_the_app_signs_in_as_itself(jira: FakeJira, store: Path) -> None:
    clock = Shifted()
    tokens = app_tokens(jira, store, clock, refresh_token=None)
    first = await tokens(None)
    clock.shift_ms = 3_600_000
    assert await tokens(None) != first
    assert grants(jira) == ["client_credentials"] * 2
    assert stored(store)["refresh_token"] is None


async def test_another_refresh_token_of_the_operators_wins(jira: FakeJira, store: Path) -> None:
    """What was stored is dropped, however good it is; so is it when there is none any more."""
    await app_tokens(jira, store)(None)
    other = jira.oauth.sign_in()
    await app_tokens(jira, store, refresh_token=other)(None)
    assert jira.oauth.asked[-1]["refresh_token"] == other
    await app_tokens(jira, store, refresh_token=None)(None)
    assert grants(jira) == ["refresh_token", "refresh_token", "client_credentials"]


async def test_a_damaged_file_is_no_end(jira: FakeJira, store: Path) -> None:
    """What is configured may still be taken."""
    await app_tokens(jira, store)(None)
    (store / FILE).write_bytes(b'{"configured": "\xff')
    assert await app_tokens(jira, store)(None) in jira.oauth.access_tokens


# safe before it is used ------------------------------------------------------------------------------------------


async def test_what_cannot_be_stored_is_not_used(jira: FakeJira, store: Path) -> None:
    """Once there is room it goes on with the refresh token that was kept, without asking again: the old one has ended."""
    jira.oauth.leeway_s = 0
    tokens = app_tokens(jira, store)
    in_the_way = store / f"{FILE}.new"
    in_the_way.mkdir(parents=True)
    for _ in range(2):
        with pytest.raises(Unreachable, match=r"cannot be stored in .*, so it is not used: make room there"):
            await tokens(None)
    assert not (store / FILE).exists()
    in_the_way.rmdir()
    token = await tokens(None)
    assert (len(jira.oauth.asked), token in jira.oauth.access_tokens) == (1, True)
    assert stored(store)["refresh_token"] in jira.oauth.refresh_tokens
    assert await app_tokens(jira, store)(token) == token, "and so does every other process"


async def test_what_could_not_be_stored_gives_way_to_what_others_stored_since(jira: FakeJira, store: Path) -> None:
    """They had the old refresh token, while it was still taken, and went on from there."""
    tokens = app_tokens(jira, store)
    in_the_way = store / f"{FILE}.new"
    in_the_way.mkdir(parents=True)
    with pytest.raises(Unreachable):
        await tokens(None)
    in_the_way.rmdir()
    theirs = await app_tokens(jira, store)(None)
    assert await tokens(None) == theirs


async def test_a_cancelled_renewal_is_stored_all_the_same(jira: FakeJira, store: Path) -> None:
    """The end of a daemon does not cost its sign-in."""
    jira.oauth.leeway_s, jira.oauth.held = 0, anyio.Event()
    tokens = app_tokens(jira, store)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tokens, None)
        await jira.oauth.arrived.wait()
        tasks.cancel_scope.cancel()
        jira.oauth.held.set()
    jira.oauth.held = None
    assert await app_tokens(jira, store)(None) in jira.oauth.access_tokens
    assert len(jira.oauth.asked) == 1


class Child:
    """A process that wants a token."""

    def __init__(self, jira: FakeJira, store: Path) -> None:
        command = [sys.executable, "-m", "tests.services.jira.token_process", jira.base_url, str(store)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))

    async def token(self) -> str:
        assert self._process.stdout is not None
        return (await anyio.to_thread.run_sync(self._process.stdout.readline)).strip()

    async def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        await anyio.to_thread.run_sync(self._process.wait)
        assert self._process.stdout is not None
        self._process.stdout.close()


async def test_a_process_that_is_killed_with_a_new_token_in_hand_has_stored_it(jira: FakeJira, store: Path) -> None:
    """The next one goes on with the right refresh token, also where the old one is not taken any more."""
    jira.oauth.leeway_s = 0
    child = Child(jira, store)
    token = await child.token()
    await child.kill()
    clock = Shifted()
    tokens = app_tokens(jira, store, clock)
    assert (await tokens(None), len(jira.oauth.asked)) == (token, 1)
    clock.shift_ms = 3_600_000
    assert await tokens(None) in jira.oauth.access_tokens
    assert jira.oauth.reused == 0


async def test_a_process_that_is_killed_before_the_answer_costs_nothing(jira: FakeJira, store: Path) -> None:
    """The old refresh token is taken for some minutes more, and a dead process holds no lock."""
    jira.oauth.held = anyio.Event()
    child = Child(jira, store)
    await jira.oauth.arrived.wait()
    await child.kill()
    jira.oauth.held.set()
    assert await app_tokens(jira, store)(None) in jira.oauth.access_tokens
    assert jira.oauth.reused == 1


async def test_two_processes_that_want_a_token_at_once_make_one_renewal(jira: FakeJira, store: Path) -> None:
    """Whoever waited reads what the other stored."""
    jira.oauth.leeway_s, jira.oauth.held = 0, anyio.Event()
    first = Child(jira, store)
    await jira.oauth.arrived.wait()
    second, ours = Child(jira, store), app_tokens(jira, store)
    found: list[str] = []

    async def note() -> None:
        found.append(await ours(None))

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(note)
            await anyio.sleep(0.3)  # for both to come to the lock
            assert found == []
            jira.oauth.held.set()
            found += [await first.token(), await second.token()]
    finally:
        await first.kill()
        await second.kill()
    assert (len(jira.oauth.asked), len(set(found)), jira.oauth.reused) == (1, 1, 0)


# what goes wrong -------------------------------------------------------------------------------------------------


async def test_a_refresh_token_that_has_ended_is_for_a_person(jira: FakeJira, store: Path) -> None:
    """One line with what to do, and no token in it."""
    error = await failure(jira, store, refresh_token="ended-canary")
    assert isinstance(error, Refused)
    assert str(error) == (
        "jira: renew the token: the refresh token is not taken any more (invalid_grant: Unknown or invalid refresh token.): "
        "sign in to the OAuth app again, and give the new refresh token as jira_oauth_refresh_token"
    )


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (
            401,
            {"error": "access_denied", "error_description": "Unauthorized"},
            Refused,
            "check tracker.provider.oauth_",
        ),
        (400, ["odd"], Refused, "status 400"),
        (403, {"error": "x", "error_description": f"not\n{REFRESH_TOKEN}"}, Refused, "x: not [redacted]"),
        (429, {}, RateLimited, "asks for a pause"),
        (503, {}, Unreachable, "status 503"),
        (200, {"access_token": ""}, BadAnswer, "answers without a token"),
        (200, {"access_token": "a\nb"}, BadAnswer, "answers without a token"),
        (200, {"access_token": "a", "expires_in": 0}, BadAnswer, "answers without a token"),
    ],
)
async def test_each_trouble_is_one_line(
    jira: FakeJira, store: Path, status: int, body: dict[str, str], kind: type, says: str
) -> None:
    """And nothing is stored."""
    logs.know_secret(REFRESH_TOKEN)
    jira.oauth.faults.append((status, body))
    error = await failure(jira, store)
    assert isinstance(error, kind)
    assert says in str(error)
    assert not (store / FILE).exists()


async def test_nobody_there(jira: FakeJira, store: Path) -> None:
    gone = FakeJira()
    gone.base_url = "http://127.0.0.1:1"
    assert "http://127.0.0.1:1/oauth/token cannot be reached" in str(await failure(gone, store))


async def test_a_store_that_cannot_be_used_is_named(jira: FakeJira, store: Path) -> None:
    """The lock cannot be made, or the file not be read."""
    store.write_text("a file")
    assert "jira-oauth.lock cannot be made (Not a directory)" in str(await failure(jira, store / "below"))
    store.unlink()
    (store / FILE).mkdir(parents=True)
    assert "jira-oauth.json cannot be read (Is a directory)" in str(await failure(jira, store))


def open_app_tracker(jira: FakeJira, secrets: Secrets) -> Tracker:
    return open_tracker(oauth_policy_for(jira), Shifted(), secrets)


async def test_a_tracker_is_opened_with_an_app(jira: FakeJira, store: Path) -> None:
    """A secret that is named and cannot be read is an error, and not the other way of signing in."""
    jira.create("One")
    given = {"jira_oauth_client_secret": CLIENT_SECRET}

    async def read(name: str, variable: str | None) -> str:
        if name not in given:
            raise ConfigurationError([])
        return given[name]

    tracker = open_app_tracker(jira, Secrets(read=read, is_given=lambda name: name in given, directory=store))
    assert [ticket.title for ticket in (await tracker.fetch_candidates(["Todo"])).tickets] == ["One"]
    assert grants(jira) == ["client_credentials"]
    await tracker.close()
    tracker = open_app_tracker(jira, Secrets(read=read, is_given=lambda name: True, directory=store))
    with pytest.raises(ConfigurationError):
        await tracker.fetch_candidates(["Todo"])
    await tracker.close()
    with pytest.raises(ConfigurationError, match="OAuth needs a store"):
        open_app_tracker(jira, Secrets(read=read))


async def test_no_token_is_in_a_log(
    jira: FakeJira, store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over more renewals than secrets are remembered, and without displacing those of others."""
    monkeypatch.setattr(logs, "SECRETS_MAX", 20)
    jira.oauth.leeway_s = 0
    logs.set_up(level="debug")
    logs.know_secret("somebody-elses-secret")
    clock = Shifted()
    tokens = app_tokens(jira, store, clock)
    for _ in range(25):
        await tokens(None)
        clock.shift_ms += 3_600_000
    logs.get_logger("test").warning("said", words=f"somebody-elses-secret {' '.join(jira.oauth.made[-2:])}")
    logs.shut_down()
    said = capsys.readouterr().err
    assert "somebody-elses-secret" not in said
    assert len(said.splitlines()) > 25
    assert not [token for token in (*jira.oauth.made, REFRESH_TOKEN, CLIENT_SECRET) if token in said]
