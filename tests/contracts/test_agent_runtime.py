"""The duties of an agent runtime, on the fake agent-server; tests/live/test_agent_runtime.py asks the real one the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import msgspec
import pytest

from opensymphony.agents.openhands.client import ConversationGone, ServerRefused
from opensymphony.errors import AgentServerError
from opensymphony.model import CommandKey, ConversationId
from tests.contracts.agents import HOLD, FakeBehind, Turn, World, serving

WORK = f"touch begun; {HOLD}"
NOBODY = ConversationId("11111111-1111-4111-8111-111111111111")


@pytest.fixture(scope="module")
async def behind(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FakeBehind]:
    made = FakeBehind(tmp_path_factory.mktemp("fake"))
    async with anyio.create_task_group() as tasks:
        await tasks.start(made.supervisor.run)
        yield made
        tasks.cancel_scope.cancel()


@pytest.fixture
async def world(behind: FakeBehind, tmp_path: Path) -> AsyncIterator[World]:
    async with serving(behind, tmp_path) as made:
        yield made


class TestOpening:
    @pytest.mark.parity("create_reuses_existing_requested_id_without_losing_history")
    async def test_opening_again_finds_it_with_its_history(self, world: World) -> None:
        """The second opening makes nothing: status, figures and the log are those of the turn before."""
        request = world.request(Turn(run=("true",)))
        made = await world.runtime.open(request)
        await world.turn(made.id, "k/1")
        found = await world.another_runtime().open(request)
        assert (made.created, made.status, made.usage.model_calls) == (True, "idle", 0)
        assert (found.created, found.status, found.id) == (False, "finished", made.id)
        assert found.usage.model_calls == 2
        assert found.server_version == "1.58.0"
        assert len(await world.messages(made.id)) == 1

    @pytest.mark.parity("delete_then_recreate_resets_history_and_updates_config")
    async def test_one_made_anew_has_no_history(self, world: World) -> None:
        """A conversation that was deleted and made again under its id begins at the beginning, for us too."""
        request = world.request(Turn(says="first"), Turn(says="second"))
        conversation = await world.runtime.open(request)
        await world.turn(conversation.id, "k/1")
        await world.client.delete(conversation.id)
        again = await world.runtime.open(request)
        assert (again.created, again.status) == (True, "idle")
        end = await world.turn(conversation.id, "k/1")
        assert (end.status, end.final_text) == ("finished", "first")
        assert len(await world.messages(conversation.id)) == 1

    async def test_one_of_another_directory_is_unfit(self, world: World) -> None:
        """An agent would work where nobody looks: another conversation takes its place."""
        request = world.request(Turn())
        conversation = await world.runtime.open(request)
        await world.turn(conversation.id, "k/1")
        moved = await world.runtime.open(msgspec.structs.replace(request, working_dir="/elsewhere"))
        assert moved.unfit.endswith("not in /elsewhere")


class TestTurns:
    @pytest.mark.parity("runtime_stream_attaches_reconciles_and_detects_terminal_state")
    async def test_a_turn_is_told_to_its_end(self, world: World) -> None:
        """Commands run where we said; status, last words, figures and signs of life come."""
        conversation_id = await world.open(Turn(run=("echo hello > made.txt", "sleep 0.5"), says="All done."))
        end = await world.turn(conversation_id, "A-1#1/turn-1/send")
        assert (end.status, end.final_text, end.failure) == ("finished", "All done.", None)
        assert (world.directory / conversation_id / "made.txt").read_text() == "hello\n"
        assert end.usage.model_calls == 3
        assert end.usage.prompt_tokens > 3_000
        assert world.progress[0].status == "running"
        assert world.progress[-1].status == "finished"
        assert any(one.tool_open for one in world.progress)
        assert [one.last_seq for one in world.progress] == sorted(one.last_seq for one in world.progress)

    @pytest.mark.parity("reuses_conversation_and_switches_to_continuation_prompt")
    async def test_a_second_turn_follows_the_first(self, world: World) -> None:
        """The end of the first is not taken for the end of the second, and the figures are totals."""
        conversation_id = await world.open(Turn(says="first"), Turn(run=("true",), says="second"))
        first = await world.turn(conversation_id, "k/1")
        second = await world.turn(conversation_id, "k/2")
        assert (first.final_text, second.final_text, second.status) == ("first", "second", "finished")
        assert second.usage.model_calls == first.usage.model_calls + 2
        assert second.last_seq > first.last_seq

    @pytest.mark.parity("replays_initial_snapshot_events_on_attach")
    async def test_an_end_before_we_came_is_told(self, world: World) -> None:
        """Another daemon waits for a turn that has ended: it hears of it, with the same words and figures."""
        conversation_id = await world.open(Turn(run=("true",), says="over"))
        end = await world.turn(conversation_id, "k/1")
        late = await world.wait(conversation_id, "k/1", by=world.another_runtime())
        assert (late.status, late.final_text, late.last_seq) == (end.status, end.final_text, end.last_seq)
        assert late.usage == end.usage

    @pytest.mark.parity("reports_failure_on_current_turn_error")
    async def test_a_model_that_refuses_ends_the_turn_with_its_class(self, world: World) -> None:
        """And the next turn of the same conversation works, without the failure of the one before."""
        conversation_id = await world.open(Turn(refused=True), Turn(says="well again"))
        end = await world.turn(conversation_id, "k/1")
        assert end.status == "error"
        assert end.failure is not None
        assert (end.failure.kind, end.failure.code) == ("auth", "LLMAuthenticationError")
        after = await world.turn(conversation_id, "k/2")
        assert (after.status, after.final_text, after.failure) == ("finished", "well again", None)

    @pytest.mark.fixes(16)
    async def test_who_attaches_while_a_tool_runs_sees_it_at_once(self, world: World) -> None:
        """The server holds the socket's first frame back: the open call shows all the same, and so does its end."""
        conversation_id = await world.open(Turn(run=(WORK,)))
        await world.send(conversation_id, "k/1")
        await world.at_work(conversation_id)
        async with world.awaited(conversation_id, "k/1") as ends:
            await world.until(lambda: any(one.tool_open for one in world.progress))
            world.release(conversation_id)
        assert ends[0].status == "finished"

    async def test_a_turn_of_nothing_is_an_error(self, world: World) -> None:
        """Neither a conversation that is not there nor a message that was never sent is waited for."""
        with pytest.raises(ConversationGone):
            await world.wait(NOBODY, "k/1")
        conversation_id = await world.open()
        with pytest.raises(AgentServerError, match="no message"):
            await world.wait(conversation_id, "k/never")


