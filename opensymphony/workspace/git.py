"""Every call of git that the daemon makes.

In: arguments, and which repository, work tree and index. Out: standard output, or a `WorkspaceError` of one line. No
configuration but our own is read: not the system's, not the user's, and callers never name a repository that an agent can
write to as the one git runs in (see inspection.py).
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Literal

import anyio.to_thread
from msgspec import Struct

from opensymphony import processes
from opensymphony.errors import ErrorClass, OpenSymphonyError, WorkspaceError
from opensymphony.workspace.login import Handed, ReadLogin, handed_over, place_of
from opensymphony.workspace.paths import without_credentials

LOCAL_TIMEOUT_MS = 120_000
"""For work on this machine's disk: a status over a very large work tree takes tens of seconds."""

REMOTE_TIMEOUT_MS = 900_000
"""For a first fetch of a large repository over a slow line; a stalled transfer ends after a minute anyway."""

OUTPUT_BYTES_MAX = 4 * 1024 * 1024
_ERROR_BYTES_MAX = 16 * 1024
_LINE_CHARS_MAX = 400

_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "false",
    "GIT_NO_REPLACE_OBJECTS": "1",
    # upload-pack in a partial clone would fetch what is missing with commands from that clone's configuration.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    # Messages are recognised by their English text.
    "LC_ALL": "C",
    "LANGUAGE": "C",
}

_SETTINGS = (
    f"core.hooksPath={os.devnull}",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    f"core.attributesFile={os.devnull}",
    f"core.excludesFile={os.devnull}",
    "core.quotePath=false",
    "credential.helper=",
    "protocol.ext.allow=never",
    "fetch.fsckObjects=true",
    "transfer.fsckObjects=true",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "push.followTags=false",
    "push.gpgSign=false",
    "log.showSignature=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
)

_REMOTE_ENVIRONMENT = (
    "SSH_AUTH_SOCK",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
)
"""How the operator reaches the repository; handed only to a git that talks to the address from the settings."""

_PERSON = re.compile(
    r"Authentication failed|Permission denied|could not read (Username|Password)|does not appear to be a git repository"
    r"|[Rr]epository .*not found|does not exist|Host key verification failed|not allowed|dubious ownership"
    r"|No space left on device|transport '.*' not allowed|requested URL returned error: 403",
)


class Answer(Struct, frozen=True, kw_only=True):
    """What one call of git said."""

    exit_code: int
    output: str
    errors: str

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(self.output.splitlines())

    @property
    def paths(self) -> tuple[str, ...]:
        """The entries of a `-z` listing; one that the size limit cut in half is left out."""
        entries = self.output.split("\0")
        cut = len(self.output.encode()) >= OUTPUT_BYTES_MAX
        return tuple(entry for entry in entries[1 if cut else 0 :] if entry)


