"""The daemon's own copy of a repository: agents' clones come from it, their work is checked in it and pushed from it.

In: the repository's address and what to fetch or push. Out: commits, or a `WorkspaceError`. References: `refs/heads/*` and
`refs/tags/*` are the remote's as last seen; `refs/opensymphony/<key>` is a ticket's branch as last collected;
`refs/opensymphony-pushed/<key>` is the last commit pushed for it, kept when the remote deletes the branch after a merge.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import anyio
import anyio.to_thread

from opensymphony.clock import new_id
from opensymphony.errors import ErrorClass, WorkspaceError
from opensymphony.workspace.git import Answer, Git, failure
from opensymphony.workspace.paths import local_path, repository_key, without_credentials

NEW_PREFIX = ".new-"

_OLD_SINS = ("zeroPaddedFilemode", "missingSpaceBeforeDate", "badTimezone", "badDate", "badDateOverflow", "badEmail")
"""Found in the history of many honest repositories, harmless, and accepted by every large host."""

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_COMMAND = re.compile(r"^[A-Za-z0-9+.-]*::")
_WITH_PASSWORD = re.compile(r"^[A-Za-z+.-]+://[^/@]*:[^/@]*@")


class Mirror:
    """One repository's mirror; locked where two tickets could collide."""

    def __init__(self, git: Git, directory: str, url: str) -> None:
        check_address(url)
        self.git = git
        self.url = url
        self.key = repository_key(url)
        self.path = os.path.join(directory, f"{self.key}.git")
        self._lock = anyio.Lock()
        self._opened = False

    async def open(self) -> None:
        """Make an empty mirror if there is none, and free an old one from the locks of a git that was killed."""
        async with self._lock:
            if not self._opened:
                if not await anyio.to_thread.run_sync(os.path.isdir, self.path):
                    await self._create()
                await anyio.to_thread.run_sync(_remove_stale_locks, self.path)
                self._opened = True

    async def refresh(self) -> None:
        """Bring `refs/heads` and `refs/tags` up to the remote, making it on first use."""
        await self.open()
        async with self._lock:
            options = [
                "--quiet",
                "--prune",
                "--no-write-fetch-head",
                "--no-tags",
                *_pack_program("upload-pack", self.url),
            ]
            refspecs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
            answer = await self.git.ask(
                ["fetch", *options, "--", self.url, *refspecs],
                git_dir=self.path,
                url=self.url,
                settings=[f"fetch.fsck.{sin}=warn" for sin in _OLD_SINS],
            )
        if answer.exit_code != 0:
            raise failure(f"fetch of {self.shown}", answer, advice=self._advice)

    async def commit(self, ref: str) -> str | None:
        """The commit that a reference names, if it is there."""
        arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"]
        answer = await self.git.ask(arguments, git_dir=self.path)
        return answer.output.strip() if answer.exit_code == 0 else None

    async def base_commit(self, base: str) -> str:
        """The commit of the base branch; raises when the remote has no such branch."""
        commit = await self.commit(f"refs/heads/{base}")
        if commit is None:
            message = f"{self.shown} has no branch {base!r}: create it there, or set repository.base to one that exists"
            raise WorkspaceError(message, error_class="person")
        return commit

    async def is_ancestor(self, older: str, newer: str) -> bool:
        arguments = ["merge-base", "--is-ancestor", "--end-of-options", older, newer]
        return (await self.git.ask(arguments, git_dir=self.path)).exit_code == 0

    async def adopt(self, repository: str, key: str) -> None:
        """Fetch `refs/heads/work` of a repository of the daemon's own into this ticket's reference, checking its objects."""
        refspec = f"+refs/heads/work:refs/opensymphony/{key}"
        arguments = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", repository, refspec]
        answer = await self.git.ask(arguments, git_dir=self.path)
        if answer.exit_code != 0:
            raise failure("fetch from the workspace", answer)

    async def references(self, prefixes: Sequence[str]) -> tuple[str, ...]:
        """The objects that references below these prefixes point to."""
        arguments = ["for-each-ref", "--format=%(objectname)", *prefixes]
        return (await self.git.run(arguments, git_dir=self.path)).lines

    async def push(self, commit: str, branch: str, key: str, *, may_rewrite: bool = False) -> None:
        """Push exactly this commit; a remote branch that contains it already is success.

        By force only with `may_rewrite`, and only over what was pushed from here last: nobody else's commit is ever lost.
        """
        if not _COMMIT.fullmatch(commit) or await self.commit(commit) is None:
            message = f"commit {commit[:64]!r} is not in the mirror of {self.shown}: collect the work again"
            raise WorkspaceError(message)
        ref = f"refs/heads/{branch}"
        options = ["--quiet", "--porcelain", "--no-verify", *_pack_program("receive-pack", self.url)]
        async with self._lock:
            arguments = ["push", *options, "--", self.url, f"{commit}:{ref}"]
            answer = await self.git.ask(arguments, git_dir=self.path, url=self.url)
            if answer.exit_code == 0:
                await self._remember_push(commit, ref, key)
                return
        if may_rewrite and "[rejected]" in answer.output + answer.errors and await self._rewrite(commit, ref, key):
            return
        await self._explain_rejection(answer, commit, branch, key)

    async def _rewrite(self, commit: str, ref: str, key: str) -> bool:
        """Put the commit in the place of what we pushed last, if that is what the remote has at that very moment."""
        ours = await self.commit(f"refs/opensymphony-pushed/{key}")
        if ours is None:
            return False
        options = ["--quiet", "--porcelain", "--no-verify", *_pack_program("receive-pack", self.url)]
        lease = f"--force-with-lease={ref}:{ours}"
        async with self._lock:
            # Without a plus: that would force whatever the lease says.
            arguments = ["push", *options, lease, "--", self.url, f"{commit}:{ref}"]
            answer = await self.git.ask(arguments, git_dir=self.path, url=self.url)
            if answer.exit_code == 0:
                await self._remember_push(commit, ref, key)
        return answer.exit_code == 0

    async def tidy(self) -> None:
        """Pack what has piled up, if it is much; its failure harms nobody."""
        async with self._lock:
            with suppress(WorkspaceError):
                settings = ["gc.auto=6700", "gc.autoDetach=false"]
                await self.git.ask(["gc", "--auto", "--quiet"], git_dir=self.path, settings=settings)

    @property
    def shown(self) -> str:
        """The address as people may see it."""
        return without_credentials(self.url)

    @property
    def _advice(self) -> str:
        if self.git.signs_in(self.url):
            return "check repository.url, and that the token of code_host is valid and may read and write there"
        return "check repository.url and your access to it"

    async def _remember_push(self, commit: str, ref: str, key: str) -> None:
        lines = f"update {ref} {commit}\nupdate refs/opensymphony-pushed/{key} {commit}\n"
        await self.git.run(["update-ref", "--stdin"], git_dir=self.path, stdin=lines)

    async def _explain_rejection(self, answer: Answer, commit: str, branch: str, key: str) -> None:
        said = answer.output + answer.errors
        ref = f"refs/heads/{branch}"
        if "[rejected]" in said:
            await self.refresh()
            theirs = await self.commit(ref)
            if theirs and await self.is_ancestor(commit, theirs):
                async with self._lock:
                    await self._remember_push(theirs, ref, key)
                return
            message = (
                f"branch {branch} of {self.shown} has commits that the agent's work does not contain: "
                f"merge, rename or delete that branch, then retry"
            )
            raise WorkspaceError(message, error_class="person")
        if "checked out branch" in said or "branch is currently checked out" in said:
            message = (
                f"branch {branch} is checked out in {self.shown}, and git does not push into a checked-out branch: "
                f"check out another branch there, then retry"
            )
            raise WorkspaceError(message, error_class="person")
        error_class: ErrorClass | None = "person" if "[remote rejected]" in said else None
        raise failure(
            f"push of {branch} to {self.shown}",
            answer,
            error_class=error_class,
            advice=self._advice,
        )

    async def _create(self) -> None:
        """Make it beside its place and move it there, so that a mirror that exists is a whole one."""
        parent = os.path.dirname(self.path)
        unfinished = os.path.join(parent, f"{NEW_PREFIX}{new_id()}")
        try:
            os.makedirs(parent, mode=0o700, exist_ok=True)
            await self.git.run(["init", "--quiet", "--bare", "--template=", unfinished])
            os.rename(unfinished, self.path)
        except OSError as error:
            message = f"the mirror {self.path} cannot be made: {error.strerror}; make its directory writable"
            raise WorkspaceError(message, error_class="person") from error
        finally:
            await anyio.to_thread.run_sync(partial(shutil.rmtree, unfinished, ignore_errors=True))


def check_address(url: str) -> None:
    """Refuse an address that git would take for an option or a command, or that carries a password."""
    if not url.strip() or url.startswith("-") or _COMMAND.match(url) or not url.isprintable():
        message = f"repository.url {without_credentials(url)!r} is no address of a repository: write a path or a URL"
        raise WorkspaceError(message, error_class="person")
    if _WITH_PASSWORD.match(url):
        message = (
            f"repository.url {without_credentials(url)} carries a password: take it out, "
            f"and let git find it in ~/.netrc or use SSH"
        )
        raise WorkspaceError(message, error_class="person")


def _pack_program(program: str, url: str) -> list[str]:
    """For a path of the operator's choosing: git's doubts about whose it is are the operator's to have."""
    return [f"--{program}=git -c safe.directory='*' {program}"] if local_path(url) is not None else []


def _remove_stale_locks(path: str) -> None:
    """Remove what a git that was killed left locked; called before this process starts the first git in there."""
    for directory, _, names in os.walk(path):
        for name in names:
            if name.endswith(".lock"):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(directory, name))
