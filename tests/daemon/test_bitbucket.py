"""From a ticket to a merged pull request on Bitbucket: the daemon, git and the code host over real HTTP."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from opensymphony.daemon.app import Daemon
from opensymphony.workflow.policy import RepositoryPolicy, ReviewPolicy
from tests.daemon.world import GOOD, World, until, view
from tests.fakes.bitbucket import ADA, AGENT, API_TOKEN, FakeBitbucket
from tests.fakes.git_server import run_git
from tests.fakes.scripted_runtime import Step
from tests.services.bitbucket.world import policy_for

THREAD = 102
"""The fake counts: the pull request is 101."""
MORE = Step(
    files={"answer.txt": "good\n", "more.txt": "more\n"}, commit="Do more", says=f"Thread {THREAD}: done: it is there"
)


async def test_a_review_on_bitbucket_is_worked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pushed with the token, opened, reviewed, answered, resolved; merged, the ticket is over. No secret stays anywhere."""
    monkeypatch.setenv("BITBUCKET_TOKEN", API_TOKEN)
    world = World(tmp_path, {"A-1": [GOOD, MORE]})
    host = FakeBitbucket(tmp_path / "host")
    async with host.serving():
        policy = world.policy(
            repository=RepositoryPolicy(url=host.git_url),
            code_host=policy_for(host),
            review=ReviewPolicy(instructions_from=(ADA,), interval_ms=1_000, quiet_ms=20),
        )
        world.ticket("A-1")
        daemon = Daemon(world.settings(), policy, environment={}, open_runtime=world.agents.open_runtime)
        async with anyio.create_task_group() as tasks:
            await tasks.start(daemon.run)
            await until(daemon, lambda: host.pulls)
            (pull,) = host.pulls.values()
            assert (pull.branch, pull.author, pull.state) == ("opensymphony/A-1", AGENT, "OPEN")
            assert host.say(pull, "Do more, please.", inline={"path": "answer.txt", "to": 1}) == THREAD
            await until(daemon, lambda: host._comment_in(pull, THREAD)["resolution"])
            assert any(one["parent"] == THREAD and one["user"] == AGENT for one in pull.comments)
            listed = run_git(host.repository, "ls-tree", "--name-only", "opensymphony/A-1").stdout.splitlines()
            assert "more.txt" in listed
            host.merge(pull)
            await until(daemon, lambda: (found := view(daemon, "A-1")) is None or found.phase not in ("in_review",))
            daemon.stop()
        assert len(host.pulls) == 1
        assert not host.violations, "\n".join(sorted(set(host.violations)))
    kept = [path for place in (world.store, world.root) for path in place.rglob("*") if path.is_file()]
    assert kept and not [path for path in kept if API_TOKEN.encode() in path.read_bytes()]
