"""Runs the demo's daemon to the end, with the scripted model or a real one."""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from opensymphony.daemon.app import Daemon
from opensymphony.daemon.archiving import conversations_dir
from opensymphony.daemon.confinement import chosen_isolation
from opensymphony.daemon.foreground import Foreground
from opensymphony.daemon.model_access import model_environment, with_model
from opensymphony.demo.model import serve_model
from opensymphony.demo.screen import Screen
from opensymphony.demo.story import play
from opensymphony.settings import Settings
from opensymphony.views import Snapshot
from opensymphony.workflow.policy import Policy

_SCRIPTED = "openai/scripted"


async def play_demo(
    settings: Settings, policy: Policy, foreground: Foreground, screen: Screen, *, model: str | None
) -> Snapshot | None:
    """The last picture; None when it ended before there was one. `model` None: the scripted one.

    What the conversations leave in the tool directory goes with the demo.
    """
    async with AsyncExitStack() as stack:
        named = msgspec.structs.replace(settings, llm_model=model or _SCRIPTED)
        chosen = with_model(policy, named)
        if model is None:
            endpoint = await stack.enter_async_context(serve_model(play))
            llm = chosen.openhands.conversation.agent.llm
            environment = {llm.base_url_env: endpoint.base_url, llm.api_key_env: "scripted"}
        else:
            environment = await model_environment(chosen, named)
        isolation = chosen_isolation(chosen, named)
        daemon = Daemon(named, chosen, environment=environment, once=True, isolation=isolation)
        stack.callback(_remove_conversations, conversations_dir(named, chosen))
        await foreground.serve(daemon, screen.show)
        return daemon.control.snapshot() if daemon.control is not None else None


def _remove_conversations(directory: Path) -> None:
    shutil.rmtree(directory.parent, ignore_errors=True)
