"""The workspaces of one daemon: one directory a ticket, made, looked at, pushed from and removed.

In: tickets and the policy in force. Out: what `interfaces.Workspaces` promises. Every ticket's directory is locked while one of
its steps runs; steps of different tickets meet only in the mirror, which has a lock of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread
import msgspec

from opensymphony.errors import WorkspaceError
from opensymphony.interfaces import WorkspaceRequest
from opensymphony.isolation import NOT_ISOLATED, Isolation
from opensymphony.logs import get_logger
from opensymphony.model import Cleanup, HookResult, Ticket, Verification, Work, Workspace
from opensymphony.workflow.policy import Policy
from opensymphony.workspace import base_bundle, hooks, manifest, paths, removal, work
from opensymphony.workspace.clone import Identity, check_branch, clone, starting_point
from opensymphony.workspace.fingerprint import fingerprint
from opensymphony.workspace.git import Git
from opensymphony.workspace.inspection import LOOK_PREFIX
from opensymphony.workspace.login import ReadLogin
from opensymphony.workspace.mirror import NEW_PREFIX, Mirror
from opensymphony.workspace.paths import repository_key
from opensymphony.workspace.receipts import Receipt, Receipts
from opensymphony.workspace.screening import screen

HOOK_NAMES = ("after_create", "before_run", "after_run", "before_remove")

T = TypeVar("T")

log = get_logger(__name__)


class WorkspaceManager:
    """Implements `interfaces.Workspaces`.

    `root` holds the workspaces; `mirrors_dir`, out of the agents' reach, holds mirrors and receipts; `nonce` marks every
    process started here. The policy may be exchanged at any time and counts from the next step on.
    """

    def __init__(
        self,
        root: str,
        mirrors_dir: str,
        policy: Policy,
        nonce: str,
        *,
        identity: Identity | None = None,
        isolation: Isolation = NOT_ISOLATED,
        scripts_home: str = "",
        read_login: ReadLogin | None = None,
    ) -> None:
        """`isolation` is what hooks and checks run in, with `scripts_home` as their home directory there.

        `read_login` says how git signs in to the repository's host, where that is ours to say.
        """
        self.policy = policy
        self._root_given = root
        self._root: str | None = None
        self._state_dir = os.path.realpath(mirrors_dir)
        self._around = hooks.Around(nonce=nonce, isolation=isolation, home=scripts_home)
        self._identity = identity or Identity()
        self._git = Git(nonce, read_login)
        self._mirrors: dict[str, Mirror] = {}
        self._locks: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    def use(self, policy: Policy) -> None:
        """From now on follow this policy; the root stays what it was."""
        self.policy = policy

    async def prepare(self, request: WorkspaceRequest) -> Workspace:
        key = paths.workspace_key(request.ticket.identifier)
        root = await self._open_root()
        path = paths.child(root, key)
        async with self._lock(key):
            found = await self._find(request, key, path)
            workspace = found or await self._make(request, key, path)
            if self.policy.code_host is not None and self.policy.review.conflicts:
                await self._offer_base(workspace, request.base or self._base())
            return workspace

    async def _offer_base(self, workspace: Workspace, name: str) -> None:
        """Leave what the base has that the workspace's branch has not, for the agent to merge."""
        if workspace.branch is None:
            return
        mirror = await self._mirror_of(workspace)
        await mirror.refresh()
        branch, key = workspace.branch, workspace.key
        bundle = await base_bundle.make_bundle(self._git, mirror, self._state_dir, key=key, branch=branch, base=name)
        await _in_thread(partial(manifest.leave_file, workspace.path, base_bundle.FILE, bundle))

    async def run_hook(self, workspace: Workspace, name: str, ticket: Ticket) -> HookResult:
        if name not in HOOK_NAMES:
            raise WorkspaceError(f"there is no hook {name!r}: {', '.join(HOOK_NAMES)}", error_class="final")
        async with self._lock(workspace.key):
            await self._check(workspace)
            return await self._hook(workspace, name, ticket)

    async def collect(self, workspace: Workspace) -> Work:
        async with self._lock(workspace.key):
            path = await self._check(workspace)
            if workspace.branch is None:
                return Work(commit=None, commits_ahead=0)
            mirror = await self._mirror_of(workspace)
            since = await mirror.commit(f"refs/heads/{self._base()}") or workspace.base_commit
            since = since or await mirror.base_commit(self._base())
            key, branch = workspace.key, workspace.branch
            found = await work.collect(
                self._git, mirror, self._state_dir, path, key=key, branch=branch, base_commit=since
            )
            policy = self.policy.repository
            if policy is None or found.commit is None or not found.commits_ahead:
                return found
            objections = await screen(self._git, mirror, since, found.commit, policy)
            # It is shown to people; the subject of a commit may be where the secret is.
            summary = "" if any(one.kind == "secret" for one in objections) else found.summary
            return msgspec.structs.replace(found, objections=objections, summary=summary)

    async def verify(self, workspace: Workspace, command: str, timeout_ms: int, ticket: Ticket) -> Verification:
        async with self._lock(workspace.key):
            await self._check(workspace)
            return await hooks.run_verification(command, workspace, ticket, timeout_ms=timeout_ms, around=self._around)

    async def push(self, workspace: Workspace, commit: str) -> None:
        if workspace.branch is None:
            message = f"workspace {workspace.key} has no repository to push to: set repository.url"
            raise WorkspaceError(message, error_class="final")
        async with self._lock(workspace.key):
            mirror = await self._mirror_of(workspace)
            rewrite = self.policy.code_host is not None and self.policy.review.update_by == "rebase"
            await mirror.push(commit, workspace.branch, workspace.key, may_rewrite=rewrite)

    async def offer_base(self, workspace: Workspace) -> None:
        async with self._lock(workspace.key):
            await self._check(workspace)
            await self._offer_base(workspace, self._base())

    async def quote(self, workspace: Workspace, commit: str, path: str, line: int) -> str:
        mirror = await self._mirror_of(workspace)
        return await work.quote(self._git, mirror, commit, path, line)

    async def fingerprint(self, workspace: Workspace) -> str:
        async with self._lock(workspace.key):
            try:
                path = await self._check(workspace)
            except WorkspaceError:
                return ""
            return await fingerprint(self._git, self._state_dir, path)

    async def clean(self, workspace: Workspace, ticket: Ticket) -> Cleanup:
        async with self._lock(workspace.key):
            try:
                return await self._clean(workspace, ticket)
            except WorkspaceError as error:
                return Cleanup(removed=False, reason=f"kept {workspace.path}: {error}")

    async def write_manifest(self, workspace: Workspace, name: str, content: Mapping[str, object]) -> None:
        path = await self._check(workspace)
        await _in_thread(partial(manifest.write_manifest, path, name, content))

    async def _find(self, request: WorkspaceRequest, key: str, path: str) -> Workspace | None:
        """The workspace made before; what else stands in its place is removed if it is ours, or set aside."""
        if not await _in_thread(partial(paths.check_directory, path)):
            return None
        receipt = await self._receipt(key)
        root = os.path.dirname(path)
        ticket = request.ticket
        if receipt is None or receipt.path != path:
            # Somebody else's: an empty directory is taken, anything more may be a person's work.
            self._tell_aside(await _in_thread(partial(_take_away, root, key)), ticket, "it is not known to be ours")
            return None
        if not receipt.belongs_to(ticket):
            message = (
                f"workspace {path} belongs to ticket {receipt.identifier} ({receipt.ticket_id}), "
                f"and {ticket.identifier} ({ticket.id}) needs the same name: rename one of them"
            )
            raise WorkspaceError(message, error_class="final")
        if receipt.state != "ready":
            await _in_thread(partial(removal.remove, root, key))
            return None
        repository = repository_key(request.repository_url) if request.repository_url else None
        if receipt.repository != repository or (repository and not await _in_thread(partial(_has_repository, path))):
            aside = await _in_thread(partial(removal.set_aside, root, key))
            self._tell_aside(aside, ticket, "it is no clone of the repository that repository.url names now")
            return None
        return Workspace(key=key, path=path, created=False, branch=receipt.branch, base_commit=receipt.base_commit)

    async def _make(self, request: WorkspaceRequest, key: str, path: str) -> Workspace:
        """Make the directory; a receipt before says that it is unfinished, a receipt after that it is not."""
        mirror, branch, base_commit, start = await self._plan(request, key)
        ticket = request.ticket
        receipt = Receipt(
            state="creating",
            ticket_id=ticket.id,
            identifier=ticket.identifier,
            path=path,
            repository=mirror.key if mirror else None,
            branch=branch,
            base_commit=base_commit,
        )
        receipts = self._receipts(path)
        await _in_thread(partial(receipts.write, key, receipt))
        workspace = Workspace(key=key, path=path, created=True, branch=branch, base_commit=base_commit)
        await _in_thread(partial(_make_directory, path))
        try:
            if mirror and branch and start:
                author = self.policy.repository.author if self.policy.repository is not None else None
                await clone(self._git, mirror, path, branch, start, Identity.of(author) if author else self._identity)
            await self._after_create(workspace, ticket)
        except WorkspaceError:
            with suppress(WorkspaceError):
                await _in_thread(partial(removal.remove, os.path.dirname(path), key))
            raise
        await _in_thread(partial(receipts.write, key, msgspec.structs.replace(receipt, state="ready")))
        return workspace

    async def _plan(
        self, request: WorkspaceRequest, key: str
    ) -> tuple[Mirror | None, str | None, str | None, str | None]:
        """Mirror, branch, base commit and starting point of a new clone; all None without a repository."""
        if request.repository_url is None:
            return None, None, None, None
        wanted = request.base or self._base()
        branch = request.branch or f"opensymphony/{key}"
        await check_branch(self._git, branch, wanted)
        mirror = self._mirror(request.repository_url)
        await mirror.refresh()
        base_commit = await mirror.base_commit(wanted)
        return mirror, branch, base_commit, await starting_point(mirror, key, branch, base_commit)

    async def _after_create(self, workspace: Workspace, ticket: Ticket) -> None:
        await _in_thread(partial(_exclude, workspace.path))
        result = await self._hook(workspace, "after_create", ticket)
        if result.status in ("failed", "timed_out"):
            described = hooks.describe(result, self.policy.hooks.timeout_ms)
            raise WorkspaceError(f"{described}; the workspace is made anew with the next attempt")
        if result.status == "succeeded":
            # The hook may have cloned a repository of its own, or replaced the directory.
            if not await _in_thread(partial(paths.check_directory, workspace.path)):
                raise WorkspaceError(f"hook after_create removed {workspace.path}: let it stay where it is run")
            await _in_thread(partial(_exclude, workspace.path))

    async def _hook(self, workspace: Workspace, name: str, ticket: Ticket) -> HookResult:
        policy = self.policy.hooks
        script: str | None = getattr(policy, name)
        return await hooks.run_hook(name, script, workspace, ticket, timeout_ms=policy.timeout_ms, around=self._around)

    async def _clean(self, workspace: Workspace, ticket: Ticket) -> Cleanup:
        root = await self._open_root()
        path = paths.child(root, workspace.key)
        if path != workspace.path:
            return Cleanup(removed=False, reason=f"kept {workspace.path}: it is not below the workspace root {root}")
        receipts = self._receipts(path)
        receipt = await self._receipt(workspace.key)
        if not await _in_thread(partial(paths.check_directory, path)):
            if receipt and receipt.belongs_to(ticket):
                await _in_thread(partial(receipts.remove, workspace.key))
            return Cleanup(removed=True, reason="it was gone already")
        if receipt is None or not receipt.belongs_to(ticket):
            owner = f"ticket {receipt.identifier}" if receipt else "nobody we know of"
            return Cleanup(removed=False, reason=f"kept {path}: it belongs to {owner}, not to {ticket.identifier}")
        note = ""
        if receipt.state == "ready":
            result = await self._hook(workspace, "before_remove", ticket)
            if result.status in ("failed", "timed_out"):
                note = f"{hooks.describe(result, self.policy.hooks.timeout_ms)}, which was ignored"
            if await _in_thread(partial(paths.check_directory, path)):
                reason = await self._reason_to_keep(workspace, receipt, path)
                if reason:
                    kept = f"kept {path}: it holds {reason}; push or remove it by hand"
                    return Cleanup(removed=False, reason="; ".join(filter(None, (kept, note))))
        left = await _in_thread(partial(removal.remove, root, workspace.key))
        await _in_thread(partial(receipts.remove, workspace.key))
        if receipt.repository:
            with suppress(WorkspaceError):
                await (await self._mirror_of(workspace)).tidy()
        return Cleanup(removed=True, reason="; ".join(filter(None, (note, left))))

    async def _reason_to_keep(self, workspace: Workspace, receipt: Receipt, path: str) -> str:
        mirror = await self._mirror_of(workspace) if receipt.repository else None
        repository = self.policy.repository
        return await work.keep_reason(
            self._git,
            mirror,
            self._state_dir,
            path,
            key=workspace.key,
            mirror_is_enough=repository is not None and not repository.push,
        )

    def _tell_aside(self, aside: str | None, ticket: Ticket, why: str) -> None:
        if aside is not None:
            log.warning("a directory was set aside", issue_identifier=ticket.identifier, directory=aside, why=why)

    async def _open_root(self) -> str:
        if self._root is None:
            root = await _in_thread(partial(paths.open_root, self._root_given))
            await _in_thread(partial(_open_state_dir, self._state_dir))
            await _in_thread(partial(removal.sweep, root))
            self._root = root
        return self._root

    async def _check(self, workspace: Workspace) -> str:
        """The workspace's path, if it still is a directory of ours directly below the root."""
        root = await self._open_root()
        path = paths.child(root, workspace.key)
        if path != workspace.path:
            message = f"workspace {workspace.path} is not below the workspace root {root}: was workspace.root changed?"
            raise WorkspaceError(message, error_class="person")
        if not await _in_thread(partial(paths.check_directory, path)):
            raise WorkspaceError(f"workspace {path} is gone: it is made anew with the next attempt")
        return path

    async def _receipt(self, key: str) -> Receipt | None:
        return await _in_thread(partial(self._receipts(paths.child(await self._open_root(), key)).read, key))

    def _receipts(self, path: str) -> Receipts:
        return Receipts(self._state_dir, os.path.dirname(path))

    async def _mirror_of(self, workspace: Workspace) -> Mirror:
        """The mirror of the policy's repository, which has to be the one that this workspace was cloned from."""
        policy = self.policy.repository
        receipt = await self._receipt(workspace.key)
        if policy is None or (receipt is not None and receipt.repository != repository_key(policy.url)):
            message = f"workspace {workspace.path} was cloned from another repository than repository.url names now"
            raise WorkspaceError(f"{message}: set it back, or remove the workspace", error_class="person")
        mirror = self._mirror(policy.url)
        await mirror.open()
        return mirror

    def _mirror(self, url: str) -> Mirror:
        mirror = self._mirrors.get(url)
        if mirror is None:
            mirror = self._mirrors[url] = Mirror(self._git, self._state_dir, url)
        return mirror

    def _base(self) -> str:
        return self.policy.repository.base if self.policy.repository else "main"

    def _lock(self, key: str) -> anyio.Lock:
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = anyio.Lock()
        return lock


