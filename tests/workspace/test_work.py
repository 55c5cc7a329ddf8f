"""What the agent left: collected, pushed, and never lost with its directory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from opensymphony.errors import WorkspaceError
from opensymphony.model import Cleanup, Workspace
from opensymphony.workspace.manager import WorkspaceManager
from tests.workspace.conftest import clone_and_push, commit, git, policy_for, prepare, ticket

BRANCH = "opensymphony/ABC-1"


def mirror_of(state: Path) -> Path:
    return next(state.glob("*.git"))


def tip(upstream: Path, branch: str = BRANCH) -> str:
    return git(upstream, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", check=False)


async def test_nothing_done_is_no_work(manager: WorkspaceManager) -> None:
    """A fresh clone is at its base."""
    workspace = await prepare(manager)
    work = await manager.collect(workspace)
    assert (work.commit, work.commits_ahead) == (workspace.base_commit, 0)
    assert (work.uncommitted, work.files_changed, work.summary) == ((), (), "")


async def test_collect_says_what_is_committed_and_what_is_not(manager: WorkspaceManager, state: Path) -> None:
    """Commits, files and subjects relative to the base; changed, new and deleted paths; ignored ones do not count."""
    workspace = await prepare(manager)
    here = Path(workspace.path)
    commit(here, "a", "1", "add a\n\nand a long\x1b[2J body", person=False)
    last = commit(here, "sub/ü b", "2", "add \x1b[31mb", person=False)
    (here / "README").write_text("changed")
    (here / "a").unlink()
    (here / "new").write_text("")
    (here / "build.log").write_text("ignored by the repository's .gitignore")
    (here / ".gitignore").write_text("*.log\n/out/\n")
    (here / "out").mkdir()
    (here / "out" / "x").write_text("ignored by the agent's .gitignore")
    (here / ".opensymphony").mkdir()
    (here / ".opensymphony" / "run.json").write_text("{}")
    work = await manager.collect(workspace)
    assert (work.commit, work.commits_ahead) == (last, 2)
    assert work.files_changed == ("a", "sub/ü b")
    assert work.uncommitted == (".gitignore", "README", "a", "new")
    assert work.summary == "add  [31mb\nadd a"
    assert git(mirror_of(state), "rev-parse", "refs/opensymphony/ABC-1") == last


async def test_collect_twice_is_collect_once(manager: WorkspaceManager) -> None:
    """Repeating changes nothing; an amended commit replaces the old one."""
    workspace = await prepare(manager)
    commit(workspace.path, "a", "1", person=False)
    assert await manager.collect(workspace) == await manager.collect(workspace)
    git(workspace.path, "commit", "-q", "--amend", "-m", "better", person=False)
    work = await manager.collect(workspace)
    assert (work.commits_ahead, work.summary) == (1, "better")


async def test_lists_are_bounded(manager: WorkspaceManager) -> None:
    """At most 50 uncommitted paths, 200 changed files and 20 subjects, however many there are."""
    workspace = await prepare(manager)
    for number in range(210):
        Path(workspace.path, f"f{number:03}").write_text("")
    commit(workspace.path, "last", "x" * 10, "s" * 500, person=False)
    for number in range(60):
        Path(workspace.path, f"g{number:03}").write_text("")
    work = await manager.collect(workspace)
    assert len(work.uncommitted) == 50
    assert len(work.files_changed) == 200
    assert len(work.summary) == 200


async def test_a_deleted_branch_is_no_commit(manager: WorkspaceManager) -> None:
    """An agent that works on a branch of its own naming has delivered nothing, and its files show as uncommitted."""
    workspace = await prepare(manager)
    git(workspace.path, "checkout", "-q", "-b", "mine")
    commit(workspace.path, "a", "1", person=False)
    git(workspace.path, "branch", "-q", "-D", BRANCH)
    work = await manager.collect(workspace)
    assert (work.commit, work.commits_ahead, work.uncommitted) == (None, 0, ("a",))


async def test_packed_and_symbolic_references_are_understood(manager: WorkspaceManager) -> None:
    """`git gc` moves references into one file; a branch may be an alias."""
    workspace = await prepare(manager)
    done = commit(workspace.path, "a", "1", person=False)
    git(workspace.path, "gc", "-q")
    assert not Path(workspace.path, ".git/refs/heads", BRANCH).exists()
    assert (await manager.collect(workspace)).commit == done
    git(workspace.path, "branch", "-m", BRANCH, "real")
    git(workspace.path, "symbolic-ref", f"refs/heads/{BRANCH}", "refs/heads/real")
    assert (await manager.collect(workspace)).commit == done


async def test_nothing_of_the_agents_is_run(manager: WorkspaceManager, upstream: Path, tmp_path: Path) -> None:
    """Hooks, fsmonitor, filters, diff and merge drivers, aliases, helpers, SSH commands, includes: all planted, none run.

    The same traps do spring when git is run in the workspace as usual, or the test would prove nothing.
    """
    workspace = await prepare(manager)
    marker = tmp_path / "sprung"
    plant(Path(workspace.path), marker)
    done = commit_quietly(Path(workspace.path))
    marker.unlink(missing_ok=True)
    work = await manager.collect(workspace)
    assert work.commit == done
    assert "README" in work.uncommitted
    await manager.push(workspace, done)
    assert tip(upstream) == done
    cleanup = await manager.clean(workspace, ticket())
    assert not cleanup.removed, "README is changed"
    assert not marker.exists(), marker.read_text()
    git(workspace.path, "status", check=False)
    git(workspace.path, "add", "README", check=False)  # status alone may believe the file's size and time
    unfiltered = ["-c", "filter.x.process=", "-c", "filter.x.required=false"]
    git(workspace.path, *unfiltered, "show", "--ext-diff", check=False)
    assert {"fsmonitor", "filter", "diff"} <= set(marker.read_text().split())


def plant(workspace: Path, marker: Path) -> None:
    """Everything in an agent's reach that makes git run something."""

    def trap(name: str) -> str:
        script = workspace / ".git" / f"trap-{name}"
        script.write_text(f"#!/bin/sh\necho {name} >> {marker}\nexit 0\n")
        script.chmod(0o755)
        return str(script)

    hooks = workspace / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    names = ["post-checkout", "pre-push", "reference-transaction", "post-index-change", "pre-auto-gc", "update"]
    for name in [*names, "pre-receive", "post-receive", "fsmonitor-watchman", "post-update", "push-to-checkout"]:
        shutil.copy(trap(f"hook-{name}"), hooks / name)
    settings = {
        "core.fsmonitor": trap("fsmonitor"),
        "core.sshCommand": trap("ssh"),
        "core.pager": trap("pager"),
        "core.editor": trap("editor"),
        "core.hooksPath": str(hooks),
        "core.alternateRefsCommand": trap("alternates"),
        "core.gitProxy": trap("proxy"),
        "uploadpack.packObjectsHook": trap("pack"),
        "filter.x.clean": trap("filter"),
        "filter.x.smudge": trap("filter"),
        "filter.x.process": trap("filter"),
        "filter.x.required": "true",
        "diff.x.command": trap("diff"),
        "diff.x.textconv": trap("diff"),
        "diff.external": trap("diff"),
        "merge.x.driver": trap("merge"),
        "gpg.program": trap("gpg"),
        "log.showSignature": "true",
        "credential.helper": f"!{trap('credential')}",
        "alias.fetch": f"!{trap('alias')}",
        "remote.origin.url": "ext::sh -c touch% " + str(marker),
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": trap("promisor"),
        "extensions.partialClone": "origin",
        "core.repositoryFormatVersion": "1",
        "protocol.ext.allow": "always",
        "include.path": str(workspace / "evil.config"),
    }
    (workspace / "evil.config").write_text(f"[core]\n\tfsmonitor = {trap('fsmonitor')}\n")
    for name, value in settings.items():
        git(workspace, "config", "--local", name, value)
    (workspace / ".gitattributes").write_text("* filter=x diff=x merge=x\n")
    (workspace / ".git" / "info" / "attributes").write_text("* filter=x diff=x merge=x\n")


