"""The fake Bitbucket itself: that it holds what goes over the wire against the official document, and that git is real."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest

from tests.fakes.bitbucket import API_TOKEN, EMAIL, FakeBitbucket


@pytest.fixture
async def bitbucket(tmp_path: Path) -> AsyncIterator[FakeBitbucket]:
    made = FakeBitbucket(tmp_path / "host")
    if made._specification is None:
        pytest.skip("the official document is not here")
    async with made.serving():
        yield made


async def ask(bitbucket: FakeBitbucket, method: str, path: str, **more: object) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"{bitbucket.api_url}{bitbucket.path}{path}"
        return await client.request(method, url, auth=(EMAIL, API_TOKEN), **more)


async def test_a_request_that_the_document_does_not_know_is_noted(bitbucket: FakeBitbucket) -> None:
    """An operation, a parameter, a body."""
    await ask(bitbucket, "GET", "/pull-requests")
    await ask(bitbucket, "GET", "/pullrequests?status=OPEN")
    await ask(bitbucket, "PUT", "/pullrequests/1", json={"title": 1})
    told = "\n".join(bitbucket.violations)
    assert "there is no such operation" in told and "no parameter status" in told and "title: 1 is not of type" in told


async def test_an_answer_that_the_document_does_not_know_is_noted(bitbucket: FakeBitbucket) -> None:
    pull = bitbucket.open("b")
    pull.state = "ELSEWHERE"
    await ask(bitbucket, "GET", f"/pullrequests/{pull.id}")
    assert any('"ELSEWHERE" is not one of' in one for one in bitbucket.violations)


async def test_lists_come_in_pages(bitbucket: FakeBitbucket) -> None:
    """Each names the next; those who ask for too many are refused."""
    for number in range(3):
        bitbucket.open(f"b{number}")
    first = (await ask(bitbucket, "GET", "/pullrequests?pagelen=2")).json()
    assert len(first["values"]) == 2 and "page=2" in first["next"]
    assert (await ask(bitbucket, "GET", "/pullrequests?pagelen=51")).status_code == 400


@pytest.mark.parametrize(("password", "works"), [(API_TOKEN, True), ("wrong", False)])
async def test_git_is_served_to_who_signs_in(
    bitbucket: FakeBitbucket, tmp_path: Path, password: str, works: bool
) -> None:
    """A clone over HTTP by git itself."""
    url = bitbucket.git_url.replace("//", f"//x-bitbucket-api-token-auth:{password}@")
    done = await anyio.to_thread.run_sync(
        lambda: subprocess.run(["git", "clone", "-q", url, str(tmp_path / "clone")], capture_output=True, check=False)
    )
    assert (done.returncode == 0) is works
    assert (tmp_path / "clone" / "README").is_file() is works


async def test_people_merge_in_git(bitbucket: FakeBitbucket) -> None:
    """What was merged is on the base branch."""
    commit = bitbucket.push("work", {"new": "x\n"})
    pull = bitbucket.open("work", close_branch=True)
    bitbucket.merge(pull)
    assert pull.state == "MERGED" and bitbucket.commit_of("work") is None
    assert bitbucket._whole(f"{bitbucket.commit_of('main')}^2") == commit


async def test_a_webhook_is_signed(bitbucket: FakeBitbucket) -> None:
    body, headers = bitbucket.event(bitbucket.open("b"), "pullrequest:approved")
    assert headers["X-Hub-Signature"].startswith("sha256=") and b'"pullrequest"' in body
