"""Whole daemons: a real board, real git, a real journal and hooks; only the agents are scripted."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import msgspec
import pytest

from opensymphony.api.client import Address, follow_snapshots
from opensymphony.clock import new_id
from opensymphony.daemon.app import Daemon
from opensymphony.errors import InstallationError, InstanceError, OpenSymphonyError, WorkspaceError
from opensymphony.model import AgentFailure
from opensymphony.processes import NONCE_VARIABLE, list_processes
from opensymphony.views import Snapshot
from opensymphony.workflow.policy import AgentPolicy, PollingPolicy, ReportingPolicy, TransitionsPolicy, VerifyPolicy
from tests.daemon.world import BAD, GOOD, HOLDS, World, until, until_phase, view
from tests.fakes.scripted_runtime import Step


def only(error: BaseException) -> BaseException:
    """The one error that task groups wrapped."""
    while isinstance(error, BaseExceptionGroup):
        [error] = error.exceptions
    return error


async def refused(daemon: Daemon) -> OpenSymphonyError:
    """Why the daemon does not start."""
    with pytest.raises((OpenSymphonyError, BaseExceptionGroup)) as raised, anyio.fail_after(20):
        await daemon.run()
    error = only(raised.value)
    assert isinstance(error, OpenSymphonyError)
    assert "\n" not in str(error)
    return error


async def test_a_ticket_is_taken_to_review(world: World) -> None:
    """Claimed, worked on, verified, pushed, reported, moved and let go; nothing of the boot is left but the record."""
    world.ticket("A-1")
    snapshot = await world.once()
    [ticket] = snapshot.tickets
    assert (ticket.phase, ticket.state, ticket.verified, ticket.turns) == ("in_review", "In Review", True, 1)
    assert (snapshot.status, snapshot.usage.model_calls, snapshot.poll_error) == ("stopped", 2, None)
    assert world.commits("A-1") == ["Answer well"]
    board = await world.tickets()
    assert (board["A-1"].state, board["A-1"].claim) == ("In Review", None)
    comment = world.comment("A-1")
    assert comment.count("Ready for review") == 1
    assert all(
        fact in comment
        for fact in ("`opensymphony/A-1`", "`answer.txt`", "`grep -qx good answer.txt` passed", "1 turn")
    )
    assert world.hooks.read_text().split() == ["before", "after"]
    assert list(world.agents.talk("A-1").messages.values()) == ["Do Title of A-1."]
    assert not (world.store / "token").exists()
    assert not (world.store / "daemon.json").exists()
    assert list_processes((world.store / "boot").read_text()) == ()
    assert (world.agents.boots, world.agents.closed) == (1, 1)


async def test_a_blocked_ticket_waits(tmp_path: Path) -> None:
    """It starts only when its blocker is in an unblocking state, though it is the more urgent one."""
    world = World(tmp_path / "world", {"A-1": [GOOD], "B-1": [GOOD]})
    world.ticket("B-1", priority="1", blocked_by="A-1")
    world.ticket("A-1", priority="4")
    snapshot = await world.once()
    seen = {ticket.identifier: ticket for ticket in snapshot.tickets}
    assert [seen[name].phase for name in ("A-1", "B-1")] == ["in_review", "in_review"]
    # Not blocked, the more urgent one would be the first of the two.
    assert [talk.ticket for talk in world.agents.talks.values()] == ["A-1", "B-1"]
    begun, blocked_begun = seen["A-1"].started_ms, seen["B-1"].started_ms
    assert begun is not None
    assert blocked_begun is not None
    assert begun < blocked_begun


async def test_a_blocker_that_rests_keeps_the_other_waiting(tmp_path: Path) -> None:
    """`once` ends although a ticket still waits: nothing of ours would ever start it."""
    world = World(tmp_path / "world", {"A-1": [Step(says="I cannot.")], "B-1": [GOOD]})
    world.ticket("A-1")
    world.ticket("B-1", blocked_by="A-1")
    seen = {ticket.identifier: ticket for ticket in (await world.once()).tickets}
    assert seen["A-1"].phase == "needs_person"
    assert (seen["B-1"].phase, seen["B-1"].generation) == ("waiting_to_start", 0)
    assert seen["B-1"].reason == "it is blocked by A-1 (In Progress)"


async def test_a_failed_verification_goes_back(tmp_path: Path) -> None:
    """The agent is shown what failed, and its second answer is taken; the comment counts the attempts."""
    world = World(tmp_path / "world", {"A-1": [BAD, GOOD]})
    world.ticket("A-1")
    policy = world.policy(verify=VerifyPolicy(command="cat answer.txt; grep -qx good answer.txt"))
    [ticket] = (await world.once(policy)).tickets
    assert (ticket.phase, ticket.turns, ticket.attempts) == ("in_review", 2, 2)
    _, second = world.agents.talk("A-1").messages.values()
    assert "exit code 1" in second
    assert "bad" in second
    assert "attempt 2" in world.comment("A-1")
    assert world.commits("A-1") == ["Answer well", "Answer badly"]


async def test_verification_is_not_tried_for_ever(tmp_path: Path) -> None:
    """After the last attempt a person is asked, with the output on the ticket; nothing was pushed."""
    world = World(tmp_path / "world", {"A-1": [BAD, msgspec.structs.replace(BAD, files={"answer.txt": "worse\n"})]})
    world.ticket("A-1")
    policy = world.policy(verify=VerifyPolicy(command="cat answer.txt; grep -qx good answer.txt", max_attempts=2))
    [ticket] = (await world.once(policy)).tickets
    assert (ticket.phase, ticket.attempts, ticket.verified) == ("needs_person", 2, False)
    comment = world.comment("A-1")
    assert "Needs attention" in comment
    assert "its verification failed 2 times" in comment
    assert "worse" in comment
    assert subprocess.run(["git", "rev-parse", "-q", "--verify", "opensymphony/A-1"], cwd=world.upstream).returncode


async def test_a_wrong_key_asks_a_person(tmp_path: Path) -> None:
    """What no further try mends ends at once; the ticket says what it was and goes where the policy says."""
    failure = AgentFailure(code="LLMAuthenticationError", detail="bad key", kind="auth")
    world = World(tmp_path / "world", {"A-1": [Step(status="error", failure=failure)]})
    world.ticket("A-1")
    transitions = TransitionsPolicy(started="In Progress", succeeded="In Review", needs_attention="Waiting")
    [ticket] = (await world.once(world.policy(reporting=ReportingPolicy(transitions=transitions)))).tickets
    assert (ticket.phase, ticket.state, ticket.failures) == ("needs_person", "Waiting", 0)
    assert "LLMAuthenticationError: bad key" in world.comment("A-1")
    assert (await world.tickets())["A-1"].claim is None


async def test_a_failure_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    """`once` waits for the retries; the limit of failures ends them."""
    failure = AgentFailure(code="LLMServiceError", detail="overloaded")
    world = World(tmp_path / "world", {"A-1": [Step(status="error", failure=failure)]})
    world.ticket("A-1")
    agent = AgentPolicy(retry_backoff_ms=20, max_retry_backoff_ms=40, max_failures=2)
    [ticket] = (await world.once(world.policy(agent=agent))).tickets
    assert (ticket.phase, ticket.generation) == ("needs_person", 2)
    assert "failure 2 in a row, which is the limit" in ticket.reason
    assert len(world.agents.talk("A-1").messages) == 2
    assert world.hooks.read_text().split() == ["before", "after"] * 2


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "Do {{ issue.nonsense }}."},
        {"verify": VerifyPolicy(command="echo {{ nonsense }}")},
    ],
)
async def test_an_unknown_variable_asks_a_person(changes: dict[str, object], world: World) -> None:
    """It is named on the ticket, not passed on as nothing."""
    world.ticket("A-1")
    [ticket] = (await world.once(world.policy(**changes))).tickets
    assert ticket.phase == "needs_person"
    assert "nonsense" in ticket.reason
    assert "nonsense" in world.comment("A-1")
    assert (await world.tickets())["A-1"].claim is None


async def test_a_ticket_named_like_a_path_stays_inside(tmp_path: Path) -> None:
    """A name that means something to file systems gets a safe workspace and branch; one with a path in it is reported."""
    world = World(tmp_path / "world", {"x..y": [GOOD]})
    world.ticket("x..y")
    world.ticket("x..%2F..\\..\\etc")
    snapshot = await world.once()
    [ticket] = snapshot.tickets
    assert (ticket.phase, ticket.identifier) == ("in_review", "x..y")
    assert ticket.workspace is not None
    assert Path(ticket.workspace).parent == world.root
    assert (ticket.branch or "").startswith("opensymphony/x__y--")
    [problem] = snapshot.problems
    assert "rename the file" in problem


async def test_a_finished_ticket_starts_again_when_a_person_moves_it(tmp_path: Path) -> None:
    """Moved back, it is a second run in the same conversation and on the same branch."""
    again = msgspec.structs.replace(GOOD, files={"more.txt": "more\n"}, commit="Answer more")
    world = World(tmp_path / "world", {"A-1": [GOOD, again]})
    world.ticket("A-1")
    await world.once()
    world.move("A-1", "Todo")
    [ticket] = (await world.once()).tickets
    assert (ticket.phase, ticket.generation, ticket.turns) == ("in_review", 2, 2)
    assert world.commits("A-1") == ["Answer more", "Answer well"]
    assert "goes on" in list(world.agents.talk("A-1").messages.values())[1]


async def test_a_closed_ticket_is_stopped_and_cleared_away(tmp_path: Path) -> None:
    """Moved to a terminal state while the agent works: interrupted, confirmed, workspace gone, claim released."""
    world = World(tmp_path / "world", {"A-1": [HOLDS]})
    world.ticket("A-1")
    async with world.running() as daemon:
        await until(daemon, lambda: (found := view(daemon, "A-1")) and found.stage == "working")
        world.move("A-1", "Done")
        ticket = await until_phase(daemon, "A-1", "closed")
    assert (ticket.state, ticket.workspace) == ("Done", None)
    assert (world.agents.stops, world.agents.talk("A-1").running) == (1, False)
    assert [path.name for path in world.root.iterdir() if not path.name.startswith(".")] == []
    assert (await world.tickets())["A-1"].claim is None


async def test_work_that_was_never_pushed_is_kept(tmp_path: Path) -> None:
    """A closed ticket's workspace with a commit of its own stays, and the view says why."""
    world = World(tmp_path / "world", {"A-1": [GOOD]})
    world.ticket("A-1")
    check = world.directory / "go"
    policy = world.policy(verify=VerifyPolicy(command=f"until test -e {check}; do sleep 0.05; done"))
    async with world.running(policy) as daemon:
        await until(daemon, lambda: (found := view(daemon, "A-1")) and found.stage == "verifying")
        world.move("A-1", "Done")
        ticket = await until_phase(daemon, "A-1", "closed")
    assert "workspace kept" in ticket.reason
    assert (world.root / "A-1" / "answer.txt").read_text() == "good\n"


