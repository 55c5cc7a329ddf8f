"""How git signs in: over real HTTP to git's own server, and with the secret nowhere but in a pipe."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from opensymphony.errors import ConfigurationError, Problem, WorkspaceError
from opensymphony.processes import list_processes
from opensymphony.workspace.git import Git
from opensymphony.workspace.login import handed_over, place_of
from opensymphony.workspace.manager import WorkspaceManager
from opensymphony.workspace.mirror import Mirror
from tests.fakes.bitbucket import API_TOKEN, FakeBitbucket
from tests.workspace.conftest import commit, git, policy_for, prepare

USER = "x-bitbucket-api-token-auth"


def login(*secrets: str) -> Callable[[], Awaitable[tuple[str, str]]]:
    """One after the other, the last again and again."""
    left = list(secrets)

    async def read() -> tuple[str, str]:
        return USER, left.pop(0) if len(left) > 1 else left[0]

    return read


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeBitbucket]:
    made = FakeBitbucket(tmp_path / "host")
    async with made.serving():
        yield made


def mirror_of(host: FakeBitbucket, state: Path, nonce: str, *secrets: str) -> Mirror:
    return Mirror(Git(nonce, login(*secrets or (API_TOKEN,))), str(state), host.git_url)


async def work_in(mirror: Mirror, directory: Path) -> str:
    """A commit of an agent's, in the mirror."""
    git(directory.parent, "clone", "-q", mirror.path, str(directory))
    made = commit(directory, "new", "by an agent\n")
    git(directory, "push", "-q", mirror.path, "HEAD:refs/opensymphony/ABC-1")
    return made


async def test_a_private_repository_is_fetched_and_pushed_to(
    host: FakeBitbucket, state: Path, nonce: str, tmp_path: Path
) -> None:
    """With user and secret of the code host, read for each call."""
    mirror = mirror_of(host, state, nonce)
    await mirror.refresh()
    assert await mirror.base_commit("main") == host.commit_of("main")
    made = await work_in(mirror, tmp_path / "agent")
    await mirror.push(made, "opensymphony/ABC-1", "ABC-1")
    assert host.commit_of("opensymphony/ABC-1") == made
    assert set(host.git.logins) == {f"{USER}:{API_TOKEN}"}


async def test_a_workspace_is_cloned_and_pushed_with_it(
    host: FakeBitbucket, root: Path, state: Path, nonce: str
) -> None:
    """From the ticket to the branch on the host; the agent's clone knows nothing of it."""
    manager = WorkspaceManager(str(root), str(state), policy_for(host.git_url), nonce, read_login=login(API_TOKEN))
    workspace = await prepare(manager)
    made = commit(workspace.path, "new", "by an agent\n", person=True)
    assert (await manager.collect(workspace)).commit == made
    await manager.push(workspace, made)
    assert host.commit_of("opensymphony/ABC-1") == made
    assert "credential" not in (Path(workspace.path) / ".git" / "config").read_text()


async def test_a_wrong_token_is_for_a_person(host: FakeBitbucket, state: Path, nonce: str) -> None:
    """One line that says what to look at, and no secret in it."""
    with pytest.raises(WorkspaceError) as caught:
        await mirror_of(host, state, nonce, "wrong-canary").refresh()
    said = str(caught.value)
    assert caught.value.error_class == "person"
    assert said.startswith(f"git fetch of {host.git_url} failed: fatal: Authentication failed for")
    assert said.endswith("check repository.url, and that the token of code_host is valid and may read and write there")
    assert "\n" not in said and "canary" not in said


async def test_a_token_that_was_renewed_counts_from_the_next_call(host: FakeBitbucket, state: Path, nonce: str) -> None:
    """Nothing is kept from one call to the next."""
    mirror = mirror_of(host, state, nonce, "expired", API_TOKEN)
    with pytest.raises(WorkspaceError):
        await mirror.refresh()
    await mirror.refresh()


