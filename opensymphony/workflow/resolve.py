"""From a document to a policy.

In: a parsed `Document` and what it may refer to (environment, home and base directory, as values: nothing is read here).
Out: the `Policy`, or None, and every problem with file, key and line. Three steps: other spellings are brought into ours,
the Structs of `policy.py` are read, and what concerns more than one key is checked.
"""

from __future__ import annotations

import difflib
import re
from urllib.parse import urlsplit

import msgspec

from opensymphony.errors import Problem
from opensymphony.model import encodable
from opensymphony.schema import Placed, Reader, Surroundings, absolute_path, is_path, looks_secret, shown, variable_in
from opensymphony.workflow import keys, prompt
from opensymphony.workflow.agent_options import DEFAULT_TOOLS, LLM_OPTIONS
from opensymphony.workflow.parse import Document
from opensymphony.workflow.policy import OpenHandsPolicy, Policy, is_loopback
from opensymphony.workflow.providers import check_code_host, check_provider, with_interval, with_states
from opensymphony.workflow.pull_request import check_merge, check_templates

_Section = dict[str, Placed]
_AUTHOR = re.compile(r"[^<>\n]{1,200} <[^<>@\s]{1,100}@[^<>@\s]{1,200}>")


def resolve(document: Document, file: str, around: Surroundings) -> tuple[Policy | None, tuple[Problem, ...]]:
    """The policy of a document. Errors leave no policy; warnings do."""
    reader = Reader(file, around, keys.verdict)
    front = dict(document.front.value) if isinstance(document.front.value, dict) else {}
    for key, child in front.items():
        reader.lines[key] = child.line
    kind = _tracker_kind(front, document, reader)
    _legacy_tracker_keys(front, kind, reader)
    _codex(front, reader)
    _verify(front)
    _limits(front, reader)
    _tools(front, reader)
    if "prompt" in front:
        reader.note("prompt", "is not a key: the prompt stands below the front matter", code="unknown_key")
    front["prompt"] = Placed(document.prompt or prompt.DEFAULT_PROMPT, document.prompt_line)
    policy = reader.read(Policy, Placed(front, document.front.line))
    _check_prompt(document, reader)
    if policy is not None:  # perhaps with defaults where something was wrong: the rest can still be checked
        policy = _completed(policy, around)
        _check(policy, reader)
    problems = tuple(sorted(reader.problems, key=lambda problem: (problem.line or 0, problem.severity)))
    if any(problem.severity == "error" for problem in problems):
        return None, problems
    return policy, problems


def _section(parent: _Section, key: str) -> _Section | None:
    """A copy of a section that may be changed; None when there is none."""
    placed = parent.get(key)
    return dict(placed.value) if placed is not None and isinstance(placed.value, dict) else None


def _replace(parent: _Section, key: str, value: _Section) -> None:
    parent[key] = Placed(value, parent[key].line if key in parent else None)


def _tracker_kind(front: _Section, document: Document, reader: Reader) -> str | None:
    """The tracker's kind if we have it. Without one nothing else about the tracker can be said."""
    tracker = _section(front, "tracker")
    placed = tracker.get("kind") if tracker else None
    value = placed.value if placed is not None else None
    if placed is not None and isinstance(value, str) and (name := variable_in(value)):
        value = reader.around.environment.get(name, value)
    if value is None or (isinstance(value, str) and not value.strip()):
        hint = "" if document.has_front_matter else " (no front matter was found: the first line must be --- alone)"
        line = placed.line if placed is not None else (front["tracker"].line if "tracker" in front else 1)
        reader.note("tracker.kind", f"is missing: write kind: files{hint}", line=line, code="missing_tracker_kind")
    elif isinstance(value, str) and value.strip().lower() not in keys.TRACKER_KINDS:
        kind = value.strip().lower()
        known = kind in keys.LATER_TRACKER_KINDS
        reason = "is known, but not in this release" if known else "is not known"
        message = f"tracker {shown(kind)} {reason}: this release has {', '.join(keys.TRACKER_KINDS)}"
        line = placed.line if placed is not None else None
        reader.note("tracker.kind", message, line=line, code="unsupported_tracker_kind")
    elif isinstance(value, str):
        return value.strip().lower()
    else:
        return None
    # The reader would report the missing or unusable kind a second time.
    _replace(front, "tracker", {**(tracker or {}), "kind": Placed("unknown", placed.line if placed else None)})
    return None


