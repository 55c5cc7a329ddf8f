"""The scripted model, driven through a small tool loop with a real shell in a real clone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from opensymphony import processes
from opensymphony.demo.board import TICKETS, DemoFiles, DemoTicket, make_demo
from opensymphony.demo.model import Reply, Text, ToolCall
from opensymphony.demo.script import ACTS
from opensymphony.demo.story import play

STEPS_MAX = 30


class Agent:
    """What an agent-server does with a model's tool calls, as far as the script uses it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.messages: list[dict[str, Any]] = [{"role": "system", "content": "You are an agent. DEMO-3 is no concern."}]
        self.finished = ""

    async def turn(self, text: str, *, interrupted: frozenset[int] = frozenset()) -> list[str]:
        """Deliver one message and let the model work until it finishes. Returns the tools it used.

        The calls with a number in `interrupted` are carried out, but their results are lost, as in a restart.
        """
        self.messages.append(
            {"role": "user", "content": [{"type": "text", "text": f"{text}\n\n<!-- opensymphony:k -->"}]}
        )
        used: list[str] = []
        for number in range(STEPS_MAX):
            # The model gets what travels over the wire, and a fresh copy each time: it cannot remember anything.
            call = the_call(play(json.loads(json.dumps(self.messages))))
            used.append(call.name)
            result = await self.carry_out(call)
            if number in interrupted:
                result = "A restart occurred while this tool was in progress. The tool execution was interrupted."
            self.note(call, result)
            if call.name == "finish" and number not in interrupted:
                self.finished = str(call.arguments["message"])
                return used
        raise AssertionError(f"no finish in {STEPS_MAX} steps: {used}")

    def note(self, call: ToolCall, result: str) -> None:
        name = f"call_{len(self.messages)}"
        function = {"name": call.name, "arguments": json.dumps(call.arguments)}
        made = {"id": name, "type": "function", "function": function}
        self.messages.append({"role": "assistant", "content": call.thought, "tool_calls": [made]})
        self.messages.append({"role": "tool", "tool_call_id": name, "content": result})

    async def carry_out(self, call: ToolCall) -> str:
        if call.name == "terminal":
            done = await self.shell(str(call.arguments["command"]))
            return f"{done.output}\n[Current working directory: {self.directory}]\n[Command finished with exit code 0]"
        if call.name == "file_editor":
            return self.edit(call.arguments)
        return "done"

    async def shell(self, command: str) -> processes.Completed:
        environment = processes.scrubbed_environment("test", {"GIT_CONFIG_GLOBAL": "/dev/null"})
        return await processes.run(["bash", "-c", command], cwd=str(self.directory), env=environment, timeout_ms=30_000)

    def edit(self, arguments: Mapping[str, Any]) -> str:
        path = Path(arguments["path"])
        assert path.is_absolute()
        if arguments["command"] == "create":
            if path.exists():
                return "ERROR: file already exists"
            path.write_text(arguments["file_text"])
            return "created"
        assert arguments["command"] == "str_replace"
        text = path.read_text()
        if text.count(arguments["old_str"]) != 1:
            return "ERROR: no replacement was performed"
        path.write_text(text.replace(arguments["old_str"], arguments["new_str"]))
        return "edited"


def the_call(reply: Reply) -> ToolCall:
    assert isinstance(reply, ToolCall), reply
    return reply


def prompt(files: DemoFiles, ticket: DemoTicket) -> str:
    check = f"Your work is checked with `{files.test_command(ticket)}`."
    return f"You work on ticket {ticket.identifier}: {ticket.title}\n\n{ticket.description}\n\n{check}"


@pytest.fixture
async def demo(tmp_path: Path) -> DemoFiles:
    return await make_demo(tmp_path / "demo")


async def clone(files: DemoFiles, name: str) -> Agent:
    agent = Agent(files.directory)
    done = await agent.shell(f"git clone -q repository 'work {name}' && cd 'work {name}' && git checkout -q -b {name}")
    assert done.exit_code == 0, done.output
    agent.directory = files.directory / f"work {name}"
    return agent


async def passes_in_a_clean_checkout(agent: Agent, files: DemoFiles, ticket: DemoTicket) -> bool:
    other = f"'../checked {ticket.identifier}'"
    done = await agent.shell(f"git clone -q . {other} && cd {other} && {files.test_command(ticket)}")
    return done.exit_code == 0


