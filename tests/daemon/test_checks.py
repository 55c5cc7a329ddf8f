"""What `doctor` looks at."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from opensymphony.daemon.checks import require_git, run_checks
from opensymphony.errors import Problem, WorkspaceError
from opensymphony.isolation import best
from opensymphony.views import Check
from opensymphony.workflow.policy import BudgetLimit, BudgetPolicy, Policy, RepositoryPolicy, VerifyPolicy
from tests.daemon.world import World
from tests.fakes.bitbucket import API_TOKEN, FakeBitbucket
from tests.services.bitbucket.world import policy_for


async def found(world: World, policy: Policy | None = None, **settings: Any) -> dict[str, Check]:
    given = world.settings(llm_model="openai/m", **settings)
    return {check.name: check for check in await run_checks(given, policy or world.policy(), ())}


def script(directory: Path, name: str, text: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{text}\n")
    (directory / name).chmod(0o755)


async def test_a_good_place_passes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but what is not installed here; nothing is started or made."""
    monkeypatch.setenv("LLM_API_KEY", "canary")
    world.ticket("A-1")
    checks = await found(world)
    failed = {name for name, check in checks.items() if check.status == "fail"}
    assert failed == {"agent-server"}
    assert checks["agent-server"].fix == "run `opensymphony install openhands`"
    assert checks["tracker"].detail == "1 ticket in an active state"
    assert checks["prompt"].detail.startswith("rendered with a sample ticket: ")
    assert (checks["isolation"].status == "pass") == (best() == "sandbox")
    assert "canary" not in str(checks)
    assert not world.store.exists()
    assert not world.root.exists()


@pytest.mark.parametrize(
    ("changes", "name", "said"),
    [
        ({"prompt": "Do {{ issue.nonsense }}."}, "prompt", "nonsense"),
        ({"verify": VerifyPolicy(command="test {{ nonsense }}")}, "prompt", "nonsense"),
        ({"repository": RepositoryPolicy(url="/gone")}, "repository", "/gone: main cannot be read"),
    ],
)
async def test_what_is_wrong_in_the_policy_is_named(
    changes: dict[str, Any], name: str, said: str, world: World
) -> None:
    """With what to do."""
    check = (await found(world, world.policy(**changes)))[name]
    assert check.status == "fail"
    assert said in check.detail
    assert "WORKFLOW.md" in check.fix


async def test_a_missing_branch_is_named(world: World) -> None:
    """The repository is there, its base is not."""
    policy = world.policy(repository=RepositoryPolicy(url=str(world.upstream), base="trunk"))
    check = (await found(world, policy))["repository"]
    assert (check.status, check.detail) == ("fail", f"{world.upstream}: trunk cannot be read: no such branch")


async def test_without_a_repository_there_is_nothing_to_read(world: World) -> None:
    """As in Symphony: the hooks make the workspace."""
    assert (await found(world, world.policy(repository=None)))["repository"].status == "pass"


async def test_the_board_is_read(world: World) -> None:
    """A bad ticket is a warning, a missing board a failure."""
    (world.board / "bad.md").write_text("---\ntitle: [\n---\n")
    assert (await found(world))["tracker"].status == "warn"
    (world.board / "bad.md").unlink()
    world.board.rmdir()
    assert (await found(world))["tracker"].status == "fail"


async def test_the_model_is_looked_for(world: World) -> None:
    """No key is a warning, since a local model needs none; no model, or a key that is not there, a failure."""
    assert (await found(world))["model"].status == "warn"
    checks = {check.name: check for check in await run_checks(world.settings(), world.policy(), ())}
    assert (checks["model"].status, checks["model"].fix) == ("fail", "set LLM_MODEL and LLM_API_KEY")


async def test_places_that_cannot_be_written_are_named(world: World) -> None:
    """Store, logs and workspaces: a file of somebody's stands in the way."""
    (world.directory / "file").write_text("mine")
    place = str(world.directory / "file" / "below")
    checks = await found(world, store_dir=place, logs_dir=place)
    assert [checks[name].status for name in ("store", "logs", "workspace-root")] == ["fail", "fail", "pass"]
    assert f"{world.directory / 'file'} cannot be written" in checks["store"].detail


async def test_a_full_disk_is_a_warning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below 500 MB an agent's build fails sooner than we do."""
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 10**9 - 1_000_000, 1_000_000))
    assert (await found(world))["store"].detail.endswith("only 1 MB are free")


