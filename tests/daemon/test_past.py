"""What has happened, as the doors are told it: over HTTP, from a real daemon, before and after a restart."""

from __future__ import annotations

from functools import partial

import anyio
import anyio.to_thread

from opensymphony.api import client
from tests.daemon.world import BAD, GOOD, World, until_phase


async def ask(call, *given, **named):
    return await anyio.to_thread.run_sync(partial(call, *given, **named))


async def test_x(tmp_path) -> None:
    world = World(tmp_path / "world", {"A-1": [BAD, GOOD]})
    world.ticket("A-1")
    async with world.running() as daemon:
        await until_phase(daemon, "A-1", "in_review")
        address = daemon.address
        page = await ask(client.fetch_timeline, address, "A-1")
        for e in reversed(page.entries):
            print(e.sequence, e.kind, e.generation, e.failed, "|", e.text)
        print(await ask(client.fetch_verifications, address, "A-1"))
        print(await ask(client.fetch_statistics, address, days=3))
        print(await ask(client.fetch_changes, address, "A-1"))
        try:
            print(await ask(client.fetch_transcript, address, "A-1"))
        except client.NotThere as error:
            print(repr(error))
