"""Follows WORKFLOW.md: a good edit applies to what is decided next, a bad one keeps the last good policy and is shown.

The file is looked at by name, twice a second, so that atomic saves and swapped links are seen. An edit counts once two looks in
a row have seen the same: half of a file may well be a good policy, and not the one that was meant.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import anyio.to_thread

from opensymphony.clock import Clock
from opensymphony.daemon.loop import Post
from opensymphony.errors import ConfigurationError, Problem
from opensymphony.logs import get_logger
from opensymphony.model import encodable
from opensymphony.scheduler import events as e
from opensymphony.workflow.parse import FILE_BYTES_MAX
from opensymphony.workflow.policy import Policy

_LOOK_S = 0.5
_FIXED = (
    "tracker.kind",
    "tracker.provider",
    "workspace.root",
    "repository",
    "code_host",
    "isolation",
    "server",
    "openhands.transport",
    "openhands.local_server",
)
"""Keys and sections whose change needs a restart: what they name is already open, or was read already."""

ReadPolicy = Callable[[], tuple[Policy | None, Sequence[Problem]]]

log = get_logger(__name__)


class Reload:
    """Reads the policy again when its file has changed."""

    def __init__(
        self, path: Path, read: ReadPolicy, current: Policy, apply: Callable[[Policy], None], post: Post, clock: Clock
    ) -> None:
        """`apply` is told a new policy before the scheduler is."""
        self._path = path
        self._read = read
        self._current = current
        self._apply = apply
        self._post = post
        self._clock = clock
        self._taken = self._seen = ""
        self.error_since_ms: int | None = None
        """Since when the file has not been in force as it stands."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await anyio.sleep(_LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Look once; each edit is told once."""
        before, self._seen = self._seen, await anyio.to_thread.run_sync(_look, self._path)
        if self._seen == self._taken or self._seen != before:
            return  # nothing new, or not at rest yet
        policy, problems = await anyio.to_thread.run_sync(self._read_all)
        if await anyio.to_thread.run_sync(_look, self._path) != self._seen:
            return  # what was read may be neither the one nor the other
        self._taken = self._seen
        errors = [_with_code(problem) for problem in problems if problem.severity == "error"]
        if policy is not None and not errors:
            fixed = _needs_restart(self._current, policy)
            errors = [f"{', '.join(fixed)} changed: restart the daemon for that"] if fixed else []
        if policy is None or errors:
            await self._refuse("; ".join(errors) or "the file cannot be read")
            return
        if policy == self._current and self.error_since_ms is None:
            return
        log.info("WORKFLOW.md in force")
        self.error_since_ms = None
        self._current = policy
        self._apply(policy)
        await self._post(e.PolicyLoaded(at_ms=self._clock.now_ms(), policy=policy))

    def _read_all(self) -> tuple[Policy | None, Sequence[Problem]]:
        try:
            return self._read()
        except ConfigurationError as error:
            return None, error.problems
        except Exception as error:
            # A defect of ours: what runs must not be taken down by an edit.
            log.exception("WORKFLOW.md could not be read")
            said = " ".join(str(error).split()) or type(error).__name__
            return None, (Problem(file=self._path.name, message=f"{said} (a defect)"),)

    async def _refuse(self, error: str) -> None:
        log.warning("WORKFLOW.md not in force", error=error)
        at_ms = self._clock.now_ms()
        self.error_since_ms = self.error_since_ms or at_ms
        await self._post(e.PolicyRejected(at_ms=at_ms, error=encodable(error)))


def _with_code(problem: Problem) -> str:
    """As the commands write it, so that the same mistake has the same name wherever it is found."""
    return f"{problem} [{problem.code}]" if problem.code else str(problem)


def _look(path: Path) -> str:
    """What stands there: the hash of the content, or why there is none. Reads no more than a policy may have."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not hold us up
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return "not a file"
            with open(descriptor, "rb", closefd=False) as file:
                return hashlib.sha256(file.read(FILE_BYTES_MAX + 1)).hexdigest()
        finally:
            os.close(descriptor)
    except OSError as error:
        return error.strerror or "no file"


def _needs_restart(old: Policy, new: Policy) -> list[str]:
    return [name for name, before, after in zip(_FIXED, _fixed(old), _fixed(new), strict=True) if before != after]


def _fixed(policy: Policy) -> tuple[object, ...]:
    return (
        policy.tracker.kind,
        policy.tracker.provider,
        policy.workspace.root,
        policy.repository,
        policy.code_host,
        policy.isolation,
        policy.server,
        policy.openhands.transport,
        policy.openhands.local_server,
    )
