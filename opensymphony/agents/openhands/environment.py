"""What a managed agent-server finds around it: directories and keys are made, its command line and environment come out.

Each setting has its reason beside it; all were measured on the pinned server.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from opensymphony.clock import new_secret
from opensymphony.errors import AgentServerError
from opensymphony.isolation import View
from opensymphony.processes import scrubbed_environment
from opensymphony.workflow.policy import LocalServerPolicy

HOST = "127.0.0.1"
_RUN = (
    "import runpy, openhands.agent_server.config as config; config.export_session_api_key = lambda config: None; "
    "runpy.run_module('openhands.agent_server', run_name='__main__', alter_sys=True)"
)
"""The server would write its session key into its environment, for tools that we do not use; the tmux that it starts for agents
inherits that, and agents can read it there."""
_FORMAT = 1
"""Rises when a server that an older release has started must not be taken over."""
_SOCKET_PATH_MAX = 107
_TMUX_TAIL = len("/tmux-4294967295/openhands-") + 32
_GIT_IDENTITY = "[user]\n\tname = OpenSymphony agent\n\temail = agent@opensymphony.invalid\n"


class Places(Struct, frozen=True, kw_only=True):
    """Where a managed server keeps what it keeps; all absolute."""

    state: Path
    """Ours: owner record, secret key, log, the private home of agents."""
    conversations: Path

    @property
    def home(self) -> Path:
        return self.state / "agent-home"

    @property
    def openhands(self) -> Path:
        return self.state / "openhands"

    @property
    def log(self) -> Path:
        return self.state / "agent-server.log"

    @property
    def owner_record(self) -> Path:
        return self.state / "agent-server.json"

    @property
    def secret_key(self) -> Path:
        return self.state / "agent-server.secret"


def command_line(python: str, port: int, command: Sequence[str] | None = None) -> list[str]:
    """The host is named because a server with a session key would listen everywhere else. `command` comes from the policy.

    The thread pool is sized by the number of processors, and one thread is held by every tool that runs and every attach that
    waits: 64 as an option of the interpreter, since in the environment every program of the agents would believe it.
    """
    own = [python, "-u", "-X", "cpu_count=64", "-c", _RUN]
    return [*(command or own), "--host", HOST, "--port", str(port)]


def installation_of(python: str) -> tuple[str, str]:
    """The directories that an interpreter of ours needs to run: its environment, and what that is based on."""
    return str(Path(python).parent.parent), str(Path(os.path.realpath(python)).parent.parent)


def view_of(places: Places, python: str, workspace_root: str) -> View:
    """What the server and its agents need to see: what it is, what it keeps, and the workspaces."""
    kept = (places.conversations, places.home, places.openhands, _tmux_directory(places.state))
    return View(readable=installation_of(python), writable=(*map(str, kept), workspace_root))


def launch_mark(places: Places, python: str, policy: LocalServerPolicy, *more: object) -> str:
    """What a running server has to have been started with to be as good as a new one; no secret goes in."""
    told = (
        _FORMAT,
        python,
        policy.command,
        sorted(policy.env.items()),
        str(places.conversations),
        sorted(DEFAULTS.items()),
        more,
    )
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def initialisation(places: Places, session_key: str) -> dict[str, object]:
    """The keys of a server that has started: so that they stand in no environment, which agents could read. Reads a file."""
    # Without a secret key that stays the same, stored conversations lose the model's key after a restart.
    return {"session_api_keys": [session_key], "secret_key": _secret_key(places.secret_key)}


def prepare(places: Places, *, nonce: str, init_key: str, extra: Mapping[str, str]) -> dict[str, str]:
    """Make the directories, and return the server's environment. Reads and writes files.

    `init_key` is good for one thing only: to tell the server its keys, once.
    """
    for directory in (places.state, places.conversations, places.home, places.openhands):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Agents commit, and their home is not the user's: without a name git refuses.
    with contextlib.suppress(FileExistsError), (places.home / ".gitconfig").open("x") as file:
        file.write(_GIT_IDENTITY)
    ours = {
        "HOME": str(places.home),
        # It starts without keys and does nothing until it is told them: what it was started with, agents can read.
        "OH_DEFERRED_INIT": "1",
        "OH_SECRET_KEY": init_key,
        "OH_CONVERSATIONS_PATH": str(places.conversations),
        "OH_PERSISTENCE_DIR": str(places.openhands),
        "OH_BASH_EVENTS_DIR": str(places.openhands / "bash"),
        "OH_WORKSPACE_PATH": str(places.openhands / "workspace"),
        "OH_CONVERSATION_WORKTREE_ROOT": str(places.openhands / "worktrees"),
        "OPENHANDS_AGENT_SERVER_CONFIG_PATH": str(places.openhands / "no-configuration.json"),
        # A socket below a directory that stays the same: the next server ends what a killed one left in tmux.
        "TMUX_TMPDIR": str(_tmux_directory(places.state)),
    }
    return scrubbed_environment(nonce, DEFAULTS | dict(extra) | ours)


DEFAULTS = {
    # One server per store: a lease left by a killed one makes its conversations unreachable for 45 s.
    "OH_LEASE_TTL_SECONDS": "0",
    "OH_MAX_CONCURRENT_RUNS": "50",
    "OH_ENABLE_VSCODE": "0",
    "OH_ENABLE_BROWSER": "0",
    "OH_PRELOAD_TOOLS": "0",
    # Its timestamps are naive local time.
    "TZ": "UTC",
    # The default handler blocks the whole server for seconds to render a traceback.
    "LOG_JSON": "true",
    "LOG_RICH_TRACEBACKS": "false",
    "OPENHANDS_SUPPRESS_BANNER": "1",
    # Else it asks the network for model prices at each start.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "DO_NOT_TRACK": "1",
    "ANONYMIZED_TELEMETRY": "false",
    "OH_TELEMETRY_EXPORTER": "none",
}


def _secret_key(path: Path) -> str:
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(new_secret())
            file.flush()
            os.fsync(file.fileno())
    key = path.read_text().strip()
    if not key:
        raise AgentServerError(f"{path}: the agent-server's secret key is empty: delete the file to make a new one")
    return key


def _tmux_directory(state: Path) -> Path:
    """Below our state where the path of a Unix socket has room for it, else a short one that only we can enter."""
    directory = state / "tmux"
    if len(os.fsencode(directory)) + _TMUX_TAIL > _SOCKET_PATH_MAX:
        digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:8]
        directory = Path(tempfile.gettempdir()) / f"opensymphony-{os.getuid()}-{digest}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise AgentServerError(f"{directory}: it belongs to somebody else: remove it")
    directory.chmod(0o700)
    return directory
