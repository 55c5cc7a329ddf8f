"""What an agent has changed in its workspace, as a diff.

Git runs in a repository of ours that borrows the agent's objects (`workspace/inspection.py`): nothing of the agent's
configuration, hooks or attribute drivers is read.
"""

from __future__ import annotations

import os
import tempfile

from opensymphony.clock import new_id
from opensymphony.workspace.git import Git
from opensymphony.workspace.inspection import read_repository, shadow
from opensymphony.workspace.manifest import DIRECTORY
from opensymphony.workspace.work import differences

_REMOTE = "refs/remotes/"


async def changes(workspace: str, base: str | None) -> str:
    """Everything since the work left the base branch, committed or not; new files by name. Raises `WorkspaceError`."""
    repository = read_repository(workspace)
    git = Git(new_id())
    with tempfile.TemporaryDirectory(prefix="opensymphony-debug-") as parent, shadow(parent, repository) as copy:
        start = repository.head
        published = _base(repository.references, base)
        if published and start:
            answer = await git.ask(["merge-base", published, start], git_dir=copy)
            start = answer.output.strip() or start if answer.exit_code == 0 else start
        if start is None:
            return ""
        index = os.path.join(copy, "index")
        names = await differences(git, copy, workspace, start, index)
        shape = ["--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=all", "-M"]
        told = await git.run(
            ["diff-files", "-p", *shape, "--", ".", f":(exclude){DIRECTORY}"],
            git_dir=copy,
            work_tree=workspace,
            index=index,
        )
        added = await git.run(
            ["ls-files", "-z", "--others", "--exclude-standard"], git_dir=copy, work_tree=workspace, index=index
        )
    new = [f"new file: {name}" for name in added.paths if name in names]
    return "\n".join([*new, told.output.rstrip("\n")]).strip("\n")


def _base(references: dict[str, str], base: str | None) -> str | None:
    if base is not None:
        return references.get(f"{_REMOTE}origin/{base}")
    found = references.get(f"{_REMOTE}origin/HEAD")
    remote = sorted(name for name in references if name.startswith(_REMOTE))
    return found or (references[remote[0]] if len(remote) == 1 else None)