def commit_quietly(workspace: Path) -> str:
    """A commit past the traps, then a change that is not committed and a nested repository with traps of its own."""
    off = ["-c", "core.fsmonitor=false", "-c", "filter.x.required=false", "-c", "filter.x.process="]
    off += ["-c", "filter.x.clean=cat", "-c", "core.hooksPath=/dev/null"]
    (workspace / "done").write_text("1")
    git(workspace, *off, "add", "-A")
    git(workspace, *off, "commit", "-q", "-m", "done")
    (workspace / "README").write_text("changed and not committed")
    nested = workspace / "nested"
    nested.mkdir()
    git(nested, "init", "-q")
    git(nested, "config", "core.fsmonitor", git(workspace, "config", "core.fsmonitor"))
    commit_in = ["-c", "core.fsmonitor=false", "commit", "-q", "--allow-empty", "-m", "x"]
    git(nested, *commit_in)
    return git(workspace, *off, "rev-parse", "HEAD")


async def test_a_nested_repository_is_not_entered(manager: WorkspaceManager, tmp_path: Path) -> None:
    """One that is committed as a submodule would have git run `status` in it, with its own configuration."""
    workspace = await prepare(manager)
    marker = tmp_path / "sprung"
    nested = Path(workspace.path, "nested")
    nested.mkdir()
    git(nested, "init", "-q")
    commit(nested, "x", "1")
    git(workspace.path, "add", "nested", person=False)
    git(workspace.path, "commit", "-q", "-m", "with nested", person=False)
    script = nested / ".git" / "trap"
    script.write_text(f"#!/bin/sh\ntouch {marker}\n")
    script.chmod(0o755)
    git(nested, "config", "core.fsmonitor", str(script))
    (nested / "x").write_text("2")
    work = await manager.collect(workspace)
    assert (work.commits_ahead, work.uncommitted) == (1, ())
    assert not marker.exists()
    git(nested, "status")
    assert marker.exists()