async def test_stopped_it_drains_and_goes_on_later(tmp_path: Path) -> None:
    """The agent is interrupted and confirmed, the claim given back; the next start goes on in the same conversation."""
    world = World(tmp_path / "world", {"A-1": [HOLDS, GOOD]})
    world.ticket("A-1")
    async with world.running() as daemon:
        await until(daemon, lambda: (found := view(daemon, "A-1")) and found.stage == "working")
        assert not daemon.stopping
        daemon.stop()
        daemon.stop()
        assert daemon.stopping
    assert daemon.control is not None
    stopped = daemon.control.snapshot()
    assert (stopped.status, stopped.tickets[0].phase) == ("stopped", "waiting_to_start")
    assert (world.agents.stops, (await world.tickets())["A-1"].claim) == (1, None)
    [ticket] = (await world.once()).tickets
    assert (ticket.phase, ticket.generation, ticket.failures) == ("in_review", 2, 0)
    first, second = world.agents.talk("A-1").messages.values()
    assert first == "Do Title of A-1."
    assert "the daemon was stopped" in second


async def test_an_agent_server_in_trouble_holds_up_nothing_else(tmp_path: Path) -> None:
    """A run that cannot open its conversation is tried again later and says so."""
    world = World(tmp_path / "world")
    world.ticket("A-1")
    world.agents.unreachable = True
    async with world.running() as daemon:
        await until(daemon, lambda: (found := view(daemon, "A-1")) and found.failures == 1)
        assert "nobody answers" in world.comment("A-1")
        world.agents.unreachable = False
        await until_phase(daemon, "A-1", "in_review")
    assert world.commits("A-1") == ["Answer well"]


