"""What `tracker.provider` and `code_host.provider` may hold, by kind: checked, completed, and without any secret.

In: the provider as read, and what it may refer to. Out: the provider with what is left out filled in, its paths absolute and
its secret named. Each adapter reads it again as a type of its own.
"""

from __future__ import annotations

import difflib
import re
from urllib.parse import urlsplit

from opensymphony.schema import Placed, Reader, absolute_path, is_path, shown, variable_in
from opensymphony.workflow import keys
from opensymphony.workflow.policy import Policy, RepositoryPolicy, TrackerPolicy, is_loopback

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

BITBUCKET_HOSTS = ("bitbucket.org", "altssh.bitbucket.org")
BITBUCKET_API = "https://api.bitbucket.org/2.0"
_BITBUCKET_KEYS = ("workspace", "repository", "api_url", "email", "token", "git_user")
_SLUG = re.compile(r"[A-Za-z0-9_.-]{1,128}|\{[0-9a-fA-F-]{36}\}")
_SCP_ADDRESS = re.compile(r"(?:[^@/:]+@)?(?P<host>[^/:]+):(?P<path>[^/].*)")


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
    _warn_of_unknown("tracker.provider", provider, _JIRA_KEYS, reader)
    for key, names in _JIRA_ENVIRONMENT.items():
        value = provider.get(key) or next(filter(None, map(reader.around.environment.get, names)), None)
        if value is not None:
            provider[key] = value
    _name_token("tracker.provider", provider, "api_token", reader)
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


def check_code_host(policy: Policy, reader: Reader) -> None:
    """Note what is wrong, and complete the provider in place from the repository's address."""
    host = policy.code_host
    if host is None or reader.failed("code_host", "repository"):
        return
    if host.kind not in keys.CODE_HOST_KINDS:
        known = host.kind in keys.LATER_CODE_HOST_KINDS
        reason = "is known, but not in this release" if known else "is not known"
        message = f"code host {shown(host.kind)} {reason}: this release has {', '.join(keys.CODE_HOST_KINDS)}"
        reader.note("code_host.kind", message, code="unsupported_code_host_kind")
    elif policy.repository is None:
        reader.note("code_host", "needs a repository to open pull requests in: write repository.url")
    else:
        _check_bitbucket(host.provider, policy.repository, reader)


def _check_bitbucket(provider: dict[str, object], repository: RepositoryPolicy, reader: Reader) -> None:
    section = "code_host.provider"
    _warn_of_unknown(section, provider, _BITBUCKET_KEYS, reader)
    _name_token(section, provider, "token", reader)
    for key in _BITBUCKET_KEYS:
        value = provider.get(key)
        if value is not None and not isinstance(value, str):
            reader.note(f"{section}.{key}", f"must be a text, not {shown(value)}")
            return
        provider[key] = value.strip() or None if isinstance(value, str) else None
    host, names = _place_of(repository.url)
    provider["api_url"] = str(provider["api_url"] or BITBUCKET_API).rstrip("/")
    _check_address(f"{section}.api_url", str(provider["api_url"]), reader)
    # The token goes wherever we push, so that must be the host which it is for.
    if provider["api_url"] == BITBUCKET_API and host not in BITBUCKET_HOSTS:
        message = "is not on bitbucket.org, which code_host.kind says: correct the one or the other"
        reader.note("repository.url", message)
        return
    for key, found in zip(("workspace", "repository"), names or ("", ""), strict=True):
        value = provider[key] = provider[key] or found
        if not value:
            reader.note(f"{section}.{key}", "is missing: write it as in bitbucket.org/WORKSPACE/REPOSITORY")
        elif not _SLUG.fullmatch(str(value)) or value in (".", ".."):
            reader.note(f"{section}.{key}", f"{shown(value)} is no slug, as in bitbucket.org/WORKSPACE/REPOSITORY")
    for key in ("email", "git_user"):
        if not re.fullmatch(r"[!-9;-~]{1,200}", str(provider[key] or "-")):
            reader.note(f"{section}.{key}", f"{shown(provider[key])} cannot be meant: no spaces and no colon")
    for key in [key for key, value in provider.items() if value is None]:
        del provider[key]


def _place_of(url: str) -> tuple[str, tuple[str, str] | None]:
    """The host of a repository's address, and its workspace and slug where it has them."""
    if is_path(url):
        return "", None
    if "://" in url:
        address = urlsplit(url)
        host, path = address.hostname or "", address.path
    else:
        found = _SCP_ADDRESS.fullmatch(url)
        host, path = (found["host"].lower(), found["path"]) if found else ("", "")
    parts = path.strip("/").removesuffix(".git").split("/")
    return host, (parts[0], parts[1]) if len(parts) == 2 else None


def _warn_of_unknown(section: str, provider: dict[str, object], known: tuple[str, ...], reader: Reader) -> None:
    for key in provider:
        if key not in known:
            near = difflib.get_close_matches(key.lower()[:80], known, 1, 0.6)
            hint = f": did you mean {near[0]}?" if near else ": it has no effect"
            message = f"unknown key{hint}"
            reader.note(f"{section}.{key}", message, code="unknown_key", severity="warning")


def _name_token(section: str, provider: dict[str, object], key: str, reader: Reader) -> None:
    """`api_token: $NAME` says where it is; the token itself has no place in this file."""
    token = provider.pop(key, None)
    if token is None:
        return
    name = variable_in(token) if isinstance(token, str) else None
    if name is None:
        message = "must be $NAME of an environment variable: a token does not belong into this file"
        reader.note(f"{section}.{key}", message)
    else:
        provider[f"{key}_env"] = name


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