class TestSending:
    async def test_the_same_key_is_sent_once(self, world: World) -> None:
        """Whoever sends it, and however its key looks; it stands at the end of the message."""
        conversation_id = await world.open()
        await world.turn(conversation_id, "ABC-1#1/turn-1/send")
        await world.another_runtime().send(conversation_id, CommandKey("ABC-1#1/turn-1/send"), "Do it.")
        assert await world.messages(conversation_id) == ["Do it.\n\n<!-- opensymphony:ABC-1#1/turn-1/send -->"]

    async def test_a_message_whose_answer_was_lost_is_there_once(self, world: World) -> None:
        """The server heard it, we did not hear the server: it is looked for before anything is sent again."""
        conversation_id = await world.open(Turn(says="heard"))
        world.line.lose_answer_to = f"POST /api/conversations/{conversation_id}/events ".encode()
        end = await world.turn(conversation_id, "k/1")
        assert world.line.lose_answer_to == b""
        assert (end.status, end.final_text) == ("finished", "heard")
        assert len(await world.messages(conversation_id)) == 1

    @pytest.mark.parity("run_returns_conflict_while_active")
    @pytest.mark.parity("waits_for_already_running_turn")
    async def test_a_busy_agent_is_left_to_its_run(self, world: World) -> None:
        """A run that is there already is no error, and a message that comes meanwhile ends with that run."""
        conversation_id = await world.open(Turn(run=(WORK,), says="both"))
        await world.send(conversation_id, "k/1")
        await world.at_work(conversation_id)
        assert await world.client.run(conversation_id) == "running"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.send, conversation_id, "k/2")
            await anyio.sleep(0.3)
            world.release(conversation_id)
        end = await world.wait(conversation_id, "k/2")
        assert (end.status, end.final_text) == ("finished", "both")
        assert len(await world.messages(conversation_id)) == 2

    async def test_a_message_too_large_for_the_socket(self, world: World) -> None:
        """What no frame can carry is read by REST, and the turn behind it is told to its end."""
        conversation_id = await world.open(Turn(run=("true",), says="long"))
        await world.runtime.send(conversation_id, CommandKey("k/1"), "x" * (5 << 20))
        end = await world.wait(conversation_id, "k/1")
        assert (end.status, end.final_text) == ("finished", "long")


