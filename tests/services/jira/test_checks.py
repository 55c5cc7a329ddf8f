"""What `doctor` finds out about a site, and the one remedy for each thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from opensymphony.clock import Clock
from opensymphony.services import Secrets, check_tracker
from opensymphony.views import Check
from opensymphony.workflow.policy import ReportingPolicy, TransitionsPolicy
from tests.fakes.jira import TOKEN, FakeJira, Screen
from tests.fakes.jira_oauth import CLIENT_SECRET, REFRESH_TOKEN
from tests.scheduler.playbook import policy
from tests.services.jira.world import oauth_policy_for, policy_for


async def checks(
    jira: FakeJira, token: str = TOKEN, moves: dict[str, str] | None = None, **more: Any
) -> dict[str, Check]:
    async def read_secret(name: str, variable: str | None) -> str:
        assert (name, variable) == ("jira_api_token", "JIRA_API_TOKEN")
        return token

    transitions = TransitionsPolicy(**(moves or {"started": "In Progress", "succeeded": "In Review"}))
    chosen = policy(tracker=policy_for(jira, **more), reporting=ReportingPolicy(transitions=transitions))
    return {check.name: check for check in await check_tracker(chosen, Clock(), Secrets(read=read_secret))}


async def test_a_site_that_is_well_passes(jira: FakeJira) -> None:
    """With the account, the kind of token and where it works."""
    jira.create()
    found = await checks(jira, assignee="me")
    assert {check.status for check in found.values()} == {"pass"}
    assert found["jira-account"].detail == "Agent (acc-agent), by an API token with its e-mail address, at the site"
    assert "Todo (PROJ-1)" in found["jira-transitions"].detail
    jira.scoped = True
    assert f"at {jira.base_url}/ex/jira/" in (await checks(jira))["jira-account"].detail


async def test_nothing_is_changed(jira: FakeJira) -> None:
    jira.create()
    await checks(jira)
    assert {method for method, path in jira.requests if path != "/search/jql"} == {"GET"}


async def test_where_we_are_not_known_the_rest_is_skipped(jira: FakeJira) -> None:
    """Told is the token; the rest would be told wrongly."""
    found = await checks(jira, token="wrong")
    assert found["jira-site"].status == "fail"
    assert "check JIRA_API_TOKEN" in found["jira-site"].detail
    assert {check.status for name, check in found.items() if name != "jira-site"} == {"skip"}


@pytest.mark.parametrize(
    ("name", "break_it", "status", "says", "fix"),
    [
        ("jira-site", lambda jira: setattr(jira, "deployment", "Server"), "fail", "is Server", "no other"),
        ("jira-project", lambda jira: jira.denied.add("BROWSE_PROJECTS"), "fail", "PROJ does not exist", "project_key"),
        (
            "jira-permissions",
            lambda jira: jira.denied.add("ADD_COMMENTS"),
            "fail",
            "ADD_COMMENTS to write its comment",
            "ADD_COMMENTS",
        ),
        (
            "jira-assignable",
            lambda jira: jira.denied.add("ASSIGNABLE_USER"),
            "fail",
            "no ticket can be assigned",
            "Assignable User",
        ),
        ("jira-links", lambda jira: jira.link_types.remove("Blocks"), "warn", "nothing blocks", "one of: Relates"),
        (
            "jira-transitions",
            lambda jira: jira.no_step_to.add("In Review"),
            "warn",
            "from Todo no step leads to In Review",
            "reporting",
        ),
        (
            "jira-transitions",
            lambda jira: jira.screens.update({"In Review": Screen(required={"reviewer": {}})}),
            "warn",
            "its screen demands reviewer",
            "workflow",
        ),
    ],
)
async def test_each_thing_that_is_wrong_has_its_remedy(
    jira: FakeJira, name: str, break_it: Any, status: str, says: str, fix: str
) -> None:
    jira.create()
    break_it(jira)
    check = (await checks(jira, assignee="me"))[name]
    assert (check.status, says in check.detail, fix in check.fix) == (status, True, True), check


async def test_a_state_that_is_misspelled_is_named_with_the_nearest(jira: FakeJira) -> None:
    found = await checks(jira, moves={"started": "In Progres", "needs_attention": "category:done"})
    assert found["jira-states"].status == "fail"
    assert found["jira-states"].detail == "not in the project: 'In Progres' (did you mean 'In Progress'?)"
    assert found["jira-transitions"].status == "skip", "there is no ticket to look at"


@pytest.mark.parametrize(("given", "kind"), [(True, "refresh token"), (False, "client credentials")])
async def test_an_app_is_told_with_its_way_of_signing_in(
    jira: FakeJira, tmp_path: Path, given: bool, kind: str
) -> None:
    """And where its tokens go."""

    async def read(name: str, variable: str | None) -> str:
        return {"jira_oauth_client_secret": CLIENT_SECRET, "jira_oauth_refresh_token": REFRESH_TOKEN}[name]

    jira.create()
    found = await check_tracker(
        policy(tracker=oauth_policy_for(jira)),
        Clock(),
        Secrets(read=read, is_given=lambda name: given, directory=tmp_path),
    )
    assert [check.name for check in found if check.status != "pass"] == []
    account = next(check for check in found if check.name == "jira-account")
    assert account.detail == f"Agent (acc-agent), by OAuth 2.0 ({kind}), at {jira.base_url}/ex/jira/{jira.cloud}"
    assert not [token for token in jira.oauth.made if token in str(found)]