async def test_a_port_in_use_is_a_failure(world: World) -> None:
    """With the question that a person asks next."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        check = (await found(world, port=port))["port"]
        assert check.status == "fail"
        assert f"127.0.0.1:{port} cannot be used: Address already in use" in check.detail
        assert "server.port" in check.fix
        world.store.mkdir(exist_ok=True)
        address = {"pid": os.getpid(), "host": "127.0.0.1", "port": port, "token_file": "token"}
        (world.store / "daemon.json").write_bytes(msgspec.json.encode(address))
        ours = (await found(world, port=port))["port"]
        assert (ours.status, ours.detail) == ("pass", f"this project's daemon listens there (pid {os.getpid()})")
        (world.store / "daemon.json").write_bytes(msgspec.json.encode({**address, "port": 1}))
        assert (await found(world, port=port))["port"].status == "fail"
    assert (await found(world, port=port))["port"].status == "pass"


async def test_git_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, too old or broken: `run` and the demo refuse with the same words."""
    await require_git()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(WorkspaceError) as refused:
        await require_git()
    assert str(refused.value) == "git was not found on the PATH: install git (on Debian: apt-get install git)"
    script(tmp_path / "bin", "git", "echo git version 2.20.1")
    with pytest.raises(WorkspaceError, match=r"git version 2\.20\.1: install git 2\.30 or later"):
        await require_git()
    script(tmp_path / "bin", "git", "echo 'git: cannot load libz'; exit 127")
    with pytest.raises(WorkspaceError, match="does not work: git: cannot load libz: repair git") as refused:
        await require_git()
    assert "\n" not in str(refused.value)
    script(tmp_path / "bin", "git", "echo 'git version 2.39.5 (Apple Git-154)'")
    await require_git()


async def test_without_git_the_other_checks_are_made(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What `doctor` is for: it says that git is missing, and goes on."""
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = await found(world)
    assert (checks["git"].status, checks["repository"].status) == ("fail", "fail")
    assert "git could not be started" in checks["repository"].detail
    assert checks["workspace-root"].status == "pass"


async def test_uv_is_only_for_installing(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without it a run still runs."""
    monkeypatch.delenv("OPENSYMPHONY_UV", raising=False)
    script(tmp_path / "bin", "git", "echo git version 2.40.0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert (await found(world))["uv"].status == "warn"


async def test_without_a_policy_the_rest_is_skipped(world: World) -> None:
    """The problems of the files are the answer; what does not need them is looked at all the same."""
    problem = Problem(file="WORKFLOW.md", line=3, message="is not a number", key="polling.interval_ms")
    checks = {check.name: check for check in await run_checks(world.settings(), None, (problem,))}
    assert checks["workflow"].status == "fail"
    assert checks["workflow"].detail == "WORKFLOW.md:3: polling.interval_ms: is not a number"
    assert checks["tracker"].status == "skip"
    assert checks["git"].status == "pass"
    warning = msgspec.structs.replace(problem, severity="warning")
    warned = await run_checks(world.settings(), world.policy(), (warning,))
    assert warned[0].status == "warn"


@pytest.mark.parametrize(
    ("budget", "status", "said"),
    [
        (BudgetPolicy(), "pass", "no limit (days in UTC); one model call may take 200,000 tokens read"),
        (
            BudgetPolicy(day=BudgetLimit(tokens=9_000_000), timezone="Asia/Tokyo"),
            "pass",
            "day 9,000,000 tokens (days in Asia/Tokyo)",
        ),
        (BudgetPolicy(run=BudgetLimit(tokens=10)), "warn", "budget.run.tokens is less than one model call may take"),
        (BudgetPolicy(project=BudgetLimit(cost=9)), "fail", "budget.project.cost is in money, but what openai/m costs"),
    ],
)
async def test_budgets_are_looked_at(budget: BudgetPolicy, status: str, said: str, world: World) -> None:
    """The limits, one call's most, and whether what is spent can be counted at all."""
    check = (await found(world, world.policy(budget=budget)))["budget"]
    assert check.status == status
    assert said in check.detail


async def test_a_private_repository_is_read_with_the_code_hosts_token(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a run does it; without the token the line says where it should be."""
    host = FakeBitbucket(tmp_path / "host")
    async with host.serving():
        policy = world.policy(repository=RepositoryPolicy(url=host.git_url), code_host=policy_for(host))
        checks = await found(world, policy)
        assert checks["repository"].status == "fail" and "BITBUCKET_TOKEN is not set" in checks["repository"].detail
        assert checks["code-host"].status == "fail" and "BITBUCKET_TOKEN is not set" in checks["code-host"].detail
        monkeypatch.setenv("BITBUCKET_TOKEN", API_TOKEN)
        checks = await found(world, policy)
        assert checks["repository"].detail == f"{host.git_url} has the branch main"
        assert checks["code-host"].detail == "pull requests of bitbucket can be read"
        assert {checks["repository"].status, checks["code-host"].status} == {"pass"}
        host.missing_scopes = {"pullrequest"}
        assert "it needs the scope pullrequest" in (await found(world, policy))["code-host"].detail
