"""The host's settings: where things listen and are kept, and where the secrets are.

In: `opensymphony.toml` (given by `--config`, else beside the WORKFLOW.md, else in the user's configuration directory), the
environment, and what the command line said. Out: `Settings` with absolute paths, and every problem with file, key and line.
A setting given in several places: the command line wins, then the environment, the file, WORKFLOW.md, the default.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import anyio
import platformdirs
from msgspec import Meta, Struct, field

from opensymphony.errors import ConfigurationError, Problem
from opensymphony.schema import Placed, Reader, Surroundings, looks_secret, shown, variable_in

APPLICATION = "opensymphony"
FILE_NAME = "opensymphony.toml"
FILE_BYTES_MAX = 262_144
SECRET_BYTES_MAX = 65_536
_DEVNULL = -3
"""`subprocess.DEVNULL`: that module is not for us."""
SECRET_TIMEOUT_S = 20
"""For a command that prints a secret: long enough to unlock a key ring."""
DEFAULT_PORT = 2468
DEFAULT_HOST = "127.0.0.1"

TOOL_DIRECTORY_VARIABLE = "OPENSYMPHONY_TOOL_DIR"

SECRET_VARIABLES = {
    "llm_api_key": "LLM_API_KEY",
    "openhands_session_api_key": "OPENHANDS_SESSION_API_KEY",
    "jira_api_token": "JIRA_API_TOKEN",
    "jira_webhook_secret": "JIRA_WEBHOOK_SECRET",
    "jira_oauth_client_secret": "JIRA_OAUTH_CLIENT_SECRET",
    "jira_oauth_refresh_token": "JIRA_OAUTH_REFRESH_TOKEN",
    "linear_api_key": "LINEAR_API_KEY",
    "github_token": "GITHUB_TOKEN",
    "gitlab_token": "GITLAB_TOKEN",
    "bitbucket_token": "BITBUCKET_TOKEN",
}
"""Each secret by its name in `[secrets]`, with the environment variable where it is looked for by default."""

LATER_VARIABLES = ("OPENHANDS_API_URL",)
"""Names of the founding documents that are known, but not yet in effect in this release."""

_Path = Annotated[str, Meta(extra={"as": "path"})]
_Reference = Annotated[str, Meta(extra={"as": "verbatim"})]
_Name = Annotated[str, Meta(extra={"as": "name"})]


class ServerSettings(Struct, frozen=True, kw_only=True):
    """The operator's HTTP listener."""

    host: str | None = None
    """A loopback address."""
    port: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    """0 takes a free one, which `run` prints."""


class PublicSettings(Struct, frozen=True, kw_only=True):
    """The listener for webhooks, which others may reach; off unless it has a port."""

    host: str = "127.0.0.1"
    """Where it listens; a tunnel or a proxy with TLS brings calls there."""
    port: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    """0 takes a free one, which `run` prints. Left out, there is no such listener."""
    url: str | None = None
    """Where others reach it, without `/webhook/...`; `doctor` tries whether calls to it arrive."""
    sources: tuple[str, ...] = ()
    """Networks from which calls are taken, such as `104.192.136.0/21`; empty: from everywhere, if they are signed."""


class StoreSettings(Struct, frozen=True, kw_only=True):
    """What the daemon must not lose."""

    directory: _Path | None = None
    """Journal, owner record, mirrors and locks of one WORKFLOW.md."""


class ToolsSettings(Struct, frozen=True, kw_only=True):
    """The pinned agent-server."""

    directory: _Path | None = None
    """Its environment and its conversations."""


class LogsSettings(Struct, frozen=True, kw_only=True):
    """What is written down, and where."""

    directory: _Path | None = None
    """The rotating log files; on the terminal the same lines go to standard error."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important line that is kept."""
    format: Literal["text", "json"] = "text"
    """Of the lines on standard error; the files are always JSON."""


