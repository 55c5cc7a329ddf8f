"""Whose the agent-server is, and what is refused in its address."""

from __future__ import annotations

import pytest

from opensymphony.workflow.policy import is_loopback

URL = "openhands.transport.base_url"


@pytest.mark.parametrize(
    ("section", "external", "port"),
    [
        ("{}", False, 0),
        ("{transport: {base_url: 'http://127.0.0.1:8000'}}", False, 8000),
        ("{transport: {base_url: 'http://localhost:8000/a/path'}}", False, 8000),
        ("{transport: {base_url: 'http://127.0.0.1:8000', session_api_key_env: KEY}}", True, 0),
        ("{transport: {base_url: 'http://127.0.0.1:8000'}, local_server: {enabled: false}}", True, 0),
        ("{transport: {base_url: 'https://127.0.0.1:8000'}}", True, 0),
        ("{transport: {base_url: 'https://agents.example.com/a'}}", True, 0),
    ],
)
def test_a_plain_loopback_address_is_for_a_server_of_ours(read, section: str, external: bool, port: int) -> None:
    """Anything else is somebody else's; ours takes the port that is named, and no path."""
    loaded = read(f"openhands: {section}")
    assert loaded.problems == ()
    assert (loaded.policy.openhands.is_external, loaded.policy.openhands.wanted_port) == (external, port)


@pytest.mark.parametrize(
    ("section", "key", "says"),
    [
        ("{transport: {base_url: 'http://agents.example.com'}}", URL, "must be https"),
        ("{transport: {base_url: 'https://user:word@agents.example.com'}}", URL, "no credential"),
        ("{transport: {base_url: 'https://agents.example.com/?a=b'}}", URL, "no credential, query"),
        ("{transport: {base_url: 'agents.example.com'}}", URL, "is not an address"),
        ("{transport: {base_url: 'ftp://agents.example.com'}}", URL, "is not an address"),
        ("{transport: {base_url: 'http://127.0.0.1:99999'}}", URL, "not a readable address"),
        ("{transport: {base_url: 'http://[::1'}}", URL, "not a readable address"),
        ("{transport: {session_api_key_env: KEY}}", "openhands.transport.session_api_key_env", "means nothing without"),
        ("{local_server: {enabled: false}}", "openhands.local_server.enabled", "names no other server"),
        (
            "{transport: {base_url: 'https://a.example'}, local_server: {count: 2}}",
            "openhands.local_server.count",
            "means nothing where",
        ),
        ("{local_server: {count: 0}}", "openhands.local_server.count", ""),
        ("{local_server: {command: []}}", "openhands.local_server.command", "none of them blank"),
        ("{local_server: {command: [a, ' ']}}", "openhands.local_server.command", ""),
    ],
)
def test_what_cannot_be_meant_is_refused(read, section: str, key: str, says: str) -> None:
    """One line with the key and what to write."""
    loaded = read(f"openhands: {section}")
    assert loaded.policy is None
    (problem,) = loaded.problems
    assert problem.key.startswith(key)
    assert says in problem.message


def test_this_machine_is_known_by_its_names_and_numbers() -> None:
    """What only looks like it is not."""
    assert [is_loopback(host) for host in ("localhost", "127.0.0.9", "::1")] == [True] * 3
    assert [is_loopback(host) for host in ("localhost.example.com", "128.0.0.1", "")] == [False] * 3
