"""A real upstream repository, a real manager, and git as an agent would call it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from opensymphony.clock import new_id
from opensymphony.interfaces import WorkspaceRequest
from opensymphony.model import Ticket, TicketId, Workspace
from opensymphony.processes import end_all, list_processes
from opensymphony.workflow.policy import HooksPolicy, Policy, RepositoryPolicy, TrackerPolicy
from opensymphony.workspace.manager import WorkspaceManager

PERSON = {"GIT_AUTHOR_NAME": "P", "GIT_AUTHOR_EMAIL": "p@x", "GIT_COMMITTER_NAME": "P", "GIT_COMMITTER_EMAIL": "p@x"}


def git(directory: str | Path, *arguments: str, check: bool = True, person: bool = True) -> str:
    """Git as a person or an agent runs it, with the configuration of the repository it is in."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }
    answer = subprocess.run(
        ["git", *arguments],
        cwd=directory,
        env=env | (PERSON if person else {}),
        capture_output=True,
        text=True,
        timeout=30,
    )
    if check:
        assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def commit(directory: str | Path, name: str, text: str, message: str | None = None, *, person: bool = True) -> str:
    """Write a file, commit everything, and return the commit."""
    path = Path(directory) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    git(directory, "add", "-A", person=person)
    git(directory, "commit", "-q", "-m", message or f"change {name}", person=person)
    return git(directory, "rev-parse", "HEAD")


def clone_and_push(upstream: Path, name: str, branch: str, start: str = "main") -> str:
    """A person's commit on the remote."""
    directory = upstream.parent / f"person-{name}"
    git(upstream.parent, "clone", "-q", str(upstream), str(directory))
    git(directory, "checkout", "-q", "-B", branch, f"origin/{start}")
    made = commit(directory, name, "by a person\n")
    git(directory, "push", "-q", "origin", branch)
    return made


def ticket(identifier: str = "ABC-1", id: str | None = None) -> Ticket:
    return Ticket(id=TicketId(id or f"id of {identifier}"), identifier=identifier, title="T", state="Todo")


def policy_for(repository: str | None, *, push: bool = True, **hooks: Any) -> Policy:
    return Policy(
        tracker=TrackerPolicy(kind="files"),
        repository=RepositoryPolicy(url=repository, push=push) if repository else None,
        hooks=HooksPolicy(**{"timeout_ms": 20_000, **hooks}),
    )


def with_hooks(policy: Policy, **hooks: Any) -> Policy:
    return msgspec.structs.replace(policy, hooks=HooksPolicy(**{"timeout_ms": 20_000, **hooks}))


@pytest.fixture
async def nonce() -> AsyncIterator[str]:
    """A nonce of which no process is left after the test."""
    value = new_id()
    yield value
    left = list_processes(value)
    await end_all(value, grace_ms=100)
    assert left == ()


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A bare repository with a branch `main` of one commit."""
    seed = tmp_path / "seed"
    seed.mkdir()
    git(seed, "init", "-q", "-b", "main")
    (seed / ".gitignore").write_text("*.log\n")
    commit(seed, "README", "hello\n", "first")
    bare = tmp_path / "upstream.git"
    git(tmp_path, "clone", "-q", "--bare", str(seed), str(bare))
    return bare


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "workspaces"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / "mirrors"


@pytest.fixture
def plain_manager(root: Path, state: Path, nonce: str) -> WorkspaceManager:
    """Without a repository, as in Symphony."""
    return WorkspaceManager(str(root), str(state), policy_for(None), nonce)


@pytest.fixture
def manager(root: Path, state: Path, nonce: str, upstream: Path) -> WorkspaceManager:
    return WorkspaceManager(str(root), str(state), policy_for(str(upstream)), nonce)


async def prepare(manager: WorkspaceManager, of: Ticket | None = None, *, generation: int = 1) -> Workspace:
    """Prepare as the executor does: repository, base and branch from the policy."""
    of = of or ticket()
    repository = manager.policy.repository
    request = WorkspaceRequest(
        ticket=of,
        generation=generation,
        repository_url=repository.url if repository else None,
        base=repository.base if repository else None,
        branch=f"opensymphony/{of.identifier}" if repository else None,
    )
    return await manager.prepare(request)
