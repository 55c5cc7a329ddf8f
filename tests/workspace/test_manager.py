"""Workspaces as the executor asks for them: made, found again, refused, given hooks, removed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import anyio
import pytest

from opensymphony.errors import WorkspaceError
from opensymphony.interfaces import Workspaces
from opensymphony.model import Workspace
from opensymphony.workspace.manager import WorkspaceManager
from opensymphony.workspace.paths import workspace_key
from tests.workspace.conftest import clone_and_push, commit, git, policy_for, prepare, ticket, with_hooks


def files(directory: str | Path) -> list[str]:
    return sorted(os.listdir(directory))


async def test_the_manager_is_what_the_shell_asks_for(manager: WorkspaceManager) -> None:
    """The whole protocol is there, with its signatures (pyright checks the assignment)."""
    workspaces: Workspaces = manager
    assert workspaces


async def test_without_repository_the_directory_is_empty(plain_manager: WorkspaceManager, root: Path) -> None:
    """F1, F2, F11: a missing directory is made, empty and private, at `<root>/<key>`."""
    workspace = await prepare(plain_manager)
    assert workspace == Workspace(key="ABC-1", path=str(root / "ABC-1"), created=True)
    assert files(workspace.path) == []
    assert os.stat(root).st_mode & 0o777 == 0o700
    assert os.stat(workspace.path).st_mode & 0o777 == 0o700


async def test_after_create_runs_once_and_files_survive(
    plain_manager: WorkspaceManager, root: Path, state: Path, nonce: str, tmp_path: Path
) -> None:
    """F1, F3, F6: found again, by a restarted daemon too, with what was in it; `after_create` is not run again."""
    policy = policy_for(None, after_create=f"echo x >> {tmp_path}/count; pwd -P > where")
    plain_manager.use(policy)
    first = await prepare(plain_manager)
    Path(first.path, "marker").write_text("kept")
    restarted = WorkspaceManager(str(root), str(state), policy, nonce)
    second = await prepare(restarted, generation=2)
    assert (second.path, second.created) == (first.path, False)
    assert Path(second.path, "marker").read_text() == "kept"
    assert Path(second.path, "where").read_text() == f"{root.resolve()}/ABC-1\n"
    assert (tmp_path / "count").read_text() == "x\n"


async def test_a_failed_after_create_is_told_and_done_again(plain_manager: WorkspaceManager, tmp_path: Path) -> None:
    """F5, F6: exit code and last line are in the error; the next attempt gets a new directory and runs the hook again."""
    script = f"echo x >> {tmp_path}/count; ls > listing; touch half-done; echo why >&2; [ -e {tmp_path}/ok ] || exit 7"
    plain_manager.use(policy_for(None, after_create=script))
    with pytest.raises(WorkspaceError, match="hook after_create failed with exit code 7: why") as caught:
        await prepare(plain_manager)
    assert caught.value.error_class == "retry"
    (tmp_path / "ok").touch()
    workspace = await prepare(plain_manager)
    assert workspace.created
    assert Path(workspace.path, "listing").read_text() == "listing\n"
    assert (tmp_path / "count").read_text() == "x\nx\n"


async def test_an_interrupted_creation_is_made_anew(plain_manager: WorkspaceManager, tmp_path: Path) -> None:
    """F6: cancelled, or killed, in the middle of `after_create`: nothing half-built is ever used."""
    plain_manager.use(policy_for(None, after_create=f"touch half; touch {tmp_path}/started; sleep 60"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(prepare, plain_manager)
        with anyio.fail_after(20):
            while not (tmp_path / "started").exists():
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()
    plain_manager.use(policy_for(None, after_create="ls > listing"))
    workspace = await prepare(plain_manager)
    assert workspace.created
    assert Path(workspace.path, "listing").read_text() == "listing\n"


async def test_a_directory_of_unknown_origin_is_set_aside(plain_manager: WorkspaceManager, root: Path) -> None:
    """What we have no receipt for may be a person's work: it is moved, never deleted; an empty directory is taken."""
    (root / "ABC-1").mkdir(parents=True)
    (root / "ABC-1" / "thesis.txt").write_text("years of work")
    (root / "ABC-2").mkdir()
    assert (await prepare(plain_manager)).created
    assert (await prepare(plain_manager, ticket("ABC-2"))).created
    aside = files(root / ".set-aside")
    assert len(aside) == 1
    assert aside[0].startswith("ABC-1-")
    assert (root / ".set-aside" / aside[0] / "thesis.txt").read_text() == "years of work"
    assert files(root / "ABC-1") == []