def _legacy_tracker_keys(front: _Section, kind: str | None, reader: Reader) -> None:
    """Symphony's flat Linear keys go into `provider`; for the files tracker they mean nothing."""
    tracker = _section(front, "tracker")
    if tracker is None:
        return
    provider = _section(tracker, "provider") or {}
    for key in keys.LEGACY_TRACKER_KEYS:
        placed = tracker.pop(key, None)
        if placed is None:
            continue
        if kind in keys.TRACKER_KINDS:
            message = f"belongs to Symphony's Linear tracker and means nothing to {kind}: delete it"
            reader.note(f"tracker.{key}", message, line=placed.line, code=keys.IGNORED, severity="warning")
        elif key not in provider:
            provider[key] = placed
    if provider:
        _replace(tracker, "provider", provider)
    _replace(front, "tracker", with_states(kind, tracker))
    reporting = _section(front, "reporting") if "reporting" in front else {}
    if reporting is not None:
        _replace(front, "reporting", with_interval(kind, reporting))


def _codex(front: _Section, reader: Reader) -> None:
    """Symphony's own runner: only its stall time-out has a meaning here, where `agent` does not say another."""
    placed = front.pop("codex", None)
    if placed is None:
        return
    codex = placed.value if isinstance(placed.value, dict) else {}
    for key, child in codex.items():
        if key != "stall_timeout_ms":
            message = "belongs to Symphony's Codex runner and has no effect on OpenHands agents"
            reader.note(f"codex.{key}", message, line=child.line, code=keys.IGNORED, severity="warning")
    stall = codex.get("stall_timeout_ms")
    if stall is None or stall.value is None:
        return
    agent = _section(front, "agent") or {}
    if "stall_timeout_ms" in agent:
        message = "agent.stall_timeout_ms is there too and counts: delete this one"
        reader.note("codex.stall_timeout_ms", message, line=stall.line, code=keys.IGNORED, severity="warning")
        return
    # Symphony's specification turns stall detection off with any number that is not above zero.
    off = isinstance(stall.value, int) and not isinstance(stall.value, bool) and stall.value <= 0
    agent["stall_timeout_ms"] = Placed(0, stall.line) if off else stall
    _replace(front, "agent", agent)


def _verify(front: _Section) -> None:
    """`verify: make test` is short for `verify: {command: make test}`."""
    placed = front.get("verify")
    if placed is not None and isinstance(placed.value, str):
        front["verify"] = Placed({"command": placed}, placed.line)


def _limits(front: _Section, reader: Reader) -> None:
    """Names of limits are trimmed and in lower case; one that makes no sense is left out with a warning, as Symphony has it."""
    for key in ("max_concurrent_agents_by_state", "max_concurrent_agents_by_label"):
        agent = _section(front, "agent")
        limits = _section(agent, key) if agent else None
        if agent is None or limits is None:
            continue
        _replace(agent, key, _kept_limits(limits, f"agent.{key}", reader))
        _replace(front, "agent", agent)


def _kept_limits(limits: _Section, path: str, reader: Reader) -> _Section:
    kept: _Section = {}
    for key, placed in limits.items():
        name = key.strip().lower()
        limit = _positive(placed.value)
        if not name or limit is None:
            message = (
                f"must be a whole number of at least 1 for a named {path[-5:]}, not {shown(placed.value)}: left out"
            )
            reader.note(f"{path}.{key}", message, line=placed.line, code="ignored_value", severity="warning")
        elif name in kept:
            message = f"stands here twice, spelled differently (line {kept[name].line}): the first one counts"
            reader.note(f"{path}.{key}", message, line=placed.line, code="ignored_value", severity="warning")
        else:
            kept[name] = Placed(limit, placed.line)
    return kept


