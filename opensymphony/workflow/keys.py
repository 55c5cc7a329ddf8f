"""Keys that stand in other people's WORKFLOW.md files, or will stand in ours, and have no field in `policy.py`.

`verdict` is asked about each key without a field: removed keys are errors with what to do instead, the rest are warnings.
"""

from __future__ import annotations

from opensymphony.schema import Verdict

NOT_IN_EFFECT = "not_in_effect"
"""Code of a key that is known, and accepted, but changes nothing in this release."""

IGNORED = "ignored_key"
"""Code of a key of Symphony or OpenSymphony that means nothing with our agent-server."""

REMOVED = "removed_key"

TRACKER_KINDS = ("files", "jira")
LATER_TRACKER_KINDS = ("linear", "github", "gitlab")

CODE_HOST_KINDS = ("bitbucket",)
LATER_CODE_HOST_KINDS = ("github", "gitlab")

LEGACY_TRACKER_KEYS = ("endpoint", "api_key", "project_slug")
"""Symphony's flat keys of its Linear tracker; taken into `tracker.provider` where that does not have them."""

_LATER = "is known, but not yet in effect in this release"

_NOT_IN_EFFECT = {
    "worker": f"{_LATER}: agents run on this host",
    "observability": f"{_LATER}: the dashboard has no settings here",
    "logging": f"{_LATER}: logs are set in opensymphony.toml, [logs]",
    "knowledge": _LATER,
    "routing": _LATER,
    "openhands.websocket": f"{_LATER}: the session socket needs no settings",
    "openhands.local_server.readiness_probe_path": f"{_LATER}: the daemon knows where to probe",
    "openhands.conversation.agent.log_completions": _LATER,
    "openhands.conversation.agent.llm.credential_mode": f"{_LATER}: an API key is used",
    "openhands.conversation.agent.llm.subscription": f"{_LATER}: an API key is used",
}

_IGNORED = {
    "openhands.conversation.persistence_dir_relative": "is ignored by the agent-server: it keeps conversations in its own"
    " store; delete the key",
}

_REMOVED = {
    "openhands.mcp": "was removed: agents get no MCP servers from this file, and the tracker is written by the daemon;"
    " delete the section, and put commands that an agent needs on its PATH with hooks.after_create",
}


def verdict(path: str) -> Verdict | None:
    """What is to be said about a key that has no field; None when nobody knows it."""
    if path in _REMOVED:
        return Verdict(code=REMOVED, message=_REMOVED[path], severity="error")
    if path in _NOT_IN_EFFECT:
        return Verdict(code=NOT_IN_EFFECT, message=_NOT_IN_EFFECT[path])
    if path in _IGNORED:
        return Verdict(code=IGNORED, message=_IGNORED[path])
    return None


def documented() -> tuple[str, ...]:
    """Every key that has a verdict, in the order of the documentation."""
    return (*_NOT_IN_EFFECT, *_IGNORED, *_REMOVED)
