"""Which model, and where its key comes from."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from opensymphony import logs
from opensymphony.daemon.model_access import host_secrets, model_environment, with_model
from opensymphony.errors import ConfigurationError
from opensymphony.settings import Settings, load_settings
from opensymphony.workflow.policy import LlmPolicy, Policy
from tests.scheduler.playbook import policy


def settings(tmp_path: Path, toml: str = "") -> Settings:
    """As a host with this opensymphony.toml."""
    (tmp_path / "opensymphony.toml").write_text(toml)
    loaded, problems = load_settings(str(tmp_path / "WORKFLOW.md"))
    assert problems == ()
    return loaded


def with_llm(llm: LlmPolicy) -> Policy:
    base = policy()
    conversation = base.openhands.conversation
    replace = msgspec.structs.replace
    agent = replace(conversation.agent, llm=llm)
    return replace(base, openhands=replace(base.openhands, conversation=replace(conversation, agent=agent)))


def model_of(chosen: Policy) -> str | None:
    return chosen.openhands.conversation.agent.llm.model


def test_the_policys_model_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then LLM_MODEL; without either a person is told where to name one."""
    monkeypatch.setenv("LLM_MODEL", "openai/from-environment")
    assert model_of(with_model(with_llm(LlmPolicy(model="openai/mine")), settings(tmp_path))) == "openai/mine"
    assert model_of(with_model(policy(), settings(tmp_path))) == "openai/from-environment"
    monkeypatch.delenv("LLM_MODEL")
    with pytest.raises(ConfigurationError) as refused:
        with_model(policy(), settings(tmp_path))
    assert str(refused.value) == (
        f"{tmp_path}/WORKFLOW.md: openhands.conversation.agent.llm.model: no model is named: "
        "set it here, or set LLM_MODEL (as litellm names it, such as openai/gpt-5.4)"
    )


async def test_key_and_address_go_under_the_policys_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment variables that the policy names."""
    monkeypatch.setenv("MY_KEY", "canary")
    monkeypatch.setenv("MY_URL", " http://127.0.0.1:1 ")
    chosen = with_llm(LlmPolicy(model="m", api_key_env="MY_KEY", base_url_env="MY_URL"))
    assert await model_environment(chosen, settings(tmp_path)) == {"MY_KEY": "canary", "MY_URL": "http://127.0.0.1:1"}


async def test_the_settings_say_where_the_key_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference in opensymphony.toml wins over the environment; the address has its founding name too."""
    (tmp_path / "key").write_text("from a file\n")
    (tmp_path / "key").chmod(0o600)
    monkeypatch.setenv("LLM_API_KEY", "from the environment")
    monkeypatch.setenv("LLM_BASE_URL", "http://127.0.0.1:2")
    found = await model_environment(
        with_llm(LlmPolicy(model="m")), settings(tmp_path, '[secrets]\nllm_api_key = {file = "key"}\n')
    )
    assert found == {"LLM_API_KEY": "from a file", "LLM_BASE_URL": "http://127.0.0.1:2"}


async def test_a_local_model_needs_no_key(tmp_path: Path) -> None:
    """Nothing named, nothing given."""
    assert await model_environment(with_llm(LlmPolicy(model="m")), settings(tmp_path)) == {}


async def test_a_key_that_is_named_but_not_there_is_refused(tmp_path: Path) -> None:
    """One line with the place; never an agent without its key."""
    with pytest.raises(ConfigurationError) as refused:
        await model_environment(
            with_llm(LlmPolicy(model="m")), settings(tmp_path, '[secrets]\nllm_api_key = {file = "gone"}\n')
        )
    assert "gone" in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_services_know_whether_a_secret_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its variable, or by the settings, also where it cannot be read there; their own they keep in the store."""
    secrets = host_secrets(settings(tmp_path, '[secrets]\njira_api_token = { file = "missing" }\n'))
    assert secrets.is_given("jira_api_token")
    assert not secrets.is_given("jira_oauth_refresh_token")
    monkeypatch.setenv("JIRA_OAUTH_REFRESH_TOKEN", "canary-token")
    assert secrets.is_given("jira_oauth_refresh_token")
    assert await secrets.read("jira_oauth_refresh_token", None) == "canary-token"
    assert logs.redacted("canary-token") == "[redacted]"
    assert str(secrets.directory) == settings(tmp_path).store_dir
