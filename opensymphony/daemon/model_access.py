"""The model that agents use, its name from policy or environment; and secrets, each from where the settings say."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from opensymphony import logs
from opensymphony.errors import ConfigurationError, Problem
from opensymphony.services import ReadSecret, Secrets
from opensymphony.settings import Settings
from opensymphony.workflow.policy import LlmPolicy, Policy

SESSION_KEY = "openhands_session_api_key"
"""Its name in opensymphony.toml, [secrets]."""
_KEY = "openhands.conversation.agent.llm"


def with_model(policy: Policy, settings: Settings) -> Policy:
    """The policy with a model in it. Raises `ConfigurationError` when neither it nor the environment names one."""
    llm = policy.openhands.conversation.agent.llm
    model = llm.model or settings.llm_model
    if model is None:
        raise ConfigurationError(
            [
                Problem(
                    file=settings.workflow_path,
                    key=f"{_KEY}.model",
                    message="no model is named: set it here, or set LLM_MODEL (as litellm names it, such as openai/gpt-5.4)",
                    code="missing_model",
                )
            ]
        )
    return with_llm(policy, msgspec.structs.replace(llm, model=model))


def with_llm(policy: Policy, llm: LlmPolicy) -> Policy:
    """The policy with another model section."""
    replace = msgspec.structs.replace
    conversation = policy.openhands.conversation
    agent = replace(conversation.agent, llm=llm)
    return replace(policy, openhands=replace(policy.openhands, conversation=replace(conversation, agent=agent)))


def session_key(settings: Settings, policy: Policy) -> Callable[[], Awaitable[str]] | None:
    """Reads the key of an agent-server that is somebody else's, now; None where it has none."""
    variable = policy.openhands.transport.session_api_key_env
    if variable is None and SESSION_KEY not in settings.secrets:
        return None
    read = secret_reader(settings)
    return lambda: read(SESSION_KEY, variable)


def secret_reader(settings: Settings) -> ReadSecret:
    """Reads a secret from where the settings say, by its name or else from its environment variable."""

    async def read(name: str, variable: str | None) -> str:
        secret = await settings.secret(name, variable).reveal()
        logs.know_secret(secret)
        return secret

    return read


def host_secrets(settings: Settings) -> Secrets:
    """The same for services, which keep in the store what they are given themselves."""

    def is_given(name: str) -> bool:
        return name in settings.secrets or settings.secret(name).available()

    return Secrets(read=secret_reader(settings), is_given=is_given, directory=Path(settings.store_dir))


async def model_environment(policy: Policy, settings: Settings) -> dict[str, str]:
    """The model's key and address under the names that the policy gives them.

    A model without a key (one that runs on this machine) is allowed; a key that is named but cannot be read is not.
    """
    llm = policy.openhands.conversation.agent.llm
    found: dict[str, str] = {}
    secret = settings.secret("llm_api_key", llm.api_key_env)
    if secret.available() or "llm_api_key" in settings.secrets:
        key = await secret.reveal()
        logs.know_secret(key)
        found[llm.api_key_env] = key
    base_url = os.environ.get(llm.base_url_env, "").strip() or settings.llm_base_url
    if base_url:
        found[llm.base_url_env] = base_url
    return found
