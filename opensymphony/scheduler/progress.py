"""Whether a run gets anywhere: the limits on what it may do without a change of a file, its plan or the failing tests.

The agent's events show most changes; those that only a command made show in the workspace's fingerprint, which is taken
half-way to a limit and compared at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opensymphony.failing_tests import named_failures, without_numbers
from opensymphony.model import TurnProgress, Verification
from opensymphony.workflow.policy import AgentPolicy

if TYPE_CHECKING:
    from opensymphony.scheduler.state import Run


def failing_tests(verification: Verification) -> frozenset[str]:
    """What failed, as far as the output names it; without names, what it said. Empty when nothing did."""
    if verification.passed:
        return frozenset()
    return named_failures(verification.output_tail) or frozenset({without_numbers(verification.output_tail)})


def without_progress(run: Run, progress: TurnProgress | None = None) -> tuple[int, int]:
    """Actions and tokens of the run since its last progress; `progress` is a report that the state does not hold yet."""
    if progress is None:
        return run.actions - run.progress_actions, run.usage_now.total_tokens - run.progress_tokens
    if progress.changes != run.changes:
        return 0, 0
    tokens = (progress.usage or run.usage_now).total_tokens
    return progress.actions - run.progress_actions, tokens - run.progress_tokens


def share_used(actions: int, tokens: int, agent: AgentPolicy) -> float:
    """How far the nearer of the two limits is used: 1.0 is at it; 0.0 when both are off."""
    used = 0.0
    if agent.max_actions_without_progress:
        used = actions / agent.max_actions_without_progress
    if agent.max_tokens_without_progress:
        used = max(used, tokens / agent.max_tokens_without_progress)
    return used


def describe(actions: int, tokens: int) -> str:
    """Why a run is stopped for want of progress."""
    return f"{actions} actions and {tokens:,} tokens without a change of a file, the plan or the failing tests"
