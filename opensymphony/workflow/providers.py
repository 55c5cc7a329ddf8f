"""What `tracker.provider` may hold, by the kind of tracker: checked, completed from the environment, and without any secret.

In: the provider as read, and what it may refer to. Out: the provider with what is left out filled in, its paths absolute and
its secret named. Each adapter reads it again as a type of its own.
"""

from __future__ import annotations

import difflib
import re
from urllib.parse import urlsplit

from opensymphony.schema import Placed, Reader, absolute_path, shown, variable_in
from opensymphony.workflow.policy import TrackerPolicy, is_loopback

STATES = {"jira": (("To Do", "In Progress"), ("Done", "Closed", "Cancelled", "Canceled", "Duplicate"))}
"""Active and terminal states where none are named and the tracker's own words differ from Symphony's."""

COMMENT_INTERVAL_MS = {"jira": 60_000}

_JIRA_ENVIRONMENT = {
    "base_url": ("JIRA_BASE_URL", "JIRA_URL"),
    "email": ("JIRA_EMAIL", "JIRA_USER_EMAIL"),
}
_JIRA_KEYS = (
    *("base_url", "email", "api_token", "project_key", "jql", "api_url", "gateway_url"),
    *("acceptance_criteria_field", "blocker_link", "oauth_client_id", "oauth_token_url"),
)
_PROJECT_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}")
_FIELD = re.compile(r"customfield_\d{1,9}")


def with_states(kind: str | None, tracker: dict[str, Placed]) -> dict[str, Placed]:
    """The section with the tracker's own names of states where it has none."""
    active, terminal = STATES.get(kind or "", ((), ()))
    given = {key: placed for key, placed in tracker.items() if placed.value is not None}
    for key, states in (("active_states", active), ("terminal_states", terminal)):
        if states and key not in given:
            given[key] = Placed(tuple(Placed(state, None) for state in states), None)
    return given


def with_interval(kind: str | None, reporting: dict[str, Placed]) -> dict[str, Placed]:
    """The section with the least time between two edits of a comment, where the tracker mails each to people."""
    interval_ms = COMMENT_INTERVAL_MS.get(kind or "")
    placed = reporting.get("comment_interval_ms")
    if interval_ms is None or (placed is not None and placed.value is not None):
        return reporting
    return {**reporting, "comment_interval_ms": Placed(interval_ms, None)}


def check_provider(tracker: TrackerPolicy, reader: Reader) -> None:
    """Note what is wrong, and complete the provider in place."""
    if reader.failed("tracker.provider"):
        return
    if tracker.kind == "files":
        _check_files(tracker, reader)
    elif tracker.kind == "jira":
        _check_jira(tracker, reader)


def _check_files(tracker: TrackerPolicy, reader: Reader) -> None:
    key = "tracker.provider.path"
    path = tracker.provider.get("path")
    if path is None or (isinstance(path, str) and not path.strip()):
        reader.note(key, "is missing: write the folder of your tickets", code="missing_files_path")
    elif not isinstance(path, str):
        reader.note(key, f"must be a text, not {shown(path)}", code="missing_files_path")
    else:
        try:
            tracker.provider["path"] = absolute_path(path.strip(), reader.around)
        except ValueError as error:
            reader.note(key, str(error))


def _check_jira(tracker: TrackerPolicy, reader: Reader) -> None:
    provider = tracker.provider
    _warn_of_unknown(provider, reader)
    for key, names in _JIRA_ENVIRONMENT.items():
        value = provider.get(key) or next(filter(None, map(reader.around.environment.get, names)), None)
        if value is not None:
            provider[key] = value
    _name_token(provider, reader)
    for key in _JIRA_KEYS:
        value = provider.get(key)
        if value is not None and not isinstance(value, str):
            reader.note(f"tracker.provider.{key}", f"must be a text, not {shown(value)}")
            provider[key] = None
        elif isinstance(value, str):
            provider[key] = value.strip() or None
    if not provider.get("base_url"):
        reader.note("tracker.provider.base_url", "is missing: write https://NAME.atlassian.net, or set JIRA_URL")
    for key in ("base_url", "api_url", "gateway_url", "oauth_token_url"):
        if provider.get(key):
            _check_address(f"tracker.provider.{key}", str(provider[key]), reader)
    project = provider.get("project_key")
    if not project:
        reader.note("tracker.provider.project_key", "is missing: write the letters in front of PROJ-123")
    elif not _PROJECT_KEY.fullmatch(project):
        reader.note("tracker.provider.project_key", f"{shown(project)} is no key of a project, such as PROJ")
    field = provider.get("acceptance_criteria_field")
    if field and not _FIELD.fullmatch(field):
        message = f"{shown(field)} is no id of a field, such as customfield_10035"
        reader.note("tracker.provider.acceptance_criteria_field", message)
    if re.search(r"\border\s+by\b", provider.get("jql") or "", re.IGNORECASE):
        reader.note("tracker.provider.jql", "must be a condition alone: the order is ours")
    if provider.get("oauth_client_id") and provider.get("api_token_env"):
        message = "has no effect beside oauth_client_id: leave one of them out"
        reader.note("tracker.provider.api_token", message, severity="warning")
    for key in [key for key, value in provider.items() if value is None]:
        del provider[key]


def _warn_of_unknown(provider: dict[str, object], reader: Reader) -> None:
    for key in provider:
        if key not in _JIRA_KEYS:
            near = difflib.get_close_matches(key.lower()[:80], _JIRA_KEYS, 1, 0.6)
            hint = f": did you mean {near[0]}?" if near else ": it has no effect"
            message = f"unknown key{hint}"
            reader.note(f"tracker.provider.{key}", message, code="unknown_key", severity="warning")


def _name_token(provider: dict[str, object], reader: Reader) -> None:
    """`api_token: $NAME` says where it is; the token itself has no place in this file."""
    token = provider.pop("api_token", None)
    if token is None:
        return
    name = variable_in(token) if isinstance(token, str) else None
    if name is None:
        message = "must be $NAME of an environment variable: a token does not belong into this file"
        reader.note("tracker.provider.api_token", message)
    else:
        provider["api_token_env"] = name


def _check_address(key: str, url: str, reader: Reader) -> None:
    try:
        address = urlsplit(url)
        host = address.hostname
    except ValueError:
        host, address = None, urlsplit("")
    if not host or address.scheme not in ("https", "http"):
        reader.note(key, f"{shown(url)} is no address: write one such as https://acme.atlassian.net")
    elif address.username or address.password or address.query or address.fragment:
        reader.note(key, "must hold no credential, query or fragment")
    elif address.scheme == "http" and not is_loopback(host):
        reader.note(key, "must be https: the token goes there")
