"""Writes the table and the diagram of outcomes into docs/architecture.md from the scheduler's own table.

`python docs/generate_outcomes.py`, after `opensymphony/scheduler/outcomes.py` was changed.
"""

from __future__ import annotations

from pathlib import Path

from opensymphony.scheduler.outcomes import OUTCOMES

PAGE = Path(__file__).with_name("architecture.md")
BEGIN, END = "<!-- outcomes: generated -->\n", "<!-- /outcomes -->\n"


def generated() -> str:
    """What stands between the two marks."""
    return f"\n```mermaid\n{_diagram()}```\n\n{_table()}\n"


def _diagram() -> str:
    lines = ["stateDiagram-v2", "    [*] --> waiting_to_start", "    waiting_to_start --> running: a place is free"]
    lines += [f"    running --> {rule.phase}: {outcome}" for outcome, rule in OUTCOMES.items()]
    woken = {(rule.phase, rule.woken_by) for rule in OUTCOMES.values() if rule.phase != "waiting_to_start"}
    lines += [f"    {phase} --> waiting_to_start: {_plain(woken_by)}" for phase, woken_by in sorted(woken)]
    return "".join(f"{line}\n" for line in lines)


def _table() -> str:
    rows = [
        f"| `{outcome}` | `{rule.phase}` | {rule.woken_by} | {'yes' if rule.counts_as_failure else 'no'} | {rule.headline} |"
        for outcome, rule in OUTCOMES.items()
    ]
    head = ["| outcome | leads to | woken by | a failure | the ticket says |", "|---|---|---|---|---|"]
    return "".join(f"{row}\n" for row in [*head, *rows])


def _plain(text: str) -> str:
    return text.replace("`", "")


def main() -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + generated() + END + after)


if __name__ == "__main__":
    main()