async def _in_thread(call: Callable[[], T]) -> T:
    """Files may be on a slow disk: never look at them on the loop."""
    return await anyio.to_thread.run_sync(call)


def _make_directory(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except OSError as error:
        raise WorkspaceError(f"workspace {path} cannot be made: {error.strerror}", error_class="person") from error


def _open_state_dir(path: str) -> None:
    """Make it, and remove what a daemon that was killed had begun in it."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        for name in os.listdir(path):
            if name.startswith((LOOK_PREFIX, NEW_PREFIX)):
                shutil.rmtree(os.path.join(path, name), ignore_errors=True)
    except OSError as error:
        message = f"the directory for mirrors {path} cannot be made: {error.strerror}; make its parent writable"
        raise WorkspaceError(message, error_class="person") from error


def _take_away(root: str, key: str) -> str | None:
    """Remove an empty directory, set any other aside and say where it is."""
    try:
        os.rmdir(os.path.join(root, key))
    except OSError:
        return removal.set_aside(root, key)
    return None


def _has_repository(path: str) -> bool:
    return os.path.isdir(git := os.path.join(path, ".git")) and not os.path.islink(git)


def _exclude(path: str) -> None:
    try:
        manifest.exclude_from_git(path)
    except OSError as error:
        message = f"{path}/.git/info/exclude cannot be written: {error.strerror}"
        raise WorkspaceError(message) from error
