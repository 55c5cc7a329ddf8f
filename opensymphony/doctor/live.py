"""`doctor --live`: the agent-server is started, a conversation is held with a scripted model, and everything goes again.

In: the settings and the policy of a project, of which nothing is touched: its store, its servers and its conversations are
other ones. Out: one check a step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from opensymphony.agents import processes_of
from opensymphony.daemon.confinement import is_root
from opensymphony.daemon.model_access import model_environment, with_llm, with_model
from opensymphony.demo.model import MODEL, ModelEndpoint, serve_model
from opensymphony.doctor.place import Place
from opensymphony.doctor.steps import Found, StepFailed, Steps
from opensymphony.doctor.trial import (
    LINE,
    MESSAGE,
    REQUEST,
    TRACE,
    Life,
    Talk,
    Turn,
    for_trial,
    messages_read,
    read_trace,
    replace,
    scripted,
)
from opensymphony.isolation import Isolation
from opensymphony.model import Conversation, Workspace
from opensymphony.processes import is_alive
from opensymphony.settings import Settings
from opensymphony.workflow.policy import Policy

_STEP_MS = 60_000
_TURN_MS = 120_000
_MODEL_MS = 300_000
_MARGIN_MS = 15_000
_MODEL_STEPS_MAX = 5
"""Of the real model, which may go about it in its own way, but not for ever."""
_NAMES = (
    "live-server",
    "live-conversation",
    "live-stream",
    "live-message",
    "live-reattach",
    "live-model",
    "live-cleanup",
)
_REINSTALL = "`opensymphony install openhands` repairs the installation; isolation is explained in docs/security.md"
_SETTINGS = "compare openhands.conversation in WORKFLOW.md with docs/workflow.md"
_MODEL = "`opensymphony doctor --model` alone asks the model without an agent: see what it says"
_LOOPBACK = "programs of this machine have to reach each other on 127.0.0.1: look at firewall and proxy settings"


async def live_checks(
    steps: Steps, place: Place, settings: Settings, policy: Policy, isolation: Isolation, *, with_model: bool
) -> None:
    """Take every step; `with_model`: also one with the real model.

    A server of somebody else's is left alone: what is made there could not be cleared up for certain.
    """
    if policy.openhands.is_external:
        for name in names(with_model=with_model):
            steps.skip(name, "openhands.transport.base_url names a server of somebody else's, which is left alone")
        return
    trial = for_trial(policy, place)
    llm = replace(trial.openhands.conversation.agent.llm, model=f"openai/{MODEL}", options={})
    trial = with_llm(trial, llm)
    async with serve_model(scripted(trial)) as endpoint, anyio.create_task_group() as tasks:
        environment = {llm.base_url_env: endpoint.base_url, llm.api_key_env: "doctor"}
        visit = _Visit(place, settings, policy, trial, environment, isolation, endpoint, tasks)
        try:
            await _take_steps(steps, visit, with_model=with_model)
        finally:
            tasks.cancel_scope.cancel()
            await visit.close()


def names(*, with_model: bool) -> tuple[str, ...]:
    """Of the steps, in their order."""
    return _NAMES if with_model else tuple(name for name in _NAMES if name != "live-model")


async def _take_steps(steps: Steps, visit: _Visit, *, with_model: bool) -> None:
    limit_ms = visit.policy.openhands.local_server.startup_timeout_ms + _MARGIN_MS
    await steps.take("live-server", visit.start, limit_ms=limit_ms, fix=_REINSTALL)
    await steps.take("live-conversation", visit.open, limit_ms=_STEP_MS, fix=_SETTINGS)
    await steps.take("live-stream", visit.follow, limit_ms=_STEP_MS, fix=_LOOPBACK)
    await steps.take("live-message", visit.finish, limit_ms=_TURN_MS, fix=_SETTINGS)
    await steps.take("live-reattach", visit.attach_again, limit_ms=_TURN_MS, fix=_REINSTALL)
    if with_model:
        await steps.take("live-model", visit.ask_model, limit_ms=_MODEL_MS, fix=_MODEL)
    by_hand = f"end what is left by hand, and remove {visit.place.directory}"
    await steps.take("live-cleanup", visit.clear_up, limit_ms=_STEP_MS, fix=by_hand, always=True)


class _Visit:
    """What one step leaves to the next."""

    def __init__(
        self,
        place: Place,
        settings: Settings,
        given: Policy,
        policy: Policy,
        environment: Mapping[str, str],
        isolation: Isolation,
        endpoint: ModelEndpoint,
        tasks: TaskGroup,
    ) -> None:
        """`given` is the project's own policy, `policy` what is made of it for the scripted model."""
        self.place = place
        self.policy = policy
        self._settings = settings
        self._given = given
        self._isolation = isolation
        self._endpoint = endpoint
        self._tasks = tasks
        self._new_life = partial(Life, place, settings, policy, environment)
        self._life = self._new_life()
        self._lives = [self._life]
        self._talk = Talk(place, policy, isolation)
        self._workspace: Workspace | None = None
        self._conversation: Conversation | None = None
        self._turn: Turn | None = None

    async def start(self) -> Found:
        await self._life.begin(self._tasks, self._isolation)
        state = self._life.runtime.server.state()
        return Found(detail=f"version {state.version} runs in {self._isolation.level}, at {state.base_url}")

    async def open(self) -> Found:
        self._workspace = await self._talk.prepare()
        found = self._conversation = await self._talk.open(self._life, self._workspace)
        if not found.created:
            raise StepFailed("the server has a conversation that nobody has made")
        await self._talk.note(self._workspace, found)
        tools = found.launch.tools if found.launch is not None else ()
        return Found(detail=f"made, with the tools {', '.join(tools) or 'none'}", figures={"tools": len(tools)})

    async def follow(self) -> Found:
        turn = self._turn = await self._talk.say(self._life, MESSAGE)
        self._tasks.start_soon(turn.run)
        await turn.moved.wait()
        turn.raise_if_failed()
        return Found(detail="what the agent does is told at once")

    async def finish(self) -> Found:
        assert self._turn is not None
        await self._turn.over.wait()
        end = self._turn.result()
        await self._look_at_trace(1)
        offered = self._offered()
        detail = f"a scripted model was asked {self._endpoint.request_count} times, with the tools {', '.join(offered)}"
        figures = {"model_calls": self._endpoint.request_count, "tokens": end.usage.total_tokens}
        return Found(detail=f"{detail}; its command was carried out" if self._has_terminal else detail, figures=figures)

    async def attach_again(self) -> Found:
        """As after a restart of the daemon: the server is taken over, and workspace, manifest and conversation are found."""
        assert self._workspace is not None and self._conversation is not None
        before = self._life.runtime.server.state().pid
        await self._begin_again(self._new_life())
        if self._life.runtime.server.state().pid != before:
            raise StepFailed("the server was started again instead of being taken over")
        workspace = await self._talk.prepare()
        noted = await anyio.to_thread.run_sync(_read_manifest, workspace.path)
        if workspace.created or noted.get("conversation_id") != self._conversation.id:
            raise StepFailed("the workspace, or the manifest in it, was not found again")
        found = await self._talk.open(self._life, workspace)
        if found.created or not found.prompted:
            raise StepFailed("the conversation was not found again, or had lost its messages")
        turn = await self._talk.say(self._life, MESSAGE)
        await turn.run()
        read = messages_read(turn.result().final_text)
        await self._look_at_trace(2)
        if read != 2:
            raise StepFailed(f"the agent should remember 2 messages, and has read {read}")
        return Found(detail="server, workspace, manifest and conversation were found again, and the agent remembers")

    async def ask_model(self) -> Found:
        """The real model works on one message, in a conversation of its own on the same server."""
        if self._isolation.level == "none" and is_root():
            raise StepFailed(
                "not tried: this user is root, and nothing would keep a real model from anything", "install bubblewrap"
            )
        policy = for_trial(with_model(self._given, self._settings), self.place, steps_max=_MODEL_STEPS_MAX)
        environment = await model_environment(policy, self._settings)
        await self._begin_again(Life(self.place, self._settings, policy, environment))
        talk = Talk(self.place, policy, self._isolation)
        workspace = await talk.prepare()
        await talk.open(self._life, workspace)
        turn = await talk.say(self._life, REQUEST if self._has_terminal else MESSAGE)
        await turn.run()
        usage = turn.result().usage
        await self._look_at_trace(3)
        llm = policy.openhands.conversation.agent.llm
        figures = {"tokens": usage.total_tokens, "model_calls": usage.model_calls, "cost_micros": usage.cost_micros}
        cost = f", cost {usage.cost_micros / 1_000_000:.4f}" if usage.cost_micros else ""
        return Found(detail=f"{llm.model} worked on a message: {usage.total_tokens:,} tokens{cost}", figures=figures)

    async def clear_up(self) -> Found:
        running = await anyio.to_thread.run_sync(processes_of, self.place.state)
        with anyio.CancelScope(shield=True):  # it is bounded itself, and half of it would be worse than none
            await self._life.end(leave=False)
            await self.place.remove()
        left = [one.pid for one in running if is_alive(one.pid, one.start_time)]
        if left:
            raise StepFailed(f"processes go on: {', '.join(map(str, left))}")
        if self.place.directory.exists():
            raise StepFailed(f"{self.place.directory} is still there")
        return Found(
            detail=f"{len(running)} processes ended, nothing is left of files", figures={"processes": len(running)}
        )

    async def close(self) -> None:
        """Give back the connections of every life, also of one that was cut short."""
        with anyio.CancelScope(shield=True):
            for life in self._lives:
                await life.close()

    async def _begin_again(self, life: Life) -> None:
        """Leave the server to another life."""
        await self._life.end(leave=True)
        self._life = life
        self._lives.append(life)
        await life.begin(self._tasks, self._isolation)

    @property
    def _has_terminal(self) -> bool:
        return "terminal" in self.policy.openhands.conversation.agent.tools

    def _offered(self) -> list[str]:
        """The tools that the model was told of."""
        if not self._endpoint.requests:
            raise StepFailed("the model was never asked", _LOOPBACK)
        tools: list[dict[str, Any]] = self._endpoint.requests[-1].get("tools") or []
        return [str(tool["function"]["name"]) for tool in tools]

    async def _look_at_trace(self, lines: int) -> None:
        if not self._has_terminal or self._workspace is None:
            return
        text = await anyio.to_thread.run_sync(read_trace, self._workspace.path)
        if text is None:
            raise StepFailed("what the agent did in the terminal did not reach its workspace")
        if text.split() != [LINE] * lines:
            raise StepFailed(f"the agent worked, but its file {TRACE} does not hold what was asked for")


def _read_manifest(workspace: str) -> dict[str, Any]:
    return json.loads((Path(workspace) / ".opensymphony" / "conversation.json").read_text())