@pytest.mark.parametrize("kind", ["link", "dangling", "file", "fifo"])
async def test_what_is_no_directory_is_refused(
    plain_manager: WorkspaceManager, root: Path, tmp_path: Path, kind: str
) -> None:
    """F4, F10, F12: a link out of the root, a dangling one, a file or a pipe is left alone and no hook is run."""
    outside = tmp_path / "outside"
    outside.mkdir()
    root.mkdir()
    place = root / "ABC-1"
    if kind in ("link", "dangling"):
        place.symlink_to(outside if kind == "link" else tmp_path / "none")
    elif kind == "file":
        place.write_text("mine")
    else:
        os.mkfifo(place)
    plain_manager.use(policy_for(None, after_create=f"touch {tmp_path}/ran"))
    with pytest.raises(WorkspaceError, match=r"ABC-1 is (a symbolic link|not a directory)") as caught:
        await prepare(plain_manager)
    assert caught.value.error_class == "person"
    assert "\n" not in str(caught.value)
    assert files(outside) == []
    assert os.path.lexists(place)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("identifier", ["A/B", "../../etc", "~", ".", "..", "x" * 300, "ünïcode", "/etc/passwd"])
async def test_any_identifier_ends_up_inside_the_root(
    plain_manager: WorkspaceManager, root: Path, tmp_path: Path, identifier: str
) -> None:
    """F10: a ticket with a path in its identifier gets one directory below the root and nothing else is touched."""
    workspace = await prepare(plain_manager, ticket(identifier))
    assert Path(workspace.path).resolve().parent == root.resolve()
    assert workspace.key == workspace_key(identifier)
    assert files(root) == [workspace.key]
    assert files(tmp_path) == ["state", "workspaces"]


async def test_two_tickets_never_share_a_directory(plain_manager: WorkspaceManager) -> None:
    """F11: a second ticket that needs the same name is refused with both names."""
    await prepare(plain_manager, ticket("ABC-1", id="one"))
    with pytest.raises(WorkspaceError, match=r"belongs to ticket ABC-1 \(one\), and ABC-1 \(two\)") as caught:
        await prepare(plain_manager, ticket("ABC-1", id="two"))
    assert caught.value.error_class == "final"


async def test_a_linked_root_is_accepted_under_its_real_path(state: Path, nonce: str, tmp_path: Path) -> None:
    """F12: the agent's directory is below the real root."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    manager = WorkspaceManager(str(tmp_path / "link"), str(state), policy_for(None), nonce)
    assert (await prepare(manager)).path == f"{(tmp_path / 'real').resolve()}/ABC-1"


async def test_a_reopened_ticket_finds_its_workspace(manager: WorkspaceManager, upstream: Path) -> None:
    """Next generation, same directory, same branch, same base, although the remote's base has moved on."""
    first = await prepare(manager)
    done = commit(first.path, "a", "1", person=False)
    clone_and_push(upstream, "b", "main")
    second = await prepare(manager, generation=2)
    assert (second.path, second.branch, second.base_commit) == (first.path, first.branch, first.base_commit)
    assert not second.created
    assert git(second.path, "rev-parse", "HEAD") == done


async def test_tickets_prepare_side_by_side(manager: WorkspaceManager, root: Path) -> None:
    """Tickets that fetch at once do not collide in the mirror, on its first use least of all."""
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(prepare, manager, ticket(f"ABC-{number}"))
    assert files(root) == [f"ABC-{number}" for number in range(4)]
    assert all((root / name / "README").read_text() == "hello\n" for name in files(root))


