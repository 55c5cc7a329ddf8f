"""Killed at any moment of a ticket's life in Jira: one run, one comment, one transition each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from opensymphony import logs
from opensymphony.scheduler import commands as c
from opensymphony.services.jira import oauth
from opensymphony.services.jira.tracker import JiraTracker
from opensymphony.workflow.policy import Policy
from tests.daemon.test_recovery import CrashPoint, Killed, crash_at
from tests.daemon.world import GOOD, World
from tests.fakes.jira import AGENT, TOKEN, FakeJira
from tests.fakes.jira_oauth import CLIENT_SECRET, REFRESH_TOKEN
from tests.services.jira.world import oauth_policy_for, policy_for

POINTS: list[tuple[type[c.Effect], int]] = [
    (c.RereadTicket, 1),
    (c.ClaimTicket, 1),
    (c.TransitionTicket, 1),
    (c.WriteComment, 1),
    (c.PushCommit, 1),
    (c.TransitionTicket, 2),
    (c.WriteComment, 2),
    (c.ReleaseClaim, 1),
]
CRASHES = [
    CrashPoint(kind=kind, scenario="review", occurrence=occurrence, edge=edge)
    for kind, occurrence in POINTS
    for edge in ("before", "after")
]


class JiraLife(World):
    """A daemon's world whose tickets are on a Jira site."""

    def __init__(self, directory: Path, jira: FakeJira) -> None:
        super().__init__(directory, {"PROJ-1": [GOOD]})
        self.jira = jira

    def policy(self, **changes: Any) -> Policy:
        return super().policy(tracker=policy_for(self.jira), **changes)


@pytest.fixture
async def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[JiraLife]:
    monkeypatch.setenv("JIRA_API_TOKEN", TOKEN)
    monkeypatch.setattr(JiraTracker, "claim_settle_ms", 50)  # a request on loopback takes a few
    jira = FakeJira()
    async with jira.serving():
        yield JiraLife(tmp_path, jira)
    assert jira.violations == []


@pytest.mark.parametrize("point", CRASHES, ids=str)
async def test_a_crash_doubles_nothing_on_the_ticket(
    point: CrashPoint, life: JiraLife, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before or after whatever concerns the ticket, and started again."""
    ticket = life.jira.create("Answer it", description=None)
    with monkeypatch.context() as patched, pytest.raises(BaseExceptionGroup) as died:
        crash_at(patched, point)
        await life.once()
    assert died.value.split(Killed)[1] is None, "it died of the crash alone"
    snapshot = await life.once()
    issue = life.jira.issues[ticket]
    assert (issue.fields["status"], issue.transitions, issue.properties) == ("In Review", 2, {})
    [comment] = life.jira.comment_texts(ticket, AGENT)
    assert "Ready for review" in comment
    assert life.commits("PROJ-1") == ["Answer well"]
    [view] = snapshot.tickets
    assert (view.phase, len(life.agents.talk("PROJ-1").messages)) == ("in_review", 1)


class AppLife(JiraLife):
    """The same for an OAuth app whose access tokens are refused again and again."""

    def policy(self, **changes: Any) -> Policy:
        self.jira.oauth.end_access()
        return World.policy(self, tracker=oauth_policy_for(self.jira), **changes)


async def test_an_app_goes_on_after_a_crash_and_its_tokens_are_in_its_own_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each refresh token is used once; neither journal nor log, workspace nor output has a token."""
    monkeypatch.setenv("JIRA_OAUTH_CLIENT_SECRET", CLIENT_SECRET)
    monkeypatch.setenv("JIRA_OAUTH_REFRESH_TOKEN", REFRESH_TOKEN)
    monkeypatch.setattr(JiraTracker, "claim_settle_ms", 50)
    monkeypatch.setattr(oauth, "_NEW_MS", 0)  # a token may be refused at once
    jira = FakeJira()
    jira.oauth.leeway_s = 0
    logs.set_up(level="debug", directory=str(tmp_path / "logs"))
    async with jira.serving():
        life = AppLife(tmp_path, jira)
        ticket = jira.create("Answer it", description=None)
        point = CrashPoint(kind=c.WriteComment, scenario="review", occurrence=1, edge="after")
        with monkeypatch.context() as patched, pytest.raises(BaseExceptionGroup):
            crash_at(patched, point)
            await life.once()
        await life.once()
    logs.shut_down()
    assert (jira.violations, jira.status(ticket), jira.oauth.reused) == ([], "In Review", 0)
    assert len(jira.oauth.asked) >= 2
    said = capfd.readouterr()
    held = [said.out.encode(), said.err.encode()]
    held += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != oauth.FILE]
    secrets = [*jira.oauth.made, REFRESH_TOKEN, CLIENT_SECRET]
    assert not [one for one in secrets if any(one.encode() in content for content in held)]
    assert jira.oauth.made[-1].encode() in (life.store / oauth.FILE).read_bytes()
