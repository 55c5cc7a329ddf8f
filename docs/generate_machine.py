"""Writes the diagrams and tables of the state machine into docs/architecture.md from the scheduler's own tables.

`python docs/generate_machine.py`, after `opensymphony/scheduler/machine.py` or `outcomes.py` was changed.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from opensymphony.scheduler.machine import LAST_STAGES, PHASES, STAGES
from opensymphony.scheduler.outcomes import OUTCOMES

PAGE = Path(__file__).with_name("architecture.md")
BEGIN, END = "<!-- machine: generated -->\n", "<!-- /machine -->\n"


def generated() -> str:
    """What stands between the two marks."""
    return (
        "\nWhere a ticket stands (its phase):\n\n"
        f"```mermaid\n{_phases()}```\n\n{_phase_table()}\n"
        "Where a run is (its stage). Every stage above `stopping` can also lead to it, and to the last stages; those below\n"
        "follow in their order, each only when it has something to do:\n\n"
        f"```mermaid\n{_stages()}```\n\n{_stage_table()}\n"
        "How a run ends (its outcome):\n\n"
        f"{_outcome_table()}\n"
    )


def _phases() -> str:
    lines = ["stateDiagram-v2", "    [*] --> waiting_to_start: the tracker shows it"]
    lines += [
        f"    {phase} --> {target}: {_plain(why)}"
        for phase, rule in PHASES.items()
        for target, why in rule.leads_to.items()
    ]
    return _joined(lines)


def _phase_table() -> str:
    return _joined(
        ["| phase | means |", "|---|---|", *(f"| `{phase}` | {rule.meaning} |" for phase, rule in PHASES.items())]
    )


def _stages() -> str:
    lines = ["stateDiagram-v2", "    [*] --> rereading"]
    lines += [f"    {stage} --> {target}" for stage, rule in STAGES.items() for target in rule.leads_to]
    ends = ("stopping", *LAST_STAGES)
    lines += [f"    {one} --> {other}" for one, other in pairwise(ends)]
    return _joined([*lines, f"    {LAST_STAGES[-1]} --> [*]"])


def _stage_table() -> str:
    rows = [
        f"| `{stage}` | {rule.meaning} | `{rule.command.__name__}` | `{rule.outcome.__name__}` |"
        for stage, rule in STAGES.items()
    ]
    return _joined(["| stage | what happens | command | its outcome |", "|---|---|---|---|", *rows])


def _outcome_table() -> str:
    rows = [
        f"| `{outcome}` | `{rule.phase}` | {rule.woken_by} | {'yes' if rule.counts_as_failure else 'no'} | {rule.headline} |"
        for outcome, rule in OUTCOMES.items()
    ]
    head = ["| outcome | leads to | woken by | a failure | the ticket says |", "|---|---|---|---|---|"]
    return _joined([*head, *rows])


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _plain(text: str) -> str:
    return text.replace("`", "")


def main() -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + generated() + END + after)


if __name__ == "__main__":
    main()