class Secret(Struct, frozen=True, kw_only=True):
    """Where a secret is; never the secret itself, so printing one shows nothing. Exactly one field is set."""

    env: _Name | None = None
    """Name of an environment variable."""
    file: _Path | None = None
    """A file that holds nothing else; it should be readable by its owner only."""
    command: tuple[_Reference, ...] | None = None
    """A program and its arguments, which prints the secret on standard output."""

    async def reveal(self) -> str:
        """Read the secret now: it may have been renewed. Raises `ConfigurationError`, which names the place only."""
        if self.env is not None:
            text, reason = os.environ.get(self.env, ""), f"environment variable {self.env} is not set or empty"
        elif self.file is not None:
            text, reason = await _from_file(self.file), f"{self.file} is empty or cannot be read"
        elif self.command:
            text, reason = await _from_command(self.command), f"{shlex.quote(self.command[0])} printed no secret"
        else:
            text, reason = "", "no place is given for this secret"
        if not (secret := text.strip()):
            raise ConfigurationError((Problem(file=FILE_NAME, key="secrets", message=reason, code="missing_secret"),))
        return secret

    def available(self) -> bool:
        """Whether there seems to be a secret, without reading it; a command is not run."""
        if self.env is not None:
            return bool(os.environ.get(self.env, "").strip())
        if self.file is not None:
            return os.access(self.file, os.R_OK)
        return bool(self.command)


class IsolationSettings(Struct, frozen=True, kw_only=True):
    """What agents, hooks and checks may reach besides their own places, where they are isolated."""

    readable: tuple[_Path, ...] = ()
    """Further files and directories to read and run, such as toolchains in your home directory."""
    writable: tuple[_Path, ...] = ()
    """Further ones to change, such as a cache."""


class _File(Struct, frozen=True, kw_only=True):
    """An `opensymphony.toml`."""

    server: ServerSettings = ServerSettings()
    public: PublicSettings = PublicSettings()
    store: StoreSettings = StoreSettings()
    tools: ToolsSettings = ToolsSettings()
    logs: LogsSettings = LogsSettings()
    isolation: IsolationSettings = IsolationSettings()
    secrets: dict[str, Secret] = field(default_factory=dict[str, Secret])


class Settings(Struct, frozen=True, kw_only=True):
    """Everything about this host that a command needs; every path is absolute."""

    workflow_path: str
    config_path: str | None
    """The `opensymphony.toml` in force; None when there is none."""
    store_dir: str
    """Journal, owner record, mirrors and locks."""
    logs_dir: str
    tool_dir: str
    """The pinned agent-server."""
    host: str
    port: int
    public: PublicSettings = PublicSettings()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    isolation: IsolationSettings = IsolationSettings()
    secrets: dict[str, Secret] = field(default_factory=dict[str, Secret])
    """Only those that the file names; ask `secret`."""
    llm_model: str | None = None
    """`LLM_MODEL`, for a policy that names no model."""
    llm_base_url: str | None = None
    """`LLM_BASE_URL`."""

    def secret(self, name: str, variable: str | None = None) -> Secret:
        """Where the secret `name` is: what the file says, else `variable`, else the environment variable known for it."""
        return self.secrets.get(name) or Secret(env=variable or SECRET_VARIABLES.get(name) or name.upper())


class Overrides(Struct, frozen=True, kw_only=True):
    """What the command line and the WORKFLOW.md say about things that are settings too."""

    port: int | None = None
    host: str | None = None
    policy_port: int | None = None
    policy_host: str | None = None


