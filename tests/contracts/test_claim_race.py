"""Two daemons in two processes on one board: of every ticket that both want at the same moment, one gets it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.services.files.world import FilesWorld, files_tracker

ROUNDS = 15
NAMES = ("here", "there")


async def test_two_processes_race_and_one_wins_each_ticket(tmp_path: Path) -> None:
    """The loser is told the winner's name, and the ticket shows it."""
    world = FilesWorld(tmp_path)
    ids = [await world.create() for _ in range(ROUNDS)]
    wins = dict.fromkeys(NAMES, 0)
    with ExitStack() as stack:
        rivals = {
            name: stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.contracts.claimant", str(world.folder), name],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    bufsize=1,
                )
            )
            for name in NAMES
        }
        for rival in rivals.values():
            assert rival.stdout is not None and rival.stdout.readline() == "ready\n"
        for number, ticket_id in enumerate(ids):
            order = NAMES if number % 2 else NAMES[::-1]
            for name in order:
                rivals[name].stdin.write(f"{ticket_id}\n")  # type: ignore[union-attr]
            said = {name: rivals[name].stdout.readline().strip() for name in NAMES}  # type: ignore[union-attr]
            [winner] = [name for name in NAMES if said[name] == "won"]
            [loser] = [name for name in NAMES if name != winner]
            assert said[loser] == f"lost to {winner}"
            wins[winner] += 1
        for rival in rivals.values():
            rival.stdin.close()  # type: ignore[union-attr]
    board = await files_tracker(world.folder).fetch_tickets(ids)
    shown = [ticket.claim.instance for ticket in board if ticket.claim is not None]
    assert {name: shown.count(name) for name in NAMES} == wins