async def test_another_repository_gets_another_workspace(manager: WorkspaceManager, upstream: Path, root: Path) -> None:
    """When the policy names another repository, the old clone is set aside with its work."""
    first = await prepare(manager)
    commit(first.path, "a", "1", person=False)
    other = upstream.parent / "other.git"
    shutil.copytree(upstream, other)
    manager.use(policy_for(str(other)))
    with pytest.raises(WorkspaceError, match=r"cloned from another repository than repository.url names now"):
        await manager.collect(first)
    second = await prepare(manager)
    assert second.created
    assert not Path(second.path, "a").exists()
    assert (root / ".set-aside" / files(root / ".set-aside")[0] / "a").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("/nowhere/at-all", "does not appear to be a git repository.*: check repository.url"),
        ("-u", "no address of a repository"),
        ("ext::sh -c touch% /tmp/x", "no address of a repository"),
        ("", "no address of a repository"),
        ("https://me:hunter2@example.invalid/r", "carries a password"),
    ],
)
async def test_a_bad_address_is_one_line(manager: WorkspaceManager, root: Path, url: str, said: str) -> None:
    """Wrong addresses name the setting, show no password, and leave no directory."""
    manager.use(policy_for(url or " "))
    with pytest.raises(WorkspaceError, match=said) as caught:
        await prepare(manager)
    assert caught.value.error_class == "person"
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert files(root) == []


async def test_a_missing_base_is_named(manager: WorkspaceManager, upstream: Path) -> None:
    """An empty repository, or another default branch: the message says what to do."""
    git(upstream, "branch", "-m", "main", "trunk")
    with pytest.raises(WorkspaceError, match=r"has no branch 'main': create it there, or set repository.base"):
        await prepare(manager)


