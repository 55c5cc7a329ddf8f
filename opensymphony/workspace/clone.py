"""Make a new workspace's repository from the mirror.

In: an empty directory, the mirror, a branch. Out: a repository on that branch, with objects of its own, no remote and no
credentials. The agent has not been in the directory yet, so git may run in it, with our configuration only.
"""

from __future__ import annotations

import os

from msgspec import Struct

from opensymphony.errors import WorkspaceError
from opensymphony.workspace.git import Git
from opensymphony.workspace.mirror import Mirror


class Identity(Struct, frozen=True, kw_only=True):
    """Who an agent's commits are by."""

    name: str = "OpenSymphony agent"
    email: str = "agent@opensymphony.invalid"

    @classmethod
    def of(cls, author: str) -> Identity:
        """From `Name <email>`."""
        name, _, email = author.rpartition("<")
        return cls(name=name.strip(), email=email.strip().removesuffix(">"))


async def check_branch(git: Git, branch: str, base: str) -> None:
    """Refuse a branch that git cannot name, or that is the base itself."""
    answer = await git.ask(["check-ref-format", f"refs/heads/{branch}"])
    if answer.exit_code != 0 or branch.startswith("-"):
        message = (
            f"repository.branch renders to {branch!r}, which git does not accept as a branch name: change the template"
        )
        raise WorkspaceError(message, error_class="person")
    if branch == base:
        message = (
            f"repository.branch renders to {branch!r}, the base branch itself: give each ticket a branch of its own"
        )
        raise WorkspaceError(message, error_class="person")


async def starting_point(mirror: Mirror, key: str, branch: str, base_commit: str) -> str:
    """Where work begins: the ticket's branch on the remote or as collected before, whichever is ahead; else the base.

    If the two have gone different ways the remote's counts, since nothing else can be pushed on top of it.
    """
    remote = await mirror.commit(f"refs/heads/{branch}")
    collected = await mirror.commit(f"refs/opensymphony/{key}")
    if collected is None or remote is None:
        return remote or collected or base_commit
    return collected if await mirror.is_ancestor(remote, collected) else remote


async def clone(git: Git, mirror: Mirror, path: str, branch: str, start: str, identity: Identity) -> None:
    """Fill an empty directory: the remote's branches as `origin/*`, its tags, and `branch` checked out at `start`."""
    git_dir = os.path.join(path, ".git")
    # Through the transport and not by copying files: only what the remote's branches and this start need comes along,
    # nothing of other tickets, and neither hard links nor alternates tie the copy to the mirror.
    await git.run(["init", "--quiet", "--template=", f"--initial-branch={branch}", "--", path])
    refspecs = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*", f"{start}:refs/heads/{branch}"]
    settings = ["uploadpack.allowAnySHA1InWant=true"]
    program = f"--upload-pack=git -c {settings[0]} upload-pack"
    options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--update-head-ok", program]
    await git.run(["fetch", *options, "--", mirror.path, *refspecs], git_dir=git_dir)
    for name, value in (("user.name", identity.name), ("user.email", identity.email)):
        await git.run(["config", "--local", name, value], git_dir=git_dir)
    await git.run(["reset", "--quiet", "--hard"], git_dir=git_dir, work_tree=path)
