"""Keys without a field: of other projects, of later releases, and removed ones."""

import pytest

from opensymphony.schema import key_paths
from opensymphony.workflow import keys
from opensymphony.workflow.policy import Policy


@pytest.mark.parametrize(
    "key",
    [
        *("worker", "observability", "logging"),
        *("knowledge", "routing"),
    ],
)
def test_known_keys_of_later_releases_say_so(read, key):
    """They are accepted with a warning of its own kind."""
    loaded = read(f"{key}: {{a: 1}}")
    (problem,) = loaded.problems
    assert (problem.severity, problem.code, problem.key) == ("warning", "not_in_effect", key)
    assert loaded.policy is not None


def test_keys_of_opensymphony_load(read):
    """What has no effect is told, what was removed is an error with what to do."""
    front = """\
openhands:
  transport: {base_url: http://127.0.0.1:8000}
  websocket: {ready_timeout_ms: 1}
  local_server: {command: [a], startup_timeout_ms: 9}
  conversation:
    persistence_dir_relative: .opensymphony/openhands
    confirmation_policy: {kind: NeverConfirm}
    max_iterations: 7
    agent:
      llm: {model: openai/gpt-5.4, api_key_env: $MY_KEY}
      tools: [{name: terminal, params: {}}, {name: file_editor}]
"""
    loaded = read(front)
    assert [(problem.key.rpartition(".")[2], problem.code) for problem in loaded.problems] == [
        ("websocket", "not_in_effect"),
        ("persistence_dir_relative", "ignored_key"),
        ("params", "not_in_effect"),
    ]
    openhands = loaded.policy.openhands
    assert openhands.local_server.startup_timeout_ms == 9
    assert openhands.local_server.command == ("a",)
    assert (openhands.is_external, openhands.wanted_port) == (False, 8000)
    assert openhands.conversation.max_iterations == 7
    assert openhands.conversation.agent.llm.api_key_env == "MY_KEY"
    assert openhands.conversation.agent.tools == ("terminal", "file_editor")


def test_a_removed_key_is_an_error_with_what_to_do(read):
    """`openhands.mcp` is gone."""
    loaded = read("openhands: {mcp: {stdio_servers: []}}")
    (problem,) = loaded.problems
    assert (problem.severity, problem.code, problem.key) == ("error", "removed_key", "openhands.mcp")
    assert "delete the section" in problem.message


def test_no_key_has_both_a_field_and_a_verdict():
    """A key that takes effect is taken off the list."""
    assert not set(keys.documented()) & set(key_paths(Policy))
    assert all(keys.verdict(key) for key in keys.documented())
    assert keys.verdict("poling") is None