async def test_hooks_see_the_ticket_and_no_credential(
    plain_manager: WorkspaceManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F12: a hook runs in the workspace, with three variables about the ticket and none of ours."""
    monkeypatch.setenv("JIRA_API_TOKEN", "canary")
    workspace = await prepare(plain_manager)
    plain_manager.use(policy_for(None, before_run="pwd -P; env"))
    result = await plain_manager.run_hook(workspace, "before_run", ticket())
    assert (result.status, result.exit_code) == ("succeeded", 0)
    lines = result.output_tail.splitlines()
    assert lines[0] == workspace.path
    assert "OPENSYMPHONY_ISSUE=id of ABC-1" in lines
    assert "OPENSYMPHONY_IDENTIFIER=ABC-1" in lines
    assert f"OPENSYMPHONY_WORKSPACE={workspace.path}" in lines
    assert "canary" not in result.output_tail


async def test_hooks_are_refused_where_the_workspace_is_not_ours(
    plain_manager: WorkspaceManager, tmp_path: Path
) -> None:
    """F12: gone, replaced by a link, or outside the root: nothing is run."""
    workspace = await prepare(plain_manager)
    plain_manager.use(policy_for(None, before_run=f"touch {tmp_path}/ran"))
    outside = Workspace(key="ABC-1", path=str(tmp_path), created=False)
    with pytest.raises(WorkspaceError, match="not below the workspace root"):
        await plain_manager.run_hook(outside, "before_run", ticket())
    os.rmdir(workspace.path)
    with pytest.raises(WorkspaceError, match="is gone"):
        await plain_manager.run_hook(workspace, "before_run", ticket())
    os.symlink(tmp_path, workspace.path)
    with pytest.raises(WorkspaceError, match="is a symbolic link"):
        await plain_manager.verify(workspace, f"touch {tmp_path}/ran", 5_000, ticket())
    with pytest.raises(WorkspaceError, match="is a symbolic link"):
        await plain_manager.write_manifest(workspace, "run", {})
    with pytest.raises(WorkspaceError, match="there is no hook 'tracker'"):
        await plain_manager.run_hook(workspace, "tracker", ticket())
    assert not (tmp_path / "ran").exists()


async def test_clean_runs_before_remove_and_removes(
    plain_manager: WorkspaceManager, root: Path, tmp_path: Path
) -> None:
    """F9: the hook runs in the workspace; whatever it answers, the directory goes; a second call is no failure."""
    workspace = await prepare(plain_manager)
    Path(workspace.path, "sub").mkdir()
    plain_manager.use(policy_for(None, before_remove=f"pwd -P > {tmp_path}/where; echo no; exit 3"))
    cleanup = await plain_manager.clean(workspace, ticket())
    assert cleanup.removed
    assert cleanup.reason == "hook before_remove failed with exit code 3: no, which was ignored"
    assert (tmp_path / "where").read_text().strip() == workspace.path
    assert files(root) == [".trash"]
    assert files(root / ".trash") == []
    again = await plain_manager.clean(workspace, ticket())
    assert (again.removed, again.reason) == (True, "it was gone already")
    assert (await prepare(plain_manager)).created


async def test_clean_goes_on_after_a_hook_that_hangs(plain_manager: WorkspaceManager) -> None:
    """F9: a hook past its time limit is ended with everything it started, and ignored."""
    workspace = await prepare(plain_manager)
    plain_manager.use(with_hooks(plain_manager.policy, before_remove="setsid sleep 60 & sleep 60", timeout_ms=200))
    cleanup = await plain_manager.clean(workspace, ticket())
    assert cleanup.removed
    assert "took longer than 200 ms and was ended (hooks.timeout_ms), which was ignored" in cleanup.reason


async def test_clean_accepts_that_the_hook_removed_it(plain_manager: WorkspaceManager) -> None:
    """A hook may remove the directory itself."""
    workspace = await prepare(plain_manager)
    plain_manager.use(policy_for(None, before_remove='rm -rf "$OPENSYMPHONY_WORKSPACE"'))
    assert (await plain_manager.clean(workspace, ticket())).removed


async def test_clean_leaves_what_is_not_this_tickets(
    plain_manager: WorkspaceManager, root: Path, tmp_path: Path
) -> None:
    """Another ticket's directory, one without a receipt, one outside the root and a link are kept, and it says why."""
    workspace = await prepare(plain_manager)
    other = await plain_manager.clean(workspace, ticket("ABC-1", id="another"))
    assert (other.removed, other.reason) == (False, f"kept {workspace.path}: it belongs to ticket ABC-1, not to ABC-1")
    (root / "X").mkdir()
    unknown = await plain_manager.clean(Workspace(key="X", path=str(root / "X"), created=False), ticket("X"))
    assert not unknown.removed
    assert "nobody we know of" in unknown.reason
    outside = await plain_manager.clean(Workspace(key="ABC-1", path=str(tmp_path), created=False), ticket())
    assert not outside.removed
    shutil.rmtree(workspace.path)
    os.symlink(tmp_path, workspace.path)
    linked = await plain_manager.clean(workspace, ticket())
    assert not linked.removed
    assert "is a symbolic link" in linked.reason
    assert tmp_path.is_dir()


async def test_verify_judges_by_the_exit_code(plain_manager: WorkspaceManager) -> None:
    """The policy's check runs in the workspace; only 0 within the time limit passes; the end of its output is kept."""
    workspace = await prepare(plain_manager)
    passed = await plain_manager.verify(workspace, "pwd -P; echo $OPENSYMPHONY_IDENTIFIER", 20_000, ticket())
    assert (passed.passed, passed.exit_code) == (True, 0)
    assert passed.output_tail == f"{workspace.path}\nABC-1\n"
    failed = await plain_manager.verify(workspace, "seq 20000; echo bad >&2; exit 2", 20_000, ticket())
    assert (failed.passed, failed.exit_code) == (False, 2)
    assert failed.output_tail.endswith("20000\nbad\n")
    assert len(failed.output_tail) <= 16 * 1024
    slow = await plain_manager.verify(workspace, "setsid sleep 60 & sleep 60", 200, ticket())
    assert (slow.passed, slow.exit_code) == (False, None)


async def test_manifests_are_private_and_git_ignores_them(manager: WorkspaceManager) -> None:
    """Copies for people: 0600, no credential, and no change as far as git is concerned."""
    workspace = await prepare(manager)
    await manager.write_manifest(workspace, "issue", {"identifier": "ABC-1", "api_token": "canary"})
    path = Path(workspace.path, ".opensymphony/issue.json")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "canary" not in path.read_text()
    assert git(workspace.path, "status", "--porcelain") == ""
    git(workspace.path, "add", "-A")
    assert (await manager.collect(workspace)).uncommitted == ()


async def test_a_clone_made_by_a_hook_ignores_manifests_too(plain_manager: WorkspaceManager, upstream: Path) -> None:
    """Symphony's way, `git clone URL .` in `after_create`: our copies do not show up as changes."""
    plain_manager.use(policy_for(None, after_create=f"git clone -q {upstream} ."))
    workspace = await prepare(plain_manager)
    await plain_manager.write_manifest(workspace, "issue", {"identifier": "ABC-1"})
    assert git(workspace.path, "status", "--porcelain") == ""
    assert (await plain_manager.collect(workspace)).commit is None
    with pytest.raises(WorkspaceError, match="no repository to push to"):
        await plain_manager.push(workspace, "0" * 40)
