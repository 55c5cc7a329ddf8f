"""A process of its own that asks for a token: `python -m tests.services.jira.token_process URL DIRECTORY`."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from opensymphony import logs
from tests.fakes.jira import FakeJira
from tests.services.jira.world import app_tokens


async def main(url: str, directory: str) -> None:
    logs.set_up()  # to standard error: the token stands alone on standard output
    jira = FakeJira()
    jira.base_url = url
    print(await app_tokens(jira, Path(directory))(None), flush=True)
    await anyio.sleep_forever()  # it is ended from outside, before it has used what it got


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
