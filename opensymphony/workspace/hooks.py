"""Shell of the repository's owners, run in a workspace: hooks and the verification command.

In: a script, a workspace, a ticket. Out: how it ended and the end of its output. The environment has paths and locale and three
variables about the ticket; when the script is over, so is everything that it started.
"""

from __future__ import annotations

import os

from msgspec import Struct

from opensymphony import processes
from opensymphony.isolation import NOT_ISOLATED, Isolation, View
from opensymphony.model import HookResult, Ticket, Verification, Workspace
from opensymphony.processes import Completed

OUTPUT_BYTES_MAX = 16 * 1024
"""Enough for the end of a test run; it travels through the journal and into the agent's next message."""


class Around(Struct, frozen=True, kw_only=True):
    """What scripts run in."""

    nonce: str
    isolation: Isolation = NOT_ISOLATED
    home: str = ""
    """Their own home directory where they are isolated; it stays from one script to the next."""


async def run_hook(
    name: str, script: str | None, workspace: Workspace, ticket: Ticket, *, timeout_ms: int, around: Around
) -> HookResult:
    """Run one hook; a missing or blank script is `absent`."""
    if script is None or not script.strip():
        return HookResult(name=name, status="absent")
    completed = await _shell(script, workspace, ticket, timeout_ms, around)
    return HookResult(
        name=name,
        status="timed_out" if completed.timed_out else "succeeded" if completed.exit_code == 0 else "failed",
        exit_code=completed.exit_code,
        output_tail=completed.output,
        duration_ms=completed.duration_ms,
    )


async def run_verification(
    command: str, workspace: Workspace, ticket: Ticket, *, timeout_ms: int, around: Around
) -> Verification:
    """Run the policy's check; only exit code 0 within the time limit passes."""
    completed = await _shell(command, workspace, ticket, timeout_ms, around)
    return Verification(
        passed=completed.exit_code == 0 and not completed.timed_out,
        exit_code=None if completed.timed_out else completed.exit_code,
        output_tail=completed.output,
        duration_ms=completed.duration_ms,
    )


def describe(result: HookResult, timeout_ms: int) -> str:
    """One line for a person: what became of a hook, and the last line it printed."""
    if result.status == "timed_out":
        ended = f"took longer than {timeout_ms} ms and was ended (hooks.timeout_ms)"
    elif result.status == "failed":
        ended = f"failed with exit code {result.exit_code}"
    else:
        return f"hook {result.name}: {result.status}"
    lines = [line.strip() for line in result.output_tail.splitlines() if line.strip()]
    last = "".join(character for character in lines[-1] if character.isprintable())[:200] if lines else ""
    return f"hook {result.name} {ended}" + (f": {last}" if last else "")


async def _shell(script: str, workspace: Workspace, ticket: Ticket, timeout_ms: int, around: Around) -> Completed:
    variables = {
        "OPENSYMPHONY_ISSUE": ticket.id,
        "OPENSYMPHONY_IDENTIFIER": ticket.identifier,
        "OPENSYMPHONY_WORKSPACE": workspace.path,
    }
    isolation, home = around.isolation, around.home
    temporary = isolation.temporary_directory(home)
    if temporary is not None:
        os.makedirs(home, mode=0o700, exist_ok=True)
        if temporary.startswith(home):
            os.makedirs(temporary, mode=0o700, exist_ok=True)
        variables |= {"HOME": home, "TMPDIR": temporary}
    argv = isolation.wrap(["sh", "-c", script], View(writable=(workspace.path, home) if home else (workspace.path,)))
    env = processes.scrubbed_environment(around.nonce, variables)
    return await processes.run(
        argv, cwd=workspace.path, env=env, timeout_ms=timeout_ms, output_bytes_max=OUTPUT_BYTES_MAX
    )