def _positive(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\s*\+?[0-9]{1,4}\s*", value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1_000:
        return value
    return None


def _tools(front: _Section, reader: Reader) -> None:
    """OpenSymphony writes tools as `{name, params}`; we keep the names."""
    openhands = _section(front, "openhands")
    conversation = _section(openhands, "conversation") if openhands else None
    agent = _section(conversation, "agent") if conversation else None
    if openhands is None or conversation is None or agent is None or "tools" not in agent:
        return
    tools = agent["tools"]
    if not isinstance(tools.value, tuple):
        return
    path = "openhands.conversation.agent.tools"
    names: list[Placed] = []
    for at, item in enumerate(tools.value):
        name = item.value.get("name") if isinstance(item.value, dict) else item
        names.append(name if name is not None else Placed(None, item.line))
        others = [key for key in item.value if key != "name"] if isinstance(item.value, dict) else []
        for key in others:
            message = "is known, but not yet in effect in this release: a tool is taken as it is"
            reader.note(f"{path}[{at}].{key}", message, line=item.line, code=keys.NOT_IN_EFFECT, severity="warning")
    agent["tools"] = Placed(tuple(names), tools.line)
    _replace(conversation, "agent", agent)
    _replace(openhands, "conversation", conversation)
    _replace(front, "openhands", openhands)


def _completed(policy: Policy, around: Surroundings) -> Policy:
    """Fill in what depends on the machine, and bring lists that are compared into one form."""
    tracker = msgspec.structs.replace(
        policy.tracker,
        kind=policy.tracker.kind.lower(),
        provider=dict(policy.tracker.provider),
        required_labels=tuple(dict.fromkeys(label.strip().lower() for label in policy.tracker.required_labels)),
    )
    temporary = around.environment.get("TMPDIR") or "/tmp"
    if encodable(temporary) != temporary:
        temporary = "/tmp"
    root = policy.workspace.root or absolute_path(f"{temporary}/symphony_workspaces", around)
    workspace = msgspec.structs.replace(policy.workspace, root=root)
    host = policy.code_host
    if host is not None:
        host = msgspec.structs.replace(host, kind=host.kind.lower(), provider=dict(host.provider))
    return msgspec.structs.replace(policy, tracker=tracker, workspace=workspace, code_host=host)


def _check(policy: Policy, reader: Reader) -> None:
    """What the types cannot say."""
    check_provider(policy.tracker, reader)
    _check_states(policy, reader)
    _check_polling(policy, reader)
    _check_repository(policy, reader)
    check_code_host(policy, reader)
    check_merge(policy, reader)
    check_templates(policy.pull_request, reader)
    _check_commands(policy, reader)
    _check_openhands(policy, reader)
    _check_budget(policy, reader)
    _check_server(policy, reader)


def _check_states(policy: Policy, reader: Reader) -> None:
    if reader.failed("tracker.active_states", "tracker.terminal_states"):
        return
    active = {state.lower() for state in policy.tracker.active_states}
    for at, state in enumerate(policy.tracker.terminal_states):
        if state.lower() in active:
            key = f"tracker.terminal_states[{at}]"
            reader.note(key, f"{shown(state)} is an active state too: a ticket cannot be both")
    if not active:
        message = "is empty: no ticket will ever start"
        reader.note("tracker.active_states", message, code="no_active_states", severity="warning")
    if "" in policy.tracker.required_labels:
        message = "holds a blank label, which no ticket has: no ticket will ever start"
        reader.note("tracker.required_labels", message, code="blank_label", severity="warning")
    moves = policy.reporting.transitions
    if moves.started is not None and moves.started.lower() not in active:
        message = f"{shown(moves.started)} is not an active state: the run would stop itself"
        reader.note("reporting.transitions.started", f"{message}; add it to tracker.active_states")
    for name in ("succeeded", "merged", "needs_attention"):
        state = getattr(moves, name)
        if state is not None and state.lower() in active:
            message = f"{shown(state)} is an active state: the ticket would start again; choose another"
            reader.note(f"reporting.transitions.{name}", message)


def _check_polling(policy: Policy, reader: Reader) -> None:
    polling = policy.polling
    if reader.failed("polling"):
        return
    if polling.min_interval_ms is not None and polling.min_interval_ms > polling.interval_ms:
        reader.note("polling.min_interval_ms", f"must be at most polling.interval_ms ({polling.interval_ms})")
    if polling.max_interval_ms is not None and polling.max_interval_ms < polling.interval_ms:
        reader.note("polling.max_interval_ms", f"must be at least polling.interval_ms ({polling.interval_ms})")


def _check_repository(policy: Policy, reader: Reader) -> None:
    repository = policy.repository
    if repository is None:
        return
    key = "repository.url"
    if not is_path(repository.url):
        try:
            address = urlsplit(repository.url)
        except ValueError:
            reader.note(key, "is not a readable address: correct it")
            return
        if address.password or (address.scheme in ("http", "https") and address.username):
            reader.note(key, "must not hold a credential: take it out and let git's credential helper give it")
        elif "::" in repository.url.partition("/")[0] or repository.url.startswith("-"):
            reader.note(key, "names a transport that runs programs: use https, ssh, git, file or a path")
    elif repository.url.startswith("-"):
        reader.note(key, "begins with a dash, which git would take as an option: write ./ before it")
    if reason := prompt.branch_fault(repository.base):
        reader.note("repository.base", f"{reason}: write the name of a branch")
    if repository.author is not None and not _AUTHOR.fullmatch(repository.author):
        reader.note("repository.author", f"{shown(repository.author)} is no author: write Name <name@example.com>")
    for fault in prompt.check_branch(repository.branch):
        reader.note("repository.branch", fault.message, code=prompt.TEMPLATE_ERROR)


def _check_commands(policy: Policy, reader: Reader) -> None:
    command = policy.verify.command
    if command is None:
        return
    if not command.strip():
        reader.note("verify.command", "is empty: write a command, or leave the key out")
        return
    for fault in prompt.check_command(command):
        reader.note("verify.command", fault.message, code=prompt.TEMPLATE_ERROR)


def _check_openhands(policy: Policy, reader: Reader) -> None:
    for name in policy.openhands.local_server.env:
        key = f"openhands.local_server.env.{name}"
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            reader.note(key, "is not the name of an environment variable")
        elif looks_secret(name):
            reader.note(key, "looks like a credential, which agents must not have: take it out")
    _check_transport(policy.openhands, reader)
    agent = policy.openhands.conversation.agent
    for name, value in agent.llm.options.items():
        if not isinstance(value, str | int | float | bool):
            reader.note(f"openhands.conversation.agent.llm.options.{name}", f"must be one value, not {shown(value)}")
        if name not in LLM_OPTIONS:
            near = difflib.get_close_matches(name, LLM_OPTIONS, n=1)
            hint = f": did you mean {near[0]}?" if near else ", or not one to be set here"
            message = f"is no setting of a model that the agent-server knows{hint}"
            reader.note(f"openhands.conversation.agent.llm.options.{name}", message)
    for name in agent.include_default_tools:
        if name not in DEFAULT_TOOLS:
            message = f"{shown(name)} is not known: one of {', '.join(DEFAULT_TOOLS)}"
            reader.note("openhands.conversation.agent.include_default_tools", message)
    if agent.include_default_tools and "FinishTool" not in agent.include_default_tools:
        message = "has no FinishTool: an agent ends its turns with a plain answer only"
        reader.note("openhands.conversation.agent.include_default_tools", message, severity="warning")
    if agent.kind != "Agent":
        reader.note("openhands.conversation.agent.kind", f"{shown(agent.kind)} is not known: this release has Agent")
    if (
        not reader.failed("openhands.conversation.agent.condenser")
        and agent.condenser.keep_first * 2 >= agent.condenser.max_size
    ):
        message = f"must be less than half of max_size ({agent.condenser.max_size})"
        reader.note("openhands.conversation.agent.condenser.keep_first", message)


def _check_transport(openhands: OpenHandsPolicy, reader: Reader) -> None:
    command, url = openhands.local_server.command, openhands.transport.base_url
    if command is not None and (not command or not all(word.strip() for word in command)):
        reader.note("openhands.local_server.command", "must be a program and its arguments, none of them blank")
    key = "openhands.transport.base_url"
    if url is None:
        if openhands.transport.session_api_key_env is not None:
            reader.note("openhands.transport.session_api_key_env", f"means nothing without {key}: name the server")
        elif not openhands.local_server.enabled:
            reader.note("openhands.local_server.enabled", f"is false, and {key} names no other server: name one")
        return
    try:
        address = urlsplit(url.strip())
        port = address.port
    except ValueError:
        reader.note(key, f"{shown(url)} is not a readable address: write one such as https://agents.example.com")
        return
    if address.scheme not in ("http", "https") or not address.hostname or port == 0:
        reader.note(key, f"{shown(url)} is not an address: write one such as https://agents.example.com")
    elif address.username or address.password or address.query or address.fragment:
        message = "must hold no credential, query or fragment: name the key's variable in session_api_key_env"
        reader.note(key, message)
    elif address.scheme == "http" and not is_loopback(address.hostname):
        message = "must be https where the server is on another machine: the session key and every prompt go there"
        reader.note(key, message)
    elif openhands.is_external and openhands.local_server.count > 1:
        reader.note("openhands.local_server.count", f"means nothing where {key} names a server of others: delete one")


def _check_budget(policy: Policy, reader: Reader) -> None:
    zone, known = policy.budget.timezone, reader.around.knows_zone
    if known is not None and not reader.failed("budget.timezone") and not known(zone):
        message = f"{shown(zone)} is not a time zone: write a name such as UTC or Europe/Berlin"
        reader.note("budget.timezone", message, code="unknown_time_zone")


def _check_server(policy: Policy, reader: Reader) -> None:
    host = policy.server.host
    if not is_loopback(host):
        message = f"{shown(host)} is not a loopback address: use 127.0.0.1, and a tunnel from other machines"
        reader.note("server.host", message)


def _check_prompt(document: Document, reader: Reader) -> None:
    for fault in prompt.check_prompt(document.prompt) if document.prompt else ():
        line = document.prompt_line + (fault.line or 1) - 1
        reader.note("prompt", fault.message, line=line, code=prompt.TEMPLATE_ERROR)
