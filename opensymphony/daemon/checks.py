"""The checks of `doctor`: each says what it looked at and, when it fails, what to do."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import anyio.to_thread

from opensymphony import processes
from opensymphony.agents import installation_state
from opensymphony.api.client import find_daemon
from opensymphony.clock import Clock, new_id
from opensymphony.daemon.confinement import chosen_isolation, is_root
from opensymphony.daemon.model_access import host_secrets, model_environment, with_model
from opensymphony.daemon.model_prices import budget_problems, describe_call, look_up
from opensymphony.daemon.webhook_check import webhook_check
from opensymphony.errors import ConfigurationError, InstanceError, OpenSymphonyError, Problem, WorkspaceError
from opensymphony.isolation import hindrance
from opensymphony.scheduler.budget import limits
from opensymphony.services import check_tracker, open_code_host, open_tracker
from opensymphony.settings import Settings
from opensymphony.views import Check
from opensymphony.workflow.policy import Policy
from opensymphony.workflow.prompt import render_branch, render_command, render_prompt, sample_ticket
from opensymphony.workspace.git import Git
from opensymphony.workspace.paths import without_credentials

_PROBE_TIMEOUT_MS = 10_000
_GIT_OLDEST = (2, 30)


async def run_checks(settings: Settings, policy: Policy | None, problems: Sequence[Problem]) -> tuple[Check, ...]:
    """Every check, in the order in which a person would mend things. Starts nothing and changes nothing."""
    checks = [_workflow(settings, policy, problems), await _tool("git", ["git", "--version"]), _uv()]
    if policy is None:
        return (
            *checks,
            *_skipped("prompt", "repository", "tracker", "model", "budget", "workspace-root"),
            _server(settings),
        )
    checks += [
        _prompt(policy),
        await _repository(policy, settings),
        await _tracker(policy, settings),
        await _model(policy, settings),
    ]
    checks += [await _code_host(policy, settings)] if policy.code_host is not None else []
    checks += await check_tracker(policy, Clock(), host_secrets(settings))
    checks.append(await webhook_check(settings, policy))
    checks.append(await anyio.to_thread.run_sync(_budget, policy, settings))
    checks += [_directory("workspace-root", policy.workspace.root), _directory("store", settings.store_dir)]
    checks += [_directory("logs", settings.logs_dir), _server(settings), _port(settings)]
    checks.append(await anyio.to_thread.run_sync(_isolation, policy, settings))
    return tuple(checks)


def _skipped(*names: str) -> list[Check]:
    return [Check(name=name, status="skip", detail="WORKFLOW.md cannot be used yet") for name in names]


def _workflow(settings: Settings, policy: Policy | None, problems: Sequence[Problem]) -> Check:
    said = "; ".join(str(problem) for problem in problems)
    if policy is None or any(problem.severity == "error" for problem in problems):
        fix = "correct it; `opensymphony config check` shows one problem a line"
        if any(problem.code == "missing_workflow_file" for problem in problems):
            fix = "go to the directory of your WORKFLOW.md or name it; docs/quickstart.md shows how to write one"
        return Check(name="workflow", status="fail", detail=said, fix=fix)
    if problems:
        return Check(name="workflow", status="warn", detail=said)
    return Check(name="workflow", status="pass", detail=settings.workflow_path)


async def require_git() -> None:
    """Raises `WorkspaceError` when there is no git that we can work with; asked before anything is made."""
    check = await _tool("git", ["git", "--version"])
    if check.status == "fail":
        raise WorkspaceError(f"{check.detail}: {check.fix}", error_class="person")


async def _tool(name: str, argv: list[str]) -> Check:
    found = shutil.which(argv[0])
    if found is None:
        return Check(
            name=name,
            status="fail",
            detail=f"{name} was not found on the PATH",
            fix=f"install {name} (on Debian: apt-get install {name})",
        )
    done = await processes.run(
        argv, cwd="/", env=processes.scrubbed_environment(new_id()), timeout_ms=_PROBE_TIMEOUT_MS
    )
    if done.exit_code != 0:
        return Check(
            name=name,
            status="fail",
            detail=f"{found} does not work: {done.output.strip()[-200:]}",
            fix=f"repair {name}",
        )
    version = done.output.strip().splitlines()[0] if done.output.strip() else "unknown version"
    numbers = tuple(int(part) for part in version.split()[-1].split(".")[:2] if part.isdigit())
    if name == "git" and numbers and numbers < _GIT_OLDEST:
        return Check(name=name, status="fail", detail=version, fix="install git 2.30 or later")
    return Check(name=name, status="pass", detail=f"{version} ({found})")


def _uv() -> Check:
    found = os.environ.get("OPENSYMPHONY_UV") or shutil.which("uv")
    if found is None:
        return Check(
            name="uv",
            status="warn",
            detail="uv was not found on the PATH; only `opensymphony install` needs it",
            fix="install it, or use ./dev, which brings it, when the agent-server has to be installed",
        )
    return Check(name="uv", status="pass", detail=found)


def _prompt(policy: Policy) -> Check:
    ticket = sample_ticket()
    templates: list[tuple[str, Callable[[], str]]] = [("prompt", lambda: render_prompt(policy.prompt, ticket, 1))]
    repository, command = policy.repository, policy.verify.command
    if repository is not None:
        templates.append(("repository.branch", lambda: render_branch(repository.branch, ticket)))
    if command is not None:
        templates.append(("verify.command", lambda: render_command(command, ticket)))
    try:
        sizes = [f"{name} {len(render())} characters" for name, render in templates]
    except ConfigurationError as error:
        return Check(name="prompt", status="fail", detail=str(error), fix="correct the template in WORKFLOW.md")
    return Check(name="prompt", status="pass", detail=f"rendered with a sample ticket: {', '.join(sizes)}")


async def _repository(policy: Policy, settings: Settings) -> Check:
    repository = policy.repository
    if repository is None:
        return Check(name="repository", status="pass", detail="none: workspaces start empty for hooks.after_create")
    # As a run does it: another configuration or environment of git would prove nothing.
    shown, said = without_credentials(repository.url), f"no answer within {_PROBE_TIMEOUT_MS // 1000} s"
    arguments = ["ls-remote", "--exit-code", "--heads", "--", repository.url, f"refs/heads/{repository.base}"]
    try:
        async with AsyncExitStack() as stack:
            host = None
            if policy.code_host is not None:
                host = open_code_host(policy.code_host, Clock(), host_secrets(settings))
                stack.push_async_callback(host.close)
            git = Git(new_id(), host.git_login if host is not None else None)
            with anyio.move_on_after(_PROBE_TIMEOUT_MS / 1000):
                answer = await git.ask(arguments, url=repository.url)
                if answer.exit_code == 0:
                    return Check(name="repository", status="pass", detail=f"{shown} has the branch {repository.base}")
                said = without_credentials(" ".join(answer.errors.split()))[:300] or "no such branch"
    except OpenSymphonyError as error:  # no git at all, or no token: the other checks are still worth making
        said = str(error)
    return Check(
        name="repository",
        status="fail",
        detail=f"{shown}: {repository.base} cannot be read: {said}",
        fix="correct repository.url or repository.base in WORKFLOW.md",
    )


async def _code_host(policy: Policy, settings: Settings) -> Check:
    """Asks for a pull request that there need not be: whether we are let in, without changing anything."""
    assert policy.code_host is not None
    name, kind = "code-host", policy.code_host.kind
    try:
        host = open_code_host(policy.code_host, Clock(), host_secrets(settings))
        try:
            await host.find(policy.repository.base if policy.repository is not None else "main")
        finally:
            await host.close()
    except OpenSymphonyError as error:
        return Check(name=name, status="fail", detail=str(error), fix="correct code_host in WORKFLOW.md, or its token")
    return Check(name=name, status="pass", detail=f"pull requests of {kind} can be read")


async def _tracker(policy: Policy, settings: Settings) -> Check:
    try:
        tracker = open_tracker(policy.tracker, Clock(), host_secrets(settings))
        try:
            page = await tracker.fetch_candidates(policy.tracker.active_states)
        finally:
            await tracker.close()
    except OpenSymphonyError as error:
        return Check(name="tracker", status="fail", detail=str(error), fix="correct the tracker section of WORKFLOW.md")
    detail = f"{len(page.tickets)} ticket{'' if len(page.tickets) == 1 else 's'} in an active state"
    if page.problems:
        return Check(name="tracker", status="warn", detail=f"{detail}; {'; '.join(page.problems)}")
    return Check(name="tracker", status="pass", detail=detail)


async def _model(policy: Policy, settings: Settings) -> Check:
    try:
        chosen = with_model(policy, settings)
        environment = await model_environment(chosen, settings)
    except ConfigurationError as error:
        return Check(name="model", status="fail", detail=str(error), fix="set LLM_MODEL and LLM_API_KEY")
    llm = chosen.openhands.conversation.agent.llm
    if llm.api_key_env not in environment:
        return Check(
            name="model",
            status="warn",
            detail=f"{llm.model}; {llm.api_key_env} is not set, which only a local model does without",
        )
    return Check(
        name="model", status="pass", detail=f"{llm.model}; its key comes from the place that the settings name"
    )


def _budget(policy: Policy, settings: Settings) -> Check:
    """The limits, what one call may take of them, and where the prices come from."""
    try:
        priced = look_up(with_model(policy, settings), settings)
    except ConfigurationError:
        return Check(name="budget", status="skip", detail="no model is named yet")
    set_limits = [
        f"{scope} {amount}"
        for scope, limit in limits(priced.policy)
        for amount in (
            None if limit.tokens is None else f"{limit.tokens:,} tokens",
            None if limit.cost is None else f"{limit.cost:,.2f} in money",
        )
        if amount is not None
    ]
    told = f"{', '.join(set_limits) or 'no limit'} (days in {policy.budget.timezone})"
    prices = f"prices of {priced.source}" if priced.source else "its price is not known"
    detail = f"{told}; one model call may take {describe_call(priced.policy)}; {prices}"
    problems = budget_problems(priced, settings)
    if not problems:
        return Check(name="budget", status="pass", detail=detail)
    failed = any(problem.severity == "error" for problem in problems)
    said = "; ".join(f"{problem.key} {problem.message}" for problem in problems)
    return Check(
        name="budget",
        status="fail" if failed else "warn",
        detail=said if failed else f"{detail}; {said}",
        fix="correct budget.* or the model's prices in WORKFLOW.md",
    )


def _directory(name: str, place: str) -> Check:
    path = Path(place)
    there = path
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check(
            name=name,
            status="fail",
            detail=f"{place}: {there} cannot be written",
            fix="correct its permissions, or name another place",
        )
    free_mb = shutil.disk_usage(there).free // 1_000_000
    if free_mb < 500:
        return Check(name=name, status="warn", detail=f"{place}: only {free_mb} MB are free")
    return Check(name=name, status="pass", detail=f"{place} ({free_mb:,} MB free)")


def _server(settings: Settings) -> Check:
    status, detail = installation_state(Path(settings.tool_dir))
    if status == "complete":
        return Check(name="agent-server", status="pass", detail=detail)
    return Check(
        name="agent-server", status="fail", detail=f"{status}: {detail}", fix="run `opensymphony install openhands`"
    )


def _port(settings: Settings) -> Check:
    if settings.port == 0:
        return Check(name="port", status="pass", detail="a free one is taken")
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            owner = _daemon_at(settings)
            if owner is not None:
                return Check(name="port", status="pass", detail=f"this project's daemon listens there (pid {owner})")
            return Check(
                name="port",
                status="fail",
                detail=f"{settings.host}:{settings.port} cannot be used: {error.strerror}",
                fix="does another project's daemon run? else choose another with server.port in opensymphony.toml",
            )
    return Check(name="port", status="pass", detail=f"{settings.host}:{settings.port} is free")


def _daemon_at(settings: Settings) -> int | None:
    """The pid of the daemon of this store, if it is what listens at the port."""
    try:
        address = find_daemon(settings.store_dir)
    except InstanceError:
        return None
    alive = processes.is_alive(address.pid, processes.process_start_time(address.pid))
    return address.pid if alive and address.port == settings.port else None


def _isolation(policy: Policy, settings: Settings) -> Check:
    """The level that `run` would choose, and what keeps a stronger one from working."""
    try:
        found = chosen_isolation(policy, settings)
    except ConfigurationError as error:
        (problem,) = error.problems
        return Check(name="isolation", status="fail", detail=problem.message, fix="mend that, or ask for another level")
    better = hindrance("sandbox")
    if found.level == "sandbox":
        return Check(name="isolation", status="pass", detail=found.describe())
    fix = better or "leave the key isolation out of WORKFLOW.md: a sandbox works here"
    root = "; this user is root, and run wants --allow-root" if found.level == "none" and is_root() else ""
    return Check(name="isolation", status="warn", detail=found.describe() + root, fix=fix)
