"""Histories that earlier code has written: today's code still folds them, and decides the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensymphony.daemon.history import open_export
from opensymphony.daemon.redecision import redecided
from tests.histories.record import ANEW, FOLDER, STORIES, summary

HISTORIES = sorted(FOLDER.glob("*.jsonl"))
MEANT = f"if that is meant, record them anew with `{ANEW}` and look at the difference before you commit it"


def test_every_story_is_kept_and_every_history_has_its_story() -> None:
    """Nothing is recorded that nobody replays, and nothing is replayed that cannot be recorded anew."""
    assert {path.stem for path in HISTORIES} == set(STORIES), MEANT


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_history_still_comes_to_its_end(path: Path) -> None:
    """Folded with today's `evolve`, it leads to the state that is kept beside it."""
    assert summary(path) == path.with_suffix(".txt").read_text(), MEANT


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_history_would_be_decided_like_this_again(path: Path) -> None:
    """Today's rules lead from the same events to the same decisions."""
    with open_export(path) as history:
        different = [found for found in redecided(history, None) if found is not None]
    assert different == [], MEANT
