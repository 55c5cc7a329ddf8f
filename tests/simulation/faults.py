"""The kinds of trouble, each of which can be turned off by its name, and what a world is made from."""

from __future__ import annotations

from msgspec import Struct

FAULTS = {
    "crash": "a daemon is killed, also between the journal and the command, and between effect and outcome",
    "restart": "a daemon is stopped in good order and started again",
    "late": "outcomes take minutes and overtake each other",
    "doubled": "outcomes arrive twice",
    "failures": "commands fail, with every class of error",
    "lost_answers": "a command has its effect and fails all the same",
    "outage": "the tracker is out of reach for minutes, for one daemon or for both, or asks to come back later",
    "people": "people edit, move, block, close, reopen, relabel, reassign and delete tickets",
    "operators": "operators stop, retry, pause, resume and write messages, some of it twice",
    "policy": "WORKFLOW.md is edited, also badly",
    "agents": "agents fail, repeat themselves, fall silent, wait for confirmation, are paused",
    "disk": "the disk is full for a while",
    "budgets": "limits are tight",
    "second": "a second daemon works on the same board",
    "outliving": "agents go on for minutes when their daemon is killed",
    "stops": "a stop fails at first, or cannot say what was used",
    "races": "a cancelled command may have had its effect",
}
"""Name, and what happens."""


class Scenario(Struct, frozen=True, kw_only=True):
    """Everything that makes one day what it is."""

    seed: int
    tickets: int = 100
    hours: float = 24.0
    faults: frozenset[str] = frozenset(FAULTS)
    events_max: int | None = None
    """The day ends after so many events; None: when its hours are over and everything has come to rest."""

    def has(self, fault: str) -> bool:
        return fault in self.faults

    def command(self) -> str:
        """The command line that runs this day again."""
        words = ["python -m tests.simulation", f"--seed {self.seed}", f"--tickets {self.tickets}"]
        words.append(f"--hours {self.hours:g}")
        without = [name for name in FAULTS if name not in self.faults]
        if len(without) * 2 <= len(FAULTS):
            words += [f"--without {','.join(without)}"] if without else []
        else:
            words.append(f"--only {','.join(name for name in FAULTS if name in self.faults) or 'none'}")
        if self.events_max is not None:
            words.append(f"--events {self.events_max}")
        return " ".join(words)
