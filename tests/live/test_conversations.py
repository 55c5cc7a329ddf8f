"""What becomes of a conversation whose model, key or history is not what it was, on the real agent-server."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from opensymphony.agents.openhands.client import Client
from opensymphony.agents.openhands.runtime import OpenHandsRuntime
from opensymphony.agents.openhands.supervisor import Supervisor
from opensymphony.clock import Clock, new_id
from opensymphony.demo.model import Failure, Message, ModelEndpoint, Reply, Text, ToolCall, text_of
from opensymphony.interfaces import ConversationRequest
from opensymphony.model import Conversation, ConversationId
from opensymphony.workflow.policy import CondenserPolicy, ConversationAgentPolicy, ConversationPolicy, LlmPolicy
from tests.live.conftest import Live, Stage, model_environment
from tests.live.daemon_under_test import DaemonUnderTest, commit, finish, has, scripted

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

REFUSED = Failure(
    status=401, body=json.dumps({"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}})
)
TOO_LONG = Failure(
    status=400,
    body=json.dumps(
        {
            "error": {
                "message": "This model's maximum context length is 8192 tokens.",
                "code": "context_length_exceeded",
            }
        }
    ),
)


def terminal(command: str) -> ToolCall:
    return ToolCall(name="terminal", arguments={"command": command})


class Desk:
    """A runtime whose policy and keys can be changed while it runs."""

    def __init__(self, supervisor: Supervisor, endpoint: ModelEndpoint, live: Live) -> None:
        self.policy = ConversationPolicy()
        self.environment = dict(model_environment(endpoint))
        self.live = live
        live.runtime = self.runtime = OpenHandsRuntime(
            supervisor,
            policy=lambda: self.policy,
            environment=dict(self.environment),
            read_environment=self._read,
            clock=Clock(),
        )
        self.client = Client(supervisor.endpoint)

    async def _read(self) -> dict[str, str]:
        return dict(self.environment)

    def use(self, **agent: Any) -> None:
        self.policy = ConversationPolicy(agent=msgspec.structs.replace(self.policy.agent, **agent))

    async def open(self, conversation_id: ConversationId, **more: Any) -> Conversation:
        directory = self.live.directory / "work"
        directory.mkdir(exist_ok=True)
        return await self.runtime.open(
            ConversationRequest(conversation_id=conversation_id, working_dir=str(directory), title="A test", **more)
        )


@pytest.fixture
async def desk(supervisor: Supervisor, endpoint: ModelEndpoint, live: Live) -> AsyncIterator[Desk]:
    made = Desk(supervisor, endpoint, live)
    yield made
    await made.client.close()
    await made.runtime.close()


def new_conversation() -> ConversationId:
    return ConversationId(str(UUID(new_id())))


def knowing(
    endpoint: ModelEndpoint, key: str, replies: Callable[[list[Message]], Reply]
) -> Callable[[list[Message]], Reply]:
    """A model that takes one key only."""
    return lambda messages: replies(messages) if endpoint.keys[-1] == key else REFUSED


async def test_a_rotated_key_is_given_before_the_next_turn(desk: Desk, stage: Stage, endpoint: ModelEndpoint) -> None:
    """The key was changed where it is kept: the next run's conversation works with it, condenser included, and no other
    conversation is needed; without a change nothing is switched."""
    desk.use(condenser=CondenserPolicy(max_size=10, keep_first=2))
    conversation_id = new_conversation()
    stage.play = knowing(endpoint, "canary-key", lambda messages: Text(text="first"))
    assert (await desk.open(conversation_id)).prompted is False
    assert (await desk.live.turn(conversation_id, "k/1")).final_text == "first"
    desk.environment["LLM_API_KEY"] = "rotated"
    found = await desk.open(conversation_id)
    assert (found.created, found.prompted, found.unfit) == (False, True, "")

    def act(messages: list[Message]) -> Reply:
        if not endpoint.requests[-1].get("tools"):
            return Text(text="a summary")  # the condenser asks
        going_on = endpoint.request_count < until
        return terminal(f"echo {len(messages)} {endpoint.request_count}") if going_on else finish("second")

    until = endpoint.request_count + 14
    stage.play = knowing(endpoint, "rotated", act)
    end = await desk.live.turn(conversation_id, "k/2")
    assert (end.status, end.final_text, end.failure) == ("finished", "second", None)
    condensed = await desk.client.newest_events(conversation_id, 10, kind="Condensation")
    assert condensed, "the condenser's model was switched with the agent's"
    usage = await desk.client.get(conversation_id)
    assert usage is not None
    assert usage.stats is not None
    # The pinned server counts its summaries no more after a switch, until it loads the conversation anew: docs/operations.md.
    counted = usage.stats.usage_to_metrics["condenser"].accumulated_token_usage
    assert counted is None or counted.prompt_tokens == 0


async def test_a_refused_key_needs_a_person_and_then_goes_on(desk: Desk, stage: Stage, endpoint: ModelEndpoint) -> None:
    """401: the variable is named; a new key, and the same conversation goes on with it."""
    conversation_id = new_conversation()
    stage.play = knowing(endpoint, "good", lambda messages: finish("done"))
    desk.environment["LLM_API_KEY"] = "bad"
    await desk.open(conversation_id)
    end = await desk.live.turn(conversation_id, "k/1")
    assert end.failure is not None
    assert (end.status, end.failure.action, end.failure.rule) == ("error", "person", "auth")
    assert "LLM_API_KEY" in end.failure.advice
    desk.environment["LLM_API_KEY"] = "good"
    assert (await desk.open(conversation_id)).unfit == ""
    assert (await desk.live.turn(conversation_id, "k/2", "Go on.")).final_text == "done"


async def test_a_key_that_is_rotated_during_a_turn_costs_nothing(
    desk: Desk, stage: Stage, endpoint: ModelEndpoint
) -> None:
    """The old key is refused in the midst of a turn and there is a new one: it is switched, and the same turn goes on."""
    conversation_id = new_conversation()
    await desk.open(conversation_id)

    def act(messages: list[Message]) -> Reply:
        if endpoint.keys[-1] == "canary-key":
            if any(message["role"] == "tool" for message in messages):
                desk.environment["LLM_API_KEY"] = "rotated"
                return REFUSED
            return terminal("echo one > made.txt")
        return finish("done")

    stage.play = act
    end = await desk.live.turn(conversation_id, "k/1")
    assert (end.status, end.final_text, end.failure) == ("finished", "done", None)
    assert endpoint.keys[-1] == "rotated"


@pytest.mark.parity("condenses_long_history_without_prompt_overflow")
@pytest.mark.fixes(27)
async def test_a_history_that_is_too_long_is_handed_over(desk: Desk, stage: Stage) -> None:
    """Without a condenser the turn fails at the context window; its successor knows what was done, and the old one is kept."""
    desk.use(condenser=CondenserPolicy(enabled=False))
    old = new_conversation()
    await desk.open(old)
    stage.script(terminal("echo 'def parse(): ...' > parser.py"), TOO_LONG)
    end = await desk.live.turn(old, "k/1", "Write a parser.")
    assert end.failure is not None
    assert (end.failure.action, end.failure.rule) == ("rehydrate", "overflow")
    successor = await desk.open(new_conversation(), predecessor=old)
    assert (successor.created, successor.prompted) == (True, False)
    assert "parser.py" in successor.summary
    assert "Write a parser." not in successor.summary

    seen: list[str] = []

    def act(messages: list[Message]) -> Reply:
        seen.append("\n".join(text_of(message) for message in messages))
        return finish("done")

    stage.play = act
    assert (await desk.live.turn(successor.id, "k/2", f"Go on.\n\n{successor.summary}")).status == "finished"
    assert "parser.py" in seen[-1]
    assert await desk.client.get(old) is not None


async def test_a_history_that_stays_too_long_does_not_go_round_for_ever(
    desk: Desk, stage: Stage, endpoint: ModelEndpoint
) -> None:
    """With a condenser the server would summarise until `max_iterations`: it is interrupted, and handed over, too."""
    desk.use(condenser=CondenserPolicy(max_size=20, keep_first=2))
    conversation_id = new_conversation()
    await desk.open(conversation_id)

    def act(messages: list[Message]) -> Reply:
        if not endpoint.requests[-1].get("tools"):
            return Text(text="a summary")
        steps = sum(message["role"] == "tool" for message in messages)
        return TOO_LONG if steps >= 5 or spoiled else terminal(f"echo {steps}")

    spoiled: list[bool] = []

    def spoil(messages: list[Message]) -> Reply:
        reply = act(messages)
        if reply is TOO_LONG:
            spoiled.append(True)
        return reply

    stage.play = spoil
    end = await desk.live.turn(conversation_id, "k/1")
    assert end.failure is not None
    assert (end.status, end.failure.action) == ("error", "rehydrate")
    calls = endpoint.request_count
    await desk.runtime.stop(conversation_id)
    assert endpoint.request_count <= calls + 1
    assert calls < 2 * ConversationPolicy().max_iterations / 3, "a step is a call and a summary"


async def test_a_conversation_of_other_tools_is_told_unfit(desk: Desk, stage: Stage) -> None:
    """What the server cannot change any more is said, with the reason; the model of a policy that was edited is switched."""
    stage.script(finish("done"))
    conversation_id = new_conversation()
    await desk.open(conversation_id)
    await desk.live.turn(conversation_id, "k/1")
    desk.use(llm=LlmPolicy(options={"temperature": 0.5}))
    assert (await desk.open(conversation_id)).unfit == ""
    desk.use(tools=("terminal",))
    assert "its tools are terminal, file_editor, task_tracker" in (await desk.open(conversation_id)).unfit
    desk.policy = ConversationPolicy(agent=ConversationAgentPolicy(include_default_tools=("FinishTool",)))
    assert "its default tools" in (await desk.open(conversation_id)).unfit


def failing(status: int, message: str, code: str = "", **headers: str) -> Failure:
    error = {"message": message, "type": "error", "code": code or None}
    return Failure(status=status, body=json.dumps({"error": error}), headers=headers)


@pytest.mark.parametrize(
    ("failure", "action", "rule"),
    [
        (failing(403, "Project does not have access"), "person", "forbidden"),
        (failing(404, "The model `scripted` does not exist", "model_not_found"), "person", "model"),
        (
            failing(429, "You exceeded your current quota, please check your plan", "insufficient_quota"),
            "person",
            "quota",
        ),
        (failing(429, "Rate limit reached, please try again in 20s", **{"Retry-After": "20"}), "wait", "rate_limit"),
        (failing(500, "internal error"), "retry", "unavailable"),
        (Failure(status=200, body="<html>not a completion</html>"), "retry", "unavailable"),
        (
            failing(400, "Your request was flagged by our safety system", "content_policy_violation"),
            "person",
            "refused",
        ),
    ],
    ids=["forbidden", "no_model", "quota", "rate_limit", "broken", "garbage", "refused"],
)
async def test_what_a_provider_says_is_understood(
    desk: Desk, stage: Stage, failure: Failure, action: str, rule: str
) -> None:
    """Whatever comes through litellm and the server is told apart as its cause asks for."""
    desk.use(llm=LlmPolicy(num_retries=1))
    conversation_id = new_conversation()
    stage.script(failure)
    await desk.open(conversation_id)
    end = await desk.live.turn(conversation_id, "k/1")
    assert end.failure is not None
    assert (end.status, end.failure.action, end.failure.rule) == ("error", action, rule), end.failure
    if rule == "rate_limit":
        assert end.failure.retry_after_ms == 20_000


async def test_a_daemon_goes_on_with_a_new_key_and_in_another_conversation(
    daemon: DaemonUnderTest, stage: Stage, endpoint: ModelEndpoint
) -> None:
    """A refused key puts the ticket down with the variable's name; the key is written anew, `retry` goes on without a restart
    of the daemon. `rehydrate` makes the next run begin in another conversation that is told what was done."""
    key = daemon.root / "key"
    key.write_text("bad")
    play = scripted({"KEY-1": [commit("KEY-1"), finish()]})
    stage.play = knowing(endpoint, "good", play)
    await daemon.lay_out()
    with (daemon.root / "opensymphony.toml").open("a") as settings:
        settings.write(f'[secrets]\nllm_api_key = {{ file = "{key}" }}\n')
    daemon.ticket("KEY-1")
    await daemon.start("run")
    await daemon.until("it needs a person", has("KEY-1", phase="needs_person"))
    seen = await daemon.snapshot()
    assert seen is not None
    assert "LLM_API_KEY" in seen.tickets[0].reason
    first = seen.tickets[0].conversation_id
    key.write_text("good")
    assert (await daemon.command("retry", "KEY-1"))[0] == 0
    await daemon.until("it is done", has("KEY-1", phase="in_review", conversation_id=first))
    manifest = json.loads((daemon.workspaces / "KEY-1" / ".opensymphony" / "conversation.json").read_text())
    assert (manifest["launch"]["api_key_env"], manifest["last_prompt"]) == ("LLM_API_KEY", "continuation")
    assert len(manifest["launch"]["key_fingerprint"]) == 16
    assert (await daemon.command("rehydrate", "KEY-1", "--reason", "a fresh look"))[0] == 0
    play = scripted({"KEY-1": [commit("KEY-1", 2), finish()]})
    stage.play = knowing(endpoint, "good", play)
    daemon.move("KEY-1", "Todo")
    await daemon.until("it is done again", has("KEY-1", phase="in_review", generation=3))
    code, said, _ = await daemon.command("explain", "KEY-1")
    assert (code, "its conversation stands in for an earlier one: an operator asked for it" in said) == (0, True)
    assert "a fresh look" in said
    [told] = [text for text in daemon.user_messages() if "stands in for" in text]
    assert "git" in told, "the steps of the old conversation are in it"
    manifest = json.loads((daemon.workspaces / "KEY-1" / ".opensymphony" / "conversation.json").read_text())
    assert (manifest["stands_in_for"], manifest["last_prompt"]) == (first, "full")
    await daemon.signal(signal.SIGINT)
    assert await daemon.ended() == 0
