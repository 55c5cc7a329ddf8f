"""Follows WORKFLOW.md: a good edit applies to what is decided next, a bad one keeps the last good policy and is shown.

The file is looked at once a second by name, so that atomic saves and swapped links are seen; only changed content is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import anyio.to_thread

from opensymphony.clock import Clock
from opensymphony.daemon.loop import Post
from opensymphony.errors import Problem
from opensymphony.logs import get_logger
from opensymphony.scheduler import events as e
from opensymphony.workflow.policy import Policy

_LOOK_S = 1.0
_FIXED = ("tracker.kind", "tracker.provider", "workspace.root", "repository")
"""Sections whose change needs a restart: what they name is already open."""

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
        self._seen = _digest(path)
        self._away = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await anyio.sleep(_LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Look once; each edit is told once."""
        seen = await anyio.to_thread.run_sync(_digest, self._path)
        away, self._away = self._away, not seen
        if seen == self._seen or (not seen and not away):
            return
        self._seen = seen
        policy, problems = await anyio.to_thread.run_sync(self._read)
        errors = [str(problem) for problem in problems if problem.severity == "error"]
        if policy is not None and not errors:
            fixed = _needs_restart(self._current, policy)
            errors = [f"{', '.join(fixed)} changed: restart the daemon for that"] if fixed else []
        if policy is None or errors:
            error = "; ".join(errors) or "the file cannot be read"
            log.warning("WORKFLOW.md not in force", error=error)
            await self._post(e.PolicyRejected(at_ms=self._clock.now_ms(), error=error))
            return
        log.info("WORKFLOW.md in force")
        self._current = policy
        self._apply(policy)
        await self._post(e.PolicyLoaded(at_ms=self._clock.now_ms(), policy=policy))


def _digest(path: Path) -> str:
    """Of the content; empty while the file is away, as it is for a moment during some saves."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _needs_restart(old: Policy, new: Policy) -> list[str]:
    pairs = (
        (old.tracker.kind, new.tracker.kind),
        (old.tracker.provider, new.tracker.provider),
        (old.workspace.root, new.workspace.root),
        (old.repository, new.repository),
    )
    return [name for name, (before, after) in zip(_FIXED, pairs, strict=True) if before != after]