class Git:
    """Runs git; `nonce` marks its processes as ours, `read_login` says how it signs in to the repository's host."""

    def __init__(self, nonce: str, read_login: ReadLogin | None = None) -> None:
        self._nonce = nonce
        self._read_login = read_login

    def signs_in(self, url: str) -> bool:
        """Whether a call for this address is given a login of ours."""
        return self._read_login is not None and place_of(url) is not None

    async def run(
        self,
        arguments: Sequence[str],
        *,
        git_dir: str | None = None,
        work_tree: str | None = None,
        index: str | None = None,
        stdin: str = "",
    ) -> Answer:
        """Run git on this machine and raise when it fails."""
        answer = await self.ask(arguments, git_dir=git_dir, work_tree=work_tree, index=index, stdin=stdin)
        if answer.exit_code != 0:
            raise failure(arguments[0], answer)
        return answer

    async def ask(
        self,
        arguments: Sequence[str],
        *,
        git_dir: str | None = None,
        work_tree: str | None = None,
        index: str | None = None,
        url: str | None = None,
        stdin: str = "",
        settings: Sequence[str] = (),
        keep: Literal["start", "end"] = "end",
    ) -> Answer:
        """Run git and return its answer, whatever the exit code; raises only when git is missing or takes too long.

        `url` is the repository on another machine that this call talks to, if it does; `keep` says which part of an output
        stays that is too long.
        """
        place = {"GIT_DIR": git_dir, "GIT_WORK_TREE": work_tree, "GIT_INDEX_FILE": index}
        env = self._environment({name: value for name, value in place.items() if value is not None}, url is not None)
        timeout_ms = REMOTE_TIMEOUT_MS if url is not None else LOCAL_TIMEOUT_MS
        with await self._handed(url) as handed:
            options = [part for one in (*_SETTINGS, *settings, *handed.settings) for part in ("-c", one)]
            completed, said = await _completed(
                ["git", *options, *arguments],
                partial(
                    processes.run,
                    cwd=work_tree or git_dir or "/",
                    env=env,
                    timeout_ms=timeout_ms,
                    output_bytes_max=OUTPUT_BYTES_MAX,
                    keep=keep,
                    input_bytes=stdin.encode() if stdin else None,
                    pass_fds=handed.descriptors,
                ),
            )
        if completed.timed_out or completed.exit_code is None:
            message = f"git {arguments[0]} took longer than {timeout_ms // 1000} s and was ended: try again"
            raise WorkspaceError(message)
        if completed.exit_code == 127:
            message = "git could not be started: is it installed, and is the directory there? " + one_line(said)
            raise WorkspaceError(message.strip(), error_class="person")
        return Answer(exit_code=completed.exit_code, output=completed.output, errors=said)

    async def _handed(self, url: str | None) -> AbstractContextManager[Handed]:
        """The login for this call, read now: a token may have been renewed."""
        place = place_of(url) if url is not None else None
        if self._read_login is None or place is None:
            return nullcontext(Handed())
        try:
            user, secret = await self._read_login()
        except OpenSymphonyError as error:
            message = f"git cannot sign in to {place}: {error}"
            raise WorkspaceError(message, error_class=error.error_class) from error
        return handed_over(place, user, secret)

    def _environment(self, place: Mapping[str, str], remote: bool) -> dict[str, str]:
        passed_on: dict[str, str] = {}
        if remote:
            passed_on = {name: os.environ[name] for name in _REMOTE_ENVIRONMENT if name in os.environ}
            passed_on.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
        return processes.scrubbed_environment(self._nonce, {**_ENVIRONMENT, **passed_on, **place})


async def _completed(
    argv: Sequence[str], run: Callable[[Sequence[str]], Awaitable[processes.Completed]]
) -> tuple[processes.Completed, str]:
    """How it ended, and what it wrote to standard error: `processes.run` keeps one stream, and warnings must not turn up
    among the paths of a listing."""
    try:
        errors = tempfile.NamedTemporaryFile(prefix="opensymphony-git-")  # noqa: SIM115
    except OSError as error:
        message = f"no temporary file can be made in {tempfile.gettempdir()}: {error.strerror}; make room there"
        raise WorkspaceError(message) from error
    with errors:
        wrapper = 'errors=$1; shift; exec "$@" 2>"$errors"'
        completed = await run(["sh", "-c", wrapper, "sh", errors.name, *argv])
        return completed, await anyio.to_thread.run_sync(_tail, errors.name)


def failure(verb: str, answer: Answer, *, error_class: ErrorClass | None = None, advice: str = "") -> WorkspaceError:
    """A failed call of git as one line for a person.

    Who can help is told by what git said, unless the caller knows; `advice` is for a failure that a person has to mend.
    """
    said = f"{answer.errors}\n{answer.output}"
    if error_class is None:
        error_class = "person" if _PERSON.search(said) else "retry"
    message = f"git {verb} failed: {one_line(said) or f'exit code {answer.exit_code}'}"
    if advice and error_class == "person":
        message = f"{message}: {advice}"
    return WorkspaceError(message, error_class=error_class)


def one_line(said: str) -> str:
    """The lines of git's output that tell the cause, as one short line without control characters or credentials."""
    lines = [line.removeprefix("remote:").strip() for line in without_credentials(said).splitlines()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "!", "sh:"))]
    chosen = telling[:3] or [line for line in lines if line and not line.startswith("hint:")][-2:]
    text = "; ".join(plain(line) for line in chosen)
    return text if len(text) <= _LINE_CHARS_MAX else text[: _LINE_CHARS_MAX - 3] + "..."


def plain(text: str) -> str:
    """The text without control characters, which could redraw a terminal."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def _tail(path: str) -> str:
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - _ERROR_BYTES_MAX))
        return file.read(_ERROR_BYTES_MAX).decode(errors="replace")