def load_settings(
    workflow_path: str,
    *,
    config_path: str | None = None,
    overrides: Overrides | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[Settings, tuple[Problem, ...]]:
    """The settings and what is wrong with them; what was wrong has its default. Never raises."""
    env = os.environ if environment is None else environment
    workflow = _absolute(workflow_path)
    place, problems = _find(workflow, config_path)
    file = _File()
    if place is not None:
        file, problems = _read(place, env)
    given = overrides or Overrides()
    store = file.store.directory or str(platformdirs.user_state_path(APPLICATION) / store_name(workflow))
    settings = Settings(
        workflow_path=workflow,
        config_path=str(place) if place is not None else None,
        store_dir=store,
        logs_dir=file.logs.directory or os.path.join(store, "logs"),
        tool_dir=_tool_directory(env, file),
        host=_first(given.host, file.server.host, given.policy_host, DEFAULT_HOST),
        port=_first(given.port, file.server.port, given.policy_port, DEFAULT_PORT),
        public=file.public,
        log_level=file.logs.level,
        log_format=file.logs.format,
        isolation=file.isolation,
        secrets=file.secrets,
        llm_model=env.get("LLM_MODEL") or None,
        llm_base_url=env.get("LLM_BASE_URL") or None,
    )
    return settings, problems


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def store_name(workflow_path: str) -> str:
    """The directory of one WORKFLOW.md's store: readable, and the same whatever links led to it.

    The links of its directory are followed, but not a link that is the file itself: such a file is replaced by pointing
    the link elsewhere, and stays the same WORKFLOW.md.
    """
    directory, name = os.path.split(os.path.abspath(workflow_path))
    canonical = os.path.join(os.path.realpath(directory), name)
    slug = re.sub(r"[^a-z0-9]+", "-", os.path.basename(os.path.dirname(canonical)).lower()).strip("-")[:40]
    return f"{slug or 'workflow'}-{hashlib.sha256(os.fsencode(canonical)).hexdigest()[:12]}"


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _first(*candidates: Any) -> Any:
    return next(value for value in candidates if value is not None)


def _tool_directory(env: Mapping[str, str], file: _File) -> str:
    if named := env.get(TOOL_DIRECTORY_VARIABLE):
        return _absolute(named)
    return file.tools.directory or os.path.join(os.path.expanduser("~"), ".opensymphony", "openhands-server")


def _find(workflow_path: str, config_path: str | None) -> tuple[Path | None, tuple[Problem, ...]]:
    if config_path is not None:
        given = Path(_absolute(config_path))
        if given.is_file():
            return given, ()
        message = "there is no such file: correct --config, or leave it out"
        return None, (Problem(file=str(given), message=message, code="missing_settings_file"),)
    beside = Path(os.path.dirname(workflow_path)) / FILE_NAME
    candidates = (beside, platformdirs.user_config_path(APPLICATION) / FILE_NAME)
    return next((path for path in candidates if path.is_file()), None), ()


def _read(place: Path, env: Mapping[str, str]) -> tuple[_File, tuple[Problem, ...]]:
    name = str(place)
    data = b""
    try:
        data = place.read_bytes()
        if len(data) > FILE_BYTES_MAX:
            raise ValueError(f"has more than {FILE_BYTES_MAX} bytes: shorten it")
        text = data.decode("utf-8").removeprefix("\ufeff")
        root = _placed(tomllib.loads(text), _lines(text), ())
    except OSError as error:
        return _File(), (Problem(file=name, message=f"cannot be read: {error.strerror}", code="settings_unreadable"),)
    except (ValueError, RecursionError) as error:
        return _File(), (_syntax_problem(name, error, data.count(b"\n") + 1),)
    around = Surroundings(environment=env, home=os.path.expanduser("~"), directory=str(place.parent))
    reader = Reader(name, around)
    file = reader.read(_File, _secrets(root, reader))
    if file is None:
        return _File(), tuple(reader.problems)
    if file.server.host is not None and not is_loopback(file.server.host):
        message = (
            f"{shown(file.server.host)} is not a loopback address: use 127.0.0.1, and a tunnel from other machines"
        )
        reader.note("server.host", message)
    if file.public.url is not None and not re.fullmatch(r"https?://[^/?#@\s]+(/[^?#\s]*)?", file.public.url):
        reader.note("public.url", f"{shown(file.public.url)} is no address, such as https://hooks.example.com")
    for at, network in enumerate(file.public.sources):
        try:
            ipaddress.ip_network(network)
        except ValueError:
            reader.note(f"public.sources[{at}]", f"{shown(network)} is no network, such as 104.192.136.0/21")
    return file, tuple(sorted(reader.problems, key=lambda problem: problem.line or 0))


def _syntax_problem(name: str, error: Exception, lines: int) -> Problem:
    message = " ".join(str(error).split())[:200]
    if isinstance(error, UnicodeDecodeError):
        message = "is not UTF-8 text: save the file as UTF-8"
    elif isinstance(error, RecursionError):
        message = "is nested too deeply: simplify it"
    place = re.search(r"\(at line (\d+), column \d+\)", message)
    line = int(place[1]) if place else None
    if message.endswith(" (at end of document)"):
        message, line = message.removesuffix(" (at end of document)"), lines
    text = message[: place.start()].strip() if place else message
    return Problem(file=name, message=f"not readable as TOML: {text}", line=line, code="settings_parse_error")


def _secrets(root: Placed, reader: Reader) -> Placed:
    """Check the references before they are read, so that a secret written here by mistake is shown nowhere."""
    tree = dict(root.value) if isinstance(root.value, dict) else {}
    section = tree.get("secrets")
    if section is None or not isinstance(section.value, dict):
        return root
    kept: dict[str, Placed] = {}
    for name, placed in section.value.items():
        key = f"secrets.{name}"
        named = variable_in(placed.value) if isinstance(placed.value, str) else None
        if named is not None:
            kept[name] = Placed({"env": Placed(named, placed.line)}, placed.line)
        elif not isinstance(placed.value, dict) or len(placed.value) != 1:
            message = 'must say where the secret is: { env = "NAME" }, { file = "PATH" } or { command = ["PROGRAM"] }'
            reader.note(key, message, line=placed.line)
        else:
            kept[name] = placed
        if name not in SECRET_VARIABLES and not looks_secret(name):
            known = ", ".join(SECRET_VARIABLES)
            reader.note(
                key, f"unknown secret: known are {known}", line=placed.line, code="unknown_key", severity="warning"
            )
    tree["secrets"] = Placed(kept, section.line)
    return Placed(tree, root.line)


def _placed(value: Any, lines: Mapping[tuple[str, ...], int], path: tuple[str, ...]) -> Placed:
    # A value inside a table on one line has no line of its own: then the nearest one above it.
    line = next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), None)
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return Placed({key: _placed(child, lines, (*path, key)) for key, child in items}, line)
    if isinstance(value, list):
        return Placed(tuple(_placed(child, lines, path) for child in cast("list[Any]", value)), line)
    return Placed(value if isinstance(value, bool | int | float | str) else str(value), line)


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of each key, found by reading the text as people do: tomllib keeps no places."""
    found: dict[tuple[str, ...], int] = {}
    section: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(r"\s*\[([^\[\]]{1,200})\]\s*(?:#.*)?$", line):
            section = _parts(header[1])
            found.setdefault(section, number)
        elif assignment := re.match(r"\s*([^=#\[\]{}]{1,200})=", line):
            found.setdefault((*section, *_parts(assignment[1])), number)
    return found


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


async def _from_file(path: str) -> str:
    try:
        async with await anyio.open_file(path, "rb") as file:
            return (await file.read(SECRET_BYTES_MAX)).decode("utf-8", "replace")
    except OSError:
        return ""


async def _from_command(command: tuple[str, ...]) -> str:
    """Not through `processes.run`: a key ring's agent that this starts is meant to stay."""
    with anyio.move_on_after(SECRET_TIMEOUT_S):
        try:
            done = await anyio.run_process(command, check=False, stdin=_DEVNULL, stderr=_DEVNULL)
        except OSError:
            return ""
        return done.stdout[:SECRET_BYTES_MAX].decode("utf-8", "replace") if done.returncode == 0 else ""
    return ""
