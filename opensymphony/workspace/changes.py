"""What an agent has changed in its workspace, as a diff.

Git runs in a repository of ours that borrows the agent's objects (`inspection.py`): nothing of the agent's configuration, hooks
or attribute drivers is read.
"""

from __future__ import annotations

import os
import tempfile

import anyio.to_thread

from opensymphony.clock import new_id
from opensymphony.views import Changes
from opensymphony.workspace.git import Git, failure
from opensymphony.workspace.inspection import read_repository, shadow
from opensymphony.workspace.manifest import DIRECTORY
from opensymphony.workspace.work import differences

BYTES_MAX = 1_000_000
_REMOTE = "refs/remotes/"
_BIG_FILE = "core.bigFileThreshold=8m"
"""What is bigger is told to differ, and not compared line by line."""


async def changes(workspace: str, base: str | None) -> Changes:
    """Everything since the work left the base branch, committed or not; files that git does not know yet by name.

    Raises `WorkspaceError`.
    """
    repository = await anyio.to_thread.run_sync(read_repository, workspace)
    git = Git(new_id())
    with tempfile.TemporaryDirectory(prefix="opensymphony-changes-") as parent, shadow(parent, repository) as copy:
        start = repository.head
        published = _base(repository.references, base)
        if published and start:
            answer = await git.ask(["merge-base", published, start], git_dir=copy)
            start = answer.output.strip() or start if answer.exit_code == 0 else start
        if start is None:
            return Changes(diff="")
        index = os.path.join(copy, "index")
        names = await differences(git, copy, workspace, repository.head, index)
        shape = ["--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=all", "-M"]
        told = await git.ask(
            ["diff-index", "-p", *shape, start, "--", ".", f":(exclude){DIRECTORY}"],
            git_dir=copy,
            work_tree=workspace,
            index=index,
            settings=[_BIG_FILE],
            keep="start",
        )
        if told.exit_code != 0:
            raise failure("diff-index", told)
        added = await git.run(
            ["ls-files", "-z", "--others", "--exclude-standard"], git_dir=copy, work_tree=workspace, index=index
        )
    known = set(names)
    new = [f"new file: {name}" for name in added.paths if name in known]
    return _bounded("\n".join([*new, told.output.rstrip("\n")]).strip("\n"))


def _bounded(diff: str) -> Changes:
    """What can be sent, up to the last whole line within the limit: half a secret would not be known as one."""
    encoded = diff.encode(errors="replace")
    if len(encoded) <= BYTES_MAX:
        return Changes(diff=encoded.decode())
    head = encoded[:BYTES_MAX]
    return Changes(diff=head[: head.rfind(b"\n") + 1].decode(errors="replace"), truncated=True)


def _base(references: dict[str, str], base: str | None) -> str | None:
    if base is not None:
        return references.get(f"{_REMOTE}origin/{base}")
    found = references.get(f"{_REMOTE}origin/HEAD")
    remote = sorted(name for name in references if name.startswith(_REMOTE))
    return found or (references[remote[0]] if len(remote) == 1 else None)