async def test_a_malformed_ticket_leaves_the_others_alone(world: World) -> None:
    """It is reported with file and line; the good one is done."""
    world.ticket("A-1")
    (world.board / "B-1.md").write_text("---\ntitle: [\n---\n")
    snapshot = await world.once()
    assert [ticket.phase for ticket in snapshot.tickets] == ["in_review"]
    [problem] = snapshot.problems
    assert problem.startswith(f"{world.board}/B-1.md:")


async def test_a_new_ticket_starts_on_a_refresh(world: World) -> None:
    """`POST /api/v1/refresh` looks at once, however long the poll's interval is; the address file says where to ask."""
    async with world.running(world.policy(polling=PollingPolicy(interval_ms=600_000))) as daemon:
        assert daemon.address is not None
        assert msgspec.json.decode((world.store / "daemon.json").read_bytes())["port"] == daemon.address.port
        token_file = world.store / "token"
        assert token_file.stat().st_mode & 0o777 == 0o600
        bearer = {"Authorization": f"Bearer {token_file.read_text()}"}
        await until(daemon, lambda: daemon.control is not None and daemon.control.snapshot().polled_ms)
        world.ticket("A-1")
        async with httpx.AsyncClient(base_url=daemon.address.url, trust_env=False) as client:
            assert (await client.get("/healthz")).json()["status"] == "ok"
            assert (await client.post("/api/v1/refresh")).status_code == 401
            assert (await client.post("/api/v1/refresh", headers=bearer)).status_code == 202
            await until_phase(daemon, "A-1", "in_review")
            state = (await client.get("/api/v1/state", headers=bearer)).json()
            assert (state["counts"]["running"], state["status"]) == (0, "running")
            snapshot = (await client.get("/api/v1/snapshot", headers=bearer)).json()
            assert [ticket["state"] for ticket in snapshot["tickets"]] == ["In Review"]