@pytest.mark.parametrize(
    "kind", ["missing", "file", "link", "objects", "pack", "loose", "alternates", "reftable", "pipe"]
)
async def test_a_repository_that_leads_elsewhere_is_refused(
    manager: WorkspaceManager, upstream: Path, tmp_path: Path, kind: str
) -> None:
    """`.git` has to be a directory in the workspace with objects of its own; nothing outside is read."""
    workspace = await prepare(manager)
    commit(workspace.path, "a", "1", person=False)
    dot_git = Path(workspace.path, ".git")
    away = tmp_path / "away"
    if kind in ("missing", "file", "link"):
        dot_git.rename(away)
    if kind == "file":
        dot_git.write_text(f"gitdir: {away}\n")
    elif kind == "link":
        dot_git.symlink_to(away)
    elif kind in ("objects", "pack"):
        moved = dot_git / "objects" if kind == "objects" else dot_git / "objects" / "pack"
        moved.rename(away)
        moved.symlink_to(away)
    elif kind == "loose":
        loose = next(path for path in (dot_git / "objects").rglob("*") if path.is_file() and path.parent.name != "pack")
        loose.rename(away)
        loose.symlink_to(away)
    elif kind == "alternates":
        (dot_git / "objects" / "info").mkdir(exist_ok=True)
        (dot_git / "objects" / "info" / "alternates").write_text(f"{upstream}/objects\n")
    elif kind == "reftable":
        (dot_git / "reftable").mkdir()
    elif kind == "pipe":
        branch = dot_git / "refs/heads" / BRANCH
        branch.unlink()
        os.mkfifo(branch)
    with pytest.raises(WorkspaceError, match=r"\.git") as caught:
        await manager.collect(workspace)
    assert "\n" not in str(caught.value)
    cleanup = await manager.clean(workspace, ticket())
    assert not cleanup.removed
    assert cleanup.reason.startswith(f"kept {workspace.path}")
    assert Path(workspace.path).is_dir()