@pytest.mark.parametrize("ticket", TICKETS, ids=lambda ticket: ticket.identifier)
async def test_every_ticket_ends_with_a_commit_that_passes_its_test(demo: DemoFiles, ticket: DemoTicket) -> None:
    """After its acts, each ticket's commit passes the named test and all tests that passed before."""
    agent = await clone(demo, ticket.identifier)
    assert not await passes_in_a_clean_checkout(agent, demo, ticket)
    await agent.shell(f"rm -rf '../checked {ticket.identifier}'")
    text = prompt(demo, ticket)
    for _ in ACTS[ticket.identifier]:
        await agent.turn(text)
        text = "The verification failed:\nFAILED (failures=1)"
    assert await passes_in_a_clean_checkout(agent, demo, ticket)
    assert (await agent.shell("git status --porcelain")).output == ""
    broken = (await agent.shell(f"{demo.python} -m unittest")).output
    others = {other.identifier.lower().replace("-", "_") for other in TICKETS} - {
        ticket.identifier.lower().replace("-", "_")
    }
    failures = [line for line in broken.splitlines() if line.startswith(("FAIL:", "ERROR:"))]
    assert failures
    assert all(any(other in line for other in others) for line in failures), failures


async def test_first_act_of_one_ticket_looks_right_and_fails_verification(demo: DemoFiles) -> None:
    """DEMO-2 is committed and finished after its own quick check passed, but its test fails; the second act repairs it."""
    ticket = next(ticket for ticket in TICKETS if ticket.identifier == "DEMO-2")
    agent = await clone(demo, "hasty")
    await agent.turn(prompt(demo, ticket))
    quick = [str(message["content"]) for message in agent.messages if message["role"] == "tool"]
    assert any(result.startswith("5400 90\n") for result in quick)
    assert (await agent.shell("git status --porcelain")).output == ""
    failed = await agent.shell(demo.test_command(ticket))
    assert failed.exit_code == 1
    used = await agent.turn(f"Verification failed with exit code 1:\n{failed.output}")
    assert used[-1] == "finish"
    assert (await agent.shell(demo.test_command(ticket))).exit_code == 0
    assert (await agent.shell("git rev-list --count main..HEAD")).output.strip() == "2"


async def test_interrupted_tool_calls_are_made_again(demo: DemoFiles) -> None:
    """A restart in the middle of any step costs that step, not the ticket."""
    ticket = TICKETS[0]
    agent = await clone(demo, "restarts")
    undisturbed = len(ACTS["DEMO-1"][0])
    used = await agent.turn(prompt(demo, ticket), interrupted=frozenset({0, 1, 4, 7, 9, 11}))
    assert len(used) == undisturbed + 6
    assert (await agent.shell(demo.test_command(ticket))).exit_code == 0
    assert (await agent.shell("git rev-list --count main..HEAD")).output.strip() == "1"


async def test_message_in_the_middle_of_an_act_does_not_end_it(demo: DemoFiles) -> None:
    """What a person says while the agent works does not make it skip the rest of its work."""
    agent = await clone(demo, "chatty")
    agent.messages.append({"role": "user", "content": prompt(demo, TICKETS[0])})
    for _ in range(3):
        call = the_call(play(agent.messages))
        agent.note(call, await agent.carry_out(call))
    used = await agent.turn("Please mind the tests.")
    assert used == [step.tool for step in ACTS["DEMO-1"][0][3:]]


async def test_later_messages_are_answered_with_another_look(demo: DemoFiles) -> None:
    """A ticket that is done is tested again, nothing is committed, and the answer says so."""
    agent = await clone(demo, "again")
    await agent.turn(prompt(demo, TICKETS[2]))
    for _ in range(2):
        assert await agent.turn("Anything else?") == ["terminal", "finish"]
        assert "nothing left" in agent.finished
    assert (await agent.shell("git rev-list --count main..HEAD")).output.strip() == "1"


async def test_test_that_still_fails_is_not_reported_as_done(demo: DemoFiles) -> None:
    """When the work has no effect, the last words say that the test fails."""
    agent = await clone(demo, "hopeless")
    (agent.directory / "textkit/money.py").write_text("def format_cents(cents):\n    return ''\n")
    await agent.turn(prompt(demo, TICKETS[2]))
    assert "I could not make `python3 -m unittest tests.test_demo_3` pass" in agent.finished


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user", "content": "Fix OTHER-7, please"}],
        [{"role": "user", "content": "XDEMO-1 and DEMO-11 are none of mine"}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": [{"type": "image_url"}]}],
        [{"role": "system", "content": "DEMO-1"}, {"role": "assistant", "content": "DEMO-1"}],
    ],
)
def test_unknown_conversation_is_answered_in_words(messages: list[dict[str, Any]]) -> None:
    """Without a ticket of the demo in the first message there is no tool call, only a sentence."""
    reply = play(messages)
    assert isinstance(reply, Text)
    assert "DEMO-1" in reply.text