class TestStopping:
    @pytest.mark.fixes(3)
    async def test_a_running_tool_is_ended(self, world: World) -> None:
        """Stopping returns when nothing runs, with what was used; the turn ends as paused, and a later one works."""
        conversation_id = await world.open(Turn(run=(WORK,)), Turn(says="went on"))
        await world.send(conversation_id, "k/1")
        async with world.awaited(conversation_id, "k/1") as ends:
            await world.at_work(conversation_id)
            with anyio.fail_after(45):
                usage = await world.runtime.stop(conversation_id)
        assert ends[0].status == "paused"
        assert usage is not None
        assert usage.prompt_tokens > 1_000
        assert await world.another_runtime().stop(conversation_id) == usage, "the server tells who has heard nothing"
        end = await world.turn(conversation_id, "k/2")
        assert (end.status, end.final_text) == ("finished", "went on")

    async def test_what_does_not_run_is_stopped(self, world: World) -> None:
        """A conversation that is gone, one without a message and one that has ended: each at once."""
        assert await world.runtime.stop(NOBODY) is None
        fresh, done = await world.open(), await world.open()
        await world.turn(done, "k/1")
        with anyio.fail_after(20):
            await world.runtime.stop(fresh)
            usage = await world.runtime.stop(done)
        assert usage is not None
        assert usage.model_calls == 1
        assert (await world.wait(done, "k/1")).status == "finished"


class TestTrouble:
    @pytest.mark.parity("reconnects_and_recovers_missed_events")
    @pytest.mark.parity("recovers_after_one_fault_injected_websocket_drop")
    async def test_cut_lines_lose_and_double_nothing(self, world: World) -> None:
        """Every connection is cut while a command runs, three times: the turn is told once, with all its figures."""
        conversation_id = await world.open(Turn(run=("true", WORK, "true"), says="whole"))
        await world.send(conversation_id, "k/1")
        async with world.awaited(conversation_id, "k/1") as ends:
            await world.at_work(conversation_id)
            for _ in range(3):
                await world.line.cut()
                await anyio.sleep(0.3)
            world.release(conversation_id)
        assert (ends[0].status, ends[0].final_text, ends[0].usage.model_calls) == ("finished", "whole", 4)
        seen = [one.last_seq for one in world.progress]
        assert seen == sorted(seen)
        assert len(await world.messages(conversation_id)) == 1

    @pytest.mark.parity("auth_failure_maps_to_stable_http_status_error")
    async def test_a_wrong_key_is_refused(self, world: World) -> None:
        """By REST and on the socket; nobody tries again for ever."""
        conversation_id = await world.open()
        await world.turn(conversation_id, "k/1")
        world.line.key = "wrong"
        with pytest.raises(ServerRefused, match="key"):
            await world.another_runtime().open(world.request())
        with pytest.raises(ServerRefused, match="key"):
            await world.wait(conversation_id, "k/1", by=world.another_runtime())

    @pytest.mark.fixes(19)
    async def test_a_killed_server_loses_nothing(self, world: World) -> None:
        """It is started again, and the agent goes on with the same message."""
        conversation_id = await world.open(Turn(run=(WORK,), says="went on"))
        await world.send(conversation_id, "k/1")
        async with world.awaited(conversation_id, "k/1") as ends:
            await world.at_work(conversation_id)
            await world.until(lambda: any(one.tool_open for one in world.progress))
            world.release(conversation_id)
            await world.kill_server()
        assert (ends[0].status, ends[0].final_text) == ("finished", "went on")
        assert len(await world.messages(conversation_id)) == 1
