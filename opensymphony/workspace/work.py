"""What is in a workspace: commits, changed files, and what would be lost with it.

In: the mirror, a workspace's path, what its receipt says. Out: a `Work`, or the reason why a workspace must be kept. All git
here runs in the mirror or in a shadow repository (inspection.py), with an index of our own.
"""

from __future__ import annotations

import os
from functools import partial

import anyio.to_thread

from opensymphony.model import Work
from opensymphony.workspace.git import OUTPUT_BYTES_MAX, Git, plain
from opensymphony.workspace.inspection import AgentRepository, read_repository, shadow
from opensymphony.workspace.manifest import DIRECTORY
from opensymphony.workspace.mirror import Mirror

UNCOMMITTED_MAX = 50
FILES_CHANGED_MAX = 200
SUBJECTS_MAX = 20
_SUBJECT_CHARS_MAX = 200
_AROUND = 4
"""Lines before and after one that is quoted."""
_LINE_CHARS_MAX = 200


async def collect(
    git: Git, mirror: Mirror, state_dir: str, path: str, *, key: str, branch: str, base_commit: str
) -> Work:
    """Fetch the branch into the mirror and describe it; `base_commit` is what it is compared with."""
    repository = await anyio.to_thread.run_sync(read_repository, path)
    if await mirror.commit(base_commit) is None:
        await mirror.refresh()
    commit = repository.references.get(f"refs/heads/{branch}")
    with shadow(state_dir, repository, work=commit) as copy:
        if commit is not None:
            await mirror.adopt(copy, key)
        index = os.path.join(copy, "index")
        # The mirror's objects are checked ones; the shadow is only the place for the index.
        uncommitted = await differences(git, mirror.path, path, commit or base_commit, index)
    if commit is None:
        return Work(commit=None, commits_ahead=0, uncommitted=uncommitted[:UNCOMMITTED_MAX])
    new = ["--end-of-options", commit, f"^{base_commit}"]
    count = await git.run(["rev-list", "--count", *new], git_dir=mirror.path)
    return Work(
        commit=commit,
        commits_ahead=int(count.output),
        uncommitted=uncommitted[:UNCOMMITTED_MAX],
        files_changed=await _files_changed(git, mirror.path, base_commit, commit),
        summary=await _subjects(git, mirror.path, new),
    )


async def quote(git: Git, mirror: Mirror, commit: str, path: str, line: int) -> str:
    """The lines around this one, each with its number; empty when the commit has no such text there."""
    resolved = await mirror.commit(commit) if commit and not commit.startswith("-") else None
    if resolved is None or line < 1:
        return ""
    answer = await git.ask(["cat-file", "blob", f"{resolved}:{path}"], git_dir=mirror.path)
    if answer.exit_code != 0 or "\0" in answer.output or len(answer.output.encode()) >= OUTPUT_BYTES_MAX:
        return ""
    lines = answer.output.removesuffix("\n").split("\n")
    shown = range(max(1, line - _AROUND), min(len(lines), line + _AROUND) + 1)
    if line > len(lines):
        return ""
    marks = {line: ">"}
    return "\n".join(f"{at:>5}{marks.get(at, ' ')} {lines[at - 1].rstrip()[:_LINE_CHARS_MAX]}" for at in shown)


async def differences(git: Git, git_dir: str, work_tree: str, commit: str | None, index: str) -> tuple[str, ...]:
    """Paths in which a work tree differs from a commit; ignored files and our own copies do not count.

    `git_dir` is a repository of ours. Nested repositories are not entered: git would read their configuration.
    """
    run = partial(git.run, git_dir=git_dir, work_tree=work_tree, index=index)
    if commit is not None:
        await run(["read-tree", commit])
        # Exit code 1 says that something needs an update, which is the question, not a failure.
        refresh = ["update-index", "-q", "--refresh", "--ignore-submodules"]
        await git.ask(refresh, git_dir=git_dir, work_tree=work_tree, index=index)
    changed = await run(["diff-files", "--name-only", "-z", "--no-ext-diff", "--ignore-submodules=all"])
    added = await run(["ls-files", "-z", "--others", "--exclude-standard", f"--exclude=/{DIRECTORY}/"])
    ours = f"{DIRECTORY}/"
    return tuple(sorted(name for name in {*changed.paths, *added.paths} if not name.startswith(ours)))


async def keep_reason(
    git: Git, mirror: Mirror | None, state_dir: str, path: str, *, key: str, mirror_is_enough: bool
) -> str:
    """Why a workspace must not be removed; empty when everything in it is elsewhere too.

    `mirror_is_enough`: the policy pushes nothing, so a commit collected into the mirror has arrived. Without a mirror the
    repository, if there is one, was made by a hook, and its own `refs/remotes` say what is on a remote.
    """
    if mirror is None and not await anyio.to_thread.run_sync(os.path.lexists, os.path.join(path, ".git")):
        return ""
    repository = await anyio.to_thread.run_sync(read_repository, path)
    borrow = [os.path.join(mirror.path, "objects")] if mirror else []
    with shadow(state_dir, repository, borrow=borrow) as copy:
        index = os.path.join(copy, "index")
        uncommitted = await differences(git, copy, path, repository.head, index)
        if uncommitted:
            names = ", ".join(plain(name) for name in uncommitted[:3])
            return f"{len(uncommitted)} uncommitted paths ({names}{', ...' if len(uncommitted) > 3 else ''})"
        count = await _unpushed(git, mirror, copy, repository, key if mirror_is_enough else None)
        if count and mirror:
            # Somebody may have pushed or merged it since we looked at the remote last.
            await mirror.refresh()
            count = await _unpushed(git, mirror, copy, repository, key if mirror_is_enough else None)
    return f"{count} commits that were never pushed" if count else ""


async def _unpushed(
    git: Git, mirror: Mirror | None, copy: str, repository: AgentRepository, collected: str | None
) -> int:
    known = repository.published()
    if mirror is not None:
        prefixes = ["refs/heads", "refs/tags", "refs/opensymphony-pushed"]
        if collected is not None:
            prefixes.append(f"refs/opensymphony/{collected}")
        known = await mirror.references(prefixes)
    lines = [*repository.unpublished(), *(f"^{name}" for name in known)]
    answer = await git.run(
        ["rev-list", "--count", "--stdin"], git_dir=copy, stdin="".join(f"{line}\n" for line in lines)
    )
    return int(answer.output)


async def _files_changed(git: Git, git_dir: str, base: str, commit: str) -> tuple[str, ...]:
    merge_base = await git.ask(["merge-base", "--end-of-options", base, commit], git_dir=git_dir)
    since = merge_base.output.strip() if merge_base.exit_code == 0 else base
    options = ["-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv"]
    answer = await git.run(["diff-tree", *options, "--end-of-options", since, commit], git_dir=git_dir)
    return answer.paths[:FILES_CHANGED_MAX]


async def _subjects(git: Git, git_dir: str, new: list[str]) -> str:
    options = [f"--max-count={SUBJECTS_MAX}", "--format=%s", "--no-show-signature", "--no-ext-diff"]
    answer = await git.run(["log", *options, *new], git_dir=git_dir)
    return "\n".join(plain(line)[:_SUBJECT_CHARS_MAX] for line in answer.lines if line.strip())