async def test_broken_objects_are_refused(manager: WorkspaceManager, state: Path) -> None:
    """Objects are checked before the mirror has them: a tree with `.git` in it could take over whoever checks it out."""
    workspace = await prepare(manager)
    blob = git(workspace.path, "hash-object", "-w", "README")
    inner = git_stdin(workspace.path, f"100755 blob {blob}\tevil\n", "mktree")
    tree = git_stdin(workspace.path, f"040000 tree {inner}\t.git\n", "mktree")
    evil = git(workspace.path, "commit-tree", "-p", "HEAD", "-m", "evil", tree)
    git(workspace.path, "update-ref", f"refs/heads/{BRANCH}", evil)
    with pytest.raises(WorkspaceError, match=r"git fetch from the workspace failed: .*hasDotgit") as caught:
        await manager.collect(workspace)
    assert "\n" not in str(caught.value)
    assert git(mirror_of(state), "for-each-ref", "refs/opensymphony") == ""


def git_stdin(directory: str, text: str, *arguments: str) -> str:
    path = Path(directory, ".git", "stdin")
    path.write_text(text)
    quoted = " ".join(arguments)
    return git(directory, "-c", f"alias.run=!git {quoted} < {path}", "run")


async def test_missing_objects_are_told(manager: WorkspaceManager) -> None:
    """A branch that names a commit which is not there is one line, not a hang or a half-taken fetch."""
    workspace = await prepare(manager)
    Path(workspace.path, ".git/refs/heads", BRANCH).write_text("1" * 40 + "\n")
    with pytest.raises(WorkspaceError, match="git fetch from the workspace failed") as caught:
        await manager.collect(workspace)
    assert "\n" not in str(caught.value)


async def test_push_brings_exactly_the_commit(manager: WorkspaceManager, upstream: Path, state: Path) -> None:
    """Not the branch's newer tip; and doing it again is success."""
    workspace = await prepare(manager)
    checked = commit(workspace.path, "a", "1", person=False)
    await manager.collect(workspace)
    commit(workspace.path, "b", "1", person=False)
    await manager.push(workspace, checked)
    await manager.push(workspace, checked)
    assert tip(upstream) == checked
    assert git(mirror_of(state), "rev-parse", f"refs/heads/{BRANCH}") == checked
    author = git(upstream, "log", "-1", "--format=%an <%ae>", BRANCH)
    assert author == "OpenSymphony agent <agent@opensymphony.invalid>"


async def test_push_goes_forward_only(manager: WorkspaceManager, upstream: Path) -> None:
    """A remote that is ahead of us already has the commit; one with other work needs a person; neither is overwritten."""
    workspace = await prepare(manager)
    first = commit(workspace.path, "a", "1", person=False)
    await manager.collect(workspace)
    await manager.push(workspace, first)
    theirs = clone_and_push(upstream, "by-a-person", BRANCH, start=BRANCH)
    await manager.push(workspace, first)
    assert tip(upstream) == theirs
    second = commit(workspace.path, "b", "1", person=False)
    await manager.collect(workspace)
    with pytest.raises(WorkspaceError, match="has commits that the agent's work does not contain: merge") as caught:
        await manager.push(workspace, second)
    assert caught.value.error_class == "person"
    assert "\n" not in str(caught.value)
    assert tip(upstream) == theirs


async def test_push_to_a_repository_with_a_work_tree(
    root: Path, state: Path, nonce: str, tmp_path: Path, upstream: Path
) -> None:
    """A person's own clone can be the remote, unless it has that very branch checked out, which is one line."""
    theirs = tmp_path / "theirs"
    git(tmp_path, "clone", "-q", str(upstream), str(theirs))
    manager = WorkspaceManager(str(root), str(state), policy_for(str(theirs)), nonce)
    workspace = await prepare(manager)
    first = commit(workspace.path, "a", "1", person=False)
    await manager.collect(workspace)
    await manager.push(workspace, first)
    assert git(theirs, "rev-parse", BRANCH) == first
    git(theirs, "checkout", "-q", BRANCH)
    second = commit(workspace.path, "b", "1", person=False)
    await manager.collect(workspace)
    with pytest.raises(WorkspaceError, match=r"is checked out in .*: check out another branch there") as caught:
        await manager.push(workspace, second)
    assert caught.value.error_class == "person"
    assert "\n" not in str(caught.value)
    assert git(theirs, "status", "--porcelain") == ""


