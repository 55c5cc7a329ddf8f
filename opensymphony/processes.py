"""Run child processes so that nothing they started outlives them.

Every child of the daemon carries `OPENSYMPHONY_NONCE` in its environment. A process group ends the ordinary case; tmux servers
and `setsid` children leave the group, but keep the environment, and are found by the nonce (Linux: /proc/<pid>/environ).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

NONCE_VARIABLE = "OPENSYMPHONY_NONCE"


class Completed(Struct, frozen=True, kw_only=True):
    """How a child process ended."""

    exit_code: int | None
    """None when it was ended for taking too long; negative: the signal that ended it."""
    output: str
    """Standard output and error together; the last `output_bytes_max` bytes."""
    timed_out: bool
    duration_ms: int


def scrubbed_environment(nonce: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a hook, git or an agent may see of our environment: paths, locale and terminal, never a credential."""
    raise NotImplementedError


async def run(
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    timeout_ms: int,
    output_bytes_max: int = 65_536,
    input_bytes: bytes | None = None,
) -> Completed:
    """Run to the end, or to the time limit; then end everything it started, also when we are cancelled."""
    raise NotImplementedError


async def end_all(nonce: str, *, grace_ms: int = 2_000, spare: Sequence[int] = ()) -> int:
    """End every process that carries this nonce, whoever its parent is now, and confirm it. Returns how many there were."""
    raise NotImplementedError
