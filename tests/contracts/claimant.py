"""A daemon's part in a race of two processes: claims the ticket named on each line of its input and says whether it got it."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from opensymphony.clock import Clock
from opensymphony.daemon.claims import Claims
from opensymphony.model import Claim, TicketId
from tests.services.files.world import files_tracker


async def race(folder: Path, name: str) -> None:
    clock = Clock()
    claims = Claims(files_tracker(folder), clock)
    print("ready", flush=True)
    for line in sys.stdin:
        claim = Claim(instance=name, generation=1, heartbeat_ms=clock.now_ms())
        answer = await claims.claim(TicketId(line.strip()), claim, stale_after_ms=60_000)
        holder = answer.holder.instance if answer.holder is not None else "nobody"
        print("won" if answer.granted else f"lost to {holder}", flush=True)


if __name__ == "__main__":
    anyio.run(race, Path(sys.argv[1]), sys.argv[2])
