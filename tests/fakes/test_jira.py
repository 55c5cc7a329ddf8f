"""The fake site answers as Atlassian's own document says, and finds what does not fit."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.fakes.jira import EMAIL, SPECIFICATION, TOKEN, FakeJira
from tests.fakes.jira_oauth import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from tests.fakes.openapi import specification


@pytest.fixture
def needs_specification() -> None:
    if specification(SPECIFICATION) is None:
        pytest.skip("Atlassian's document is not at ../shared/specs")


async def test_what_does_not_fit_the_document_is_found(needs_specification: None) -> None:
    """A field, a parameter, an address or a body that Jira does not have; a good call leaves nothing."""
    jira = FakeJira()
    async with jira.serving(), httpx.AsyncClient(base_url=f"{jira.base_url}/rest/api/3", auth=(EMAIL, TOKEN)) as http:
        ticket = jira.create()
        good = {"jql": 'project = "PROJ" ORDER BY created ASC, key ASC', "fields": ["updated"], "maxResults": 10}
        assert (await http.post("/search/jql", json=good)).status_code == 200
        assert jira.violations == []
        await http.post("/search/jql", json={**good, "startAt": 0})
        await http.get("/myself", params={"verbose": "true"})
        await http.get("/nobody")
        await http.post("/issue/bulkfetch", json={"fields": []})
        await http.get(f"/issue/{ticket}/transitions", params={"expand": "transitions.fields"})
        found = "\n".join(jira.violations)
        assert "startAt" in found
        assert "no parameter verbose" in found
        assert "no such operation" in found
        assert "issueIdsOrKeys" in found
        assert "transitions" not in found


def test_an_answer_that_invents_something_is_found(needs_specification: None) -> None:
    """And one that leaves out what has to be there, or is of another kind; null where the document allows it is good."""
    document = specification(SPECIFICATION)
    assert document is not None
    path = f"/rest/api/3/issue/{1}/transitions"
    step = {"id": "1", "fields": {"resolution": {"required": True}}}
    assert any(
        '"key" is a required' in one for one in document.faults_of_answer("GET", path, 200, {"transitions": [step]})
    )
    assert document.faults_of_answer("GET", path, 200, {"invented": 1})
    assert document.faults_of_answer("GET", path, 418, {})
    assert document.faults_of_answer("GET", path, 200, {"transitions": []}) == []


async def test_who_is_not_known_is_refused_or_sees_nothing() -> None:
    """As the site is set up; behind the gateway other tokens work."""
    jira = FakeJira()
    async with jira.serving(), httpx.AsyncClient(base_url=f"{jira.base_url}/rest/api/3") as http:
        jira.create()
        body = {"jql": 'project = "PROJ" ORDER BY created ASC, key ASC'}
        assert (await http.post("/search/jql", json=body)).status_code == 401
        jira.anonymous = True
        assert (await http.post("/search/jql", json=body)).json()["issues"] == []
        assert (await http.get("/myself")).status_code == 401


def test_the_document_is_where_it_is_looked_for() -> None:
    """Beside the project; a run without it says so by skipping, never by passing."""
    assert Path(__file__).resolve().parents[2].parent.joinpath("shared").exists() == (
        specification(SPECIFICATION) is not None
    )


async def test_a_refresh_token_is_good_once_and_for_a_while_more() -> None:
    """As long as the leeway lasts; each further use is counted, and the new one is good in any case."""
    jira = FakeJira()
    async with jira.serving(), httpx.AsyncClient(base_url=jira.base_url) as http:

        async def renewed(token: str) -> httpx.Response:
            app = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
            return await http.post("/oauth/token", json={"grant_type": "refresh_token", "refresh_token": token, **app})

        first = (await renewed(REFRESH_TOKEN)).json()
        assert (await renewed(REFRESH_TOKEN)).status_code == 200
        jira.oauth.leeway_s = 0
        refused = await renewed(REFRESH_TOKEN)
        assert (refused.status_code, refused.json()["error"], jira.oauth.reused) == (403, "invalid_grant", 2)
        assert (await renewed(first["refresh_token"])).status_code == 200
        bearer = {"Authorization": f"Bearer {first['access_token']}"}
        assert (await http.get("/rest/api/3/myself", headers=bearer)).status_code == 401
        assert (await http.get(f"/ex/jira/{jira.cloud}/rest/api/3/myself", headers=bearer)).status_code == 200