async def test_a_remote_that_says_no_is_quoted(manager: WorkspaceManager, upstream: Path) -> None:
    """The remote's own hooks are its owner's rules: they run, and their refusal needs a person."""
    workspace = await prepare(manager)
    done = commit(workspace.path, "a", "1", person=False)
    await manager.collect(workspace)
    hook = upstream / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho error: no pushes on Fridays >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(WorkspaceError, match="no pushes on Fridays") as caught:
        await manager.push(workspace, done)
    assert caught.value.error_class == "person"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", ["main", "--force", "", "0" * 40])
async def test_push_takes_only_commits_it_has(manager: WorkspaceManager, bad: str) -> None:
    """What was never collected, or is no commit's name, is not pushed."""
    workspace = await prepare(manager)
    with pytest.raises(WorkspaceError, match="is not in the mirror"):
        await manager.push(workspace, bad)


async def clean(manager: WorkspaceManager, workspace: Workspace) -> Cleanup:
    return await manager.clean(workspace, ticket())


async def test_clean_keeps_what_was_never_pushed(manager: WorkspaceManager) -> None:
    """Collected is not pushed; after the push the directory goes."""
    workspace = await prepare(manager)
    done = commit(workspace.path, "a", "1", person=False)
    await manager.collect(workspace)
    kept = await clean(manager, workspace)
    assert (kept.removed, Path(workspace.path, "a").exists()) == (False, True)
    assert "1 commits that were never pushed" in kept.reason
    await manager.push(workspace, done)
    assert await clean(manager, workspace) == Cleanup(removed=True)
    assert not Path(workspace.path).exists()