async def test_its_picture_is_followed_to_its_end(world: World) -> None:
    """Each event is newer than the last; the stream ends with the daemon, and the numbers for Prometheus say the same."""
    seen: list[Snapshot] = []
    world.ticket("A-1")

    def follow(address: Address) -> None:
        seen.extend(follow_snapshots(address))

    async with anyio.create_task_group() as tasks, world.running() as daemon:
        assert daemon.address is not None
        tasks.start_soon(anyio.to_thread.run_sync, follow, daemon.address)
        await until_phase(daemon, "A-1", "in_review")
        bearer = {"Authorization": f"Bearer {(world.store / 'token').read_text()}"}
        async with httpx.AsyncClient(base_url=daemon.address.url, trust_env=False) as client:
            numbers = (await client.get("/metrics", headers=bearer)).text
        assert 'opensymphony_tickets{phase="in_review"} 1.0\n' in numbers
        assert "opensymphony_turns 1.0\n" in numbers
    assert [one.sequence for one in seen] == sorted(one.sequence for one in seen)
    assert [ticket.identifier for ticket in seen[-1].tickets] == ["A-1"]


async def test_each_boot_has_a_token_of_its_own(world: World) -> None:
    """What somebody wrote down yesterday opens nothing today."""
    tokens: set[str] = set()
    for _ in range(2):
        async with world.running():
            tokens.add((world.store / "token").read_text())
    assert len(tokens) == 2


async def test_a_second_daemon_is_refused(world: World) -> None:
    """On the same store, and on another store with the same workspace root; the first one goes on."""
    async with world.running() as daemon:
        assert str(await refused(world.make())).startswith("another daemon (pid ")
        elsewhere = world.settings(store_dir=str(world.directory / "other store"))
        assert f"already uses the workspace root {world.root}" in str(await refused(world.make(settings=elsewhere)))
        assert (world.store / "token").exists()
        world.ticket("A-1")
        await until_phase(daemon, "A-1", "in_review")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
async def test_no_listener_for_other_machines_is_opened(host: str, world: World) -> None:
    """It has no TLS; whatever settings let through, the daemon itself does not."""
    error = await refused(world.make(settings=world.settings(host=host)))
    assert isinstance(error, InstanceError)
    assert str(error).startswith(f"cannot listen on {host}: it is not a loopback address")
    assert not (world.store / "token").exists()


async def test_a_port_in_use_is_refused(world: World) -> None:
    """One line says which port and how to choose another; no token is left behind, no ticket was touched."""
    text = world.ticket("A-1").read_text()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = await refused(world.make(settings=world.settings(port=port)))
    assert isinstance(error, InstanceError)
    assert str(error).startswith(f"cannot listen on 127.0.0.1:{port} (Address already in use): ")
    assert "--port" in str(error)
    assert not (world.store / "token").exists()
    assert (world.board / "A-1.md").read_text() == text


async def test_without_git_nothing_is_begun(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked up front, not found out in the middle of a ticket."""
    monkeypatch.setenv("PATH", str(world.directory))
    error = await refused(world.make())
    assert isinstance(error, WorkspaceError)
    assert str(error) == "git was not found on the PATH: install git (on Debian: apt-get install git)"
    assert not world.store.exists()
    assert not world.root.exists()


async def test_without_the_agent_server_nothing_is_begun(world: World) -> None:
    """The real runtime is asked for before anybody listens; the message says how to install it."""
    text = world.ticket("A-1").read_text()
    error = await refused(Daemon(world.settings(), world.policy(), environment={}))
    assert isinstance(error, InstallationError)
    assert str(error).endswith("the agent-server is not installed: run `opensymphony install openhands`")
    assert (world.board / "A-1.md").read_text() == text


async def test_what_the_last_boot_left_running_is_ended(world: World) -> None:
    """A hook's child that outlived a killed daemon is found by the nonce of its boot."""
    world.store.mkdir()
    last = new_id()
    (world.store / "boot").write_text(last)
    left = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={NONCE_VARIABLE: last}, start_new_session=True
    )
    try:
        await world.once()
        assert left.wait(timeout=5) < 0
    finally:
        left.kill()
    assert (world.store / "boot").read_text() not in ("", last)


async def test_an_unreadable_board_ends_once_with_its_error(world: World) -> None:
    """Not with the success of a board that has no work."""
    world.board.rmdir()
    error = await refused(world.make(once=True))
    assert str(world.board) in str(error)