async def test_a_token_that_cannot_be_read_is_said(host: FakeBitbucket, state: Path, nonce: str) -> None:
    """With the place where it should be; git is not asked."""

    async def read() -> tuple[str, str]:
        message = "environment variable BITBUCKET_TOKEN is not set or empty"
        raise ConfigurationError([Problem(file="opensymphony.toml", key="secrets", message=message)])

    with pytest.raises(WorkspaceError, match=r"git cannot sign in to http://127.*BITBUCKET_TOKEN is not set") as caught:
        await Mirror(Git(nonce, read), str(state), host.git_url).refresh()
    assert caught.value.error_class == "person"
    assert host.git.logins == []


async def test_without_a_code_host_git_signs_in_nowhere(host: FakeBitbucket, state: Path, nonce: str) -> None:
    with pytest.raises(WorkspaceError, match="could not read Username"):
        await Mirror(Git(nonce), str(state), host.git_url).refresh()
    assert host.git.logins == []


async def test_the_secret_is_nowhere_to_be_found(
    host: FakeBitbucket, state: Path, nonce: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in arguments or environments of what runs meanwhile, not in the mirror, not in any output."""
    mirror = mirror_of(host, state, nonce)
    host.git.gate = anyio.Event()
    looked: set[str] = set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mirror.refresh)
        await host.git.waiting.wait()
        for process in list_processes(nonce):
            for name in ("cmdline", "environ"):
                content = Path(f"/proc/{process.pid}/{name}").read_bytes()
                assert API_TOKEN.encode() not in content, (process.pid, name)
                looked.add(content.partition(b"\0")[0].decode().rpartition("/")[2])
        host.git.gate.set()
    assert {"git"} <= looked and any("remote-http" in name for name in looked)
    made = await work_in(mirror, tmp_path / "agent")
    await mirror.push(made, "opensymphony/ABC-1", "ABC-1")
    files = [path for path in state.rglob("*") if path.is_file()]
    assert files and all(API_TOKEN.encode() not in path.read_bytes() for path in files)
    shown = capfd.readouterr()
    assert API_TOKEN not in shown.out + shown.err


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_redirect_to_another_host_does_not_get_it(
    host: FakeBitbucket, state: Path, nonce: str, tmp_path: Path, when: str
) -> None:
    """Neither one for a stranger nor one after we have signed in."""
    other = FakeBitbucket(tmp_path / "other")
    async with other.serving():
        elsewhere = other.base_url.replace("127.0.0.1", "localhost")
        host.git.redirect, host.git.redirects_known = elsewhere, when == "after"
        with pytest.raises(WorkspaceError):
            await mirror_of(host, state, nonce).refresh()
        assert other.git.asked > 0
        assert other.git.logins == []


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://bitbucket.org/acme/app.git", "https://bitbucket.org"),
        ("https://Git.Example:8443/a", "https://git.example:8443"),
        ("http://127.0.0.1:1234/a", "http://127.0.0.1:1234"),
        ("http://[::1]:1234/a", "http://[::1]:1234"),
        ("http://bitbucket.org/acme/app.git", None),
        ("https://me@bitbucket.org/acme/app.git", None),
        ("git@bitbucket.org:acme/app.git", None),
        ("ssh://git@bitbucket.org/acme/app.git", None),
        ("https://bitbucket.org:x/a", None),
        ("/a/path", None),
    ],
)
def test_a_secret_goes_over_tls_or_nowhere(url: str, place: str | None) -> None:
    """Or to this machine."""
    assert place_of(url) == place


def test_a_login_that_git_would_misread_is_refused() -> None:
    """A line break in it would be another answer to git; the secret is not in the message."""
    for user, secret in (("u", "canary\nhost=evil.example"), ("u\n", "canary"), ("u", "canary" * 10_000)):
        with pytest.raises(WorkspaceError) as caught, handed_over("https://h", user, secret):
            pass
        assert "canary" not in str(caught.value)


def test_a_login_can_be_read_once_and_is_gone_afterwards() -> None:
    """Whoever comes second finds nothing, and after the call there is no pipe."""
    with handed_over("https://h", "u", "s") as handed:
        (pipe,) = handed.descriptors
        assert os.read(pipe, 100) == b"username=u\npassword=s\n"
        assert os.read(pipe, 100) == b""
        assert "s\n" not in "".join(handed.settings)
    with pytest.raises(OSError):
        os.read(pipe, 1)