@pytest.mark.parametrize("kind", ["branch", "detached", "stash", "tag", "worktree", "uncommitted", "untracked"])
async def test_clean_keeps_every_kind_of_work(manager: WorkspaceManager, tmp_path: Path, kind: str) -> None:
    """Another branch, a detached head, a stash, a tag, a linked work tree, changed and new files."""
    workspace = await prepare(manager)
    here = Path(workspace.path)
    if kind == "branch":
        git(here, "checkout", "-q", "-b", "other")
        commit(here, "a", "1", person=False)
        git(here, "checkout", "-q", BRANCH)
    elif kind == "detached":
        git(here, "checkout", "-q", "--detach")
        commit(here, "a", "1", person=False)
    elif kind == "stash":
        (here / "README").write_text("later")
        git(here, "stash", "-q", person=False)
    elif kind == "tag":
        git(here, "checkout", "-q", "--detach")
        commit(here, "a", "1", person=False)
        git(here, "tag", "mine")
        git(here, "checkout", "-q", BRANCH)
    elif kind == "worktree":
        git(here, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
        commit(tmp_path / "linked", "a", "1")
    elif kind == "uncommitted":
        (here / "README").write_text("changed")
    else:
        (here / "new").write_text("")
    kept = await clean(manager, workspace)
    assert not kept.removed
    assert ("uncommitted paths" if kind.startswith("un") else "never pushed") in kept.reason
    assert here.is_dir()


async def test_clean_removes_what_was_merged_and_deleted(manager: WorkspaceManager, upstream: Path) -> None:
    """After a squash merge the remote has neither branch nor commits; they were pushed once, and that is remembered."""
    workspace = await prepare(manager)
    done = commit(workspace.path, "a", "1", person=False)
    await manager.collect(workspace)
    await manager.push(workspace, done)
    git(upstream, "branch", "-D", BRANCH)
    await prepare(manager, ticket("ABC-2"))
    assert await clean(manager, workspace) == Cleanup(removed=True)


async def test_clean_removes_what_is_elsewhere(manager: WorkspaceManager, upstream: Path) -> None:
    """Ignored files, our own copies, and commits that a person pushed by hand since we last looked."""
    workspace = await prepare(manager)
    commit(workspace.path, "b", "1", person=False)
    git(workspace.path, "push", "-q", str(upstream), f"{BRANCH}:by-hand")
    Path(workspace.path, "x.log").write_text("ignored")
    await manager.write_manifest(workspace, "run", {"a": 1})
    assert await clean(manager, workspace) == Cleanup(removed=True)


async def test_clean_keeps_when_the_remote_cannot_be_asked(manager: WorkspaceManager, upstream: Path) -> None:
    """Doubt keeps the directory, and the reason says why there is doubt."""
    workspace = await prepare(manager)
    commit(workspace.path, "a", "1", person=False)
    shutil.rmtree(upstream)
    kept = await clean(manager, workspace)
    assert not kept.removed
    assert "does not appear to be a git repository" in kept.reason


async def test_where_nothing_is_pushed_the_mirror_is_enough(
    root: Path, state: Path, nonce: str, upstream: Path
) -> None:
    """With `repository.push: false` collected work has arrived."""
    manager = WorkspaceManager(str(root), str(state), policy_for(str(upstream), push=False), nonce)
    workspace = await prepare(manager)
    done = commit(workspace.path, "a", "1", person=False)
    assert not (await clean(manager, workspace)).removed
    await manager.collect(workspace)
    assert (await clean(manager, workspace)).removed
    assert git((await prepare(manager)).path, "rev-parse", "HEAD") == done


@pytest.mark.parametrize("depth", [[], ["--depth=1"]])
async def test_a_clone_made_by_a_hook_is_looked_at_too(
    plain_manager: WorkspaceManager, upstream: Path, depth: list[str]
) -> None:
    """Without `repository`, what the clone itself knows of its remote tells what would be lost; shallow ones too."""
    clone_and_push(upstream, "second", "main")
    script = f"git clone -q {' '.join(depth)} file://{upstream} ."
    plain_manager.use(policy_for(None, after_create=script))
    workspace = await prepare(plain_manager)
    commit(workspace.path, "a", "1")
    kept = await clean(plain_manager, workspace)
    assert not kept.removed
    assert "1 commits that were never pushed" in kept.reason
    git(workspace.path, "push", "-q", "origin", "HEAD:main")
    assert await clean(plain_manager, workspace) == Cleanup(removed=True)


async def test_everything_outlives_a_restart(
    manager: WorkspaceManager, root: Path, state: Path, nonce: str, upstream: Path
) -> None:
    """A daemon that starts again collects, pushes and cleans what an earlier one prepared, stale locks or not."""
    workspace = await prepare(manager)
    done = commit(workspace.path, "a", "1", person=False)
    await manager.collect(workspace)
    (state / ".look-killed" / "objects").mkdir(parents=True)
    (mirror_of(state) / "packed-refs.lock").touch()
    (mirror_of(state) / "refs/opensymphony/ABC-1.lock").touch()
    commit(workspace.path, "b", "1", person=False)
    restarted = WorkspaceManager(str(root), str(state), policy_for(str(upstream)), nonce)
    work = await restarted.collect(workspace)
    assert work.commits_ahead == 2
    assert work.commit
    await restarted.push(workspace, work.commit)
    assert tip(upstream) == work.commit != done
    assert (await clean(restarted, workspace)).removed
    assert sorted(path.name for path in state.iterdir()) == sorted(["receipts", mirror_of(state).name])


async def test_only_the_checked_commit_is_pushed_and_to_our_address(
    manager: WorkspaceManager, upstream: Path, tmp_path: Path
) -> None:
    """The agent moves its branch between check and push, and rewrites the addresses of its repository."""
    workspace = await prepare(manager)
    here, elsewhere = Path(workspace.path), tmp_path / "elsewhere.git"
    git(tmp_path, "init", "-q", "--bare", str(elsewhere))
    good = commit(here, "a.txt", "good\n", person=False)
    for name in (f"url.{elsewhere}.insteadOf", f"url.{elsewhere}.pushInsteadOf"):
        git(here, "config", name, str(upstream))
    git(here, "config", "remote.origin.url", str(elsewhere))
    assert (await manager.collect(workspace)).commit == good
    commit(here, "b.txt", "bad\n", person=False)
    await manager.push(workspace, good)
    assert tip(upstream) == good, "exactly what was checked, wherever its branch is now"
    assert git(elsewhere, "for-each-ref") == ""
