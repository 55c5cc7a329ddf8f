"""The demo's scripted model: chat messages in, the next tool call out.

It remembers nothing: which step comes next follows from the messages alone, so a restart of the endpoint, of the daemon or
of the agent-server does not matter. A tool call that a restart interrupted does not count and is made again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from opensymphony.demo.model import Message, Reply, Text, ToolCall, text_of
from opensymphony.demo.script import ACTS, AGAIN, CHECK, HERE, PYTHON, Act, Step

_THINKING_MS = 150
"""How long the model seems to think: a live view of calls that take no time shows nothing."""
_IDENTIFIER = re.compile(r"\b(?:" + "|".join(re.escape(name) for name in ACTS) + r")\b")
_CHECK_COMMAND = re.compile(r"`([^`\n]+ -m unittest tests\.test_\w+)`")
_INTERRUPTED = ("A restart occurred while this tool was in progress", "Tool call interrupted before completion")
"""How the agent-server says that a tool call came to nothing."""
_WORKING_DIRECTORY = re.compile(r"^\[Current working directory: (/[^\n]*)\]$|^(/[^\n]*)$", re.MULTILINE)
"""As the terminal tool adds it, or as `pwd` prints it."""
_FAILED_TEST = re.compile(r"^FAILED \(", re.MULTILINE)


def play(messages: Sequence[Message]) -> Reply:
    """The reply to a conversation; one that is not about a ticket of the demo gets words instead of work."""
    first = next((text_of(message) for message in messages if message.get("role") == "user"), "")
    found = _IDENTIFIER.search(first)
    if found is None:
        return Text(
            text="I am the demo's scripted model and know only its own tickets "
            f"({', '.join(ACTS)}). Work on other tickets needs a real model: see docs/quickstart.md."
        )
    settled = _settled_calls(messages)
    step = _step_at(ACTS[found[0]], len(settled))
    if settled and settled[-1][0] == "finish" and not _asked_again(messages):
        return Text(text="There is nothing more to do here.")
    return _call(step, _where(settled), _check_command(first, found[0]), settled)


def _settled_calls(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """Name and result of each tool call so far that was carried out, whether it went well or not."""
    results = {
        str(message.get("tool_call_id")): text_of(message) for message in messages if message.get("role") == "tool"
    }
    settled: list[tuple[str, str]] = []
    for message in messages:
        if message.get("role") != "assistant":
            continue
        for call in cast("list[Any]", message.get("tool_calls") or []):
            result = results.get(str(call.get("id")))
            if result is not None and not any(words in result for words in _INTERRUPTED):
                settled.append((str(call.get("function", {}).get("name")), result))
    return settled


def _step_at(acts: tuple[Act, ...], count: int) -> Step:
    for act in acts:
        if count < len(act):
            return act[count]
        count -= len(act)
    return AGAIN[count % len(AGAIN)]


def _asked_again(messages: Sequence[Message]) -> bool:
    """Whether a message came after the last thing the agent did."""
    for message in reversed(messages):
        if message.get("role") in ("assistant", "tool"):
            return False
        if message.get("role") == "user":
            return True
    return False


def _where(settled: Sequence[tuple[str, str]]) -> str:
    """The working directory, read from what the terminal said; the first command of every act one prints it."""
    for name, result in settled:
        if name == "terminal" and (found := _WORKING_DIRECTORY.search(result)):
            return (found[1] or found[2]).rstrip()
    return "."


def _check_command(prompt: str, identifier: str) -> str:
    """The command that verifies the ticket, as the prompt names it."""
    found = _CHECK_COMMAND.search(prompt)
    return found[1] if found else f"python3 -m unittest tests.test_{identifier.lower().replace('-', '_')}"


def _call(step: Step, where: str, check: str, settled: Sequence[tuple[str, str]]) -> Reply:
    known = {HERE: where, CHECK: check, PYTHON: check.partition(" -m unittest")[0]}
    arguments = {name: _filled(value, known) for name, value in step.arguments.items()}
    if step.tool == "finish" and _last_test_failed(settled):
        arguments = {"message": f"I could not make `{check}` pass. What it said is above."}
    return ToolCall(name=step.tool, arguments=arguments, thought=step.thought, delay_ms=_THINKING_MS)


def _filled(value: object, known: Mapping[str, str]) -> object:
    if not isinstance(value, str):
        return value
    for mark, text in known.items():
        value = value.replace(mark, text)
    return value


def _last_test_failed(settled: Sequence[tuple[str, str]]) -> bool:
    """Whether the test was run since the last `finish` and, the last time, failed."""
    for name, result in reversed(settled):
        if name == "finish":
            return False
        if name == "terminal" and "Ran " in result:
            return _FAILED_TEST.search(result) is not None
    return False
