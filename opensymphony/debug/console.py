"""Looks into one conversation: its transcript, what is added to it, and a prompt that takes messages and commands.

What a person asks for goes through the daemon that runs, so that its journal stays the truth; without one a message goes to
the conversation itself. Nothing here ends an agent's turn but what says so: Ctrl-C leaves what is on the screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

import anyio
import msgspec

from opensymphony.agents import read_transcript
from opensymphony.api.client import request_action
from opensymphony.clock import new_id
from opensymphony.daemon.archiving import locate
from opensymphony.debug.finding import Found, view_of
from opensymphony.debug.own_server import OwnServer, own_server
from opensymphony.debug.screen import Screen
from opensymphony.errors import InstanceError, OpenSymphonyError
from opensymphony.model import Usage
from opensymphony.settings import Settings
from opensymphony.views import TranscriptEntry
from opensymphony.workflow.policy import Policy
from opensymphony.workspace.changes import changes

LAST = 40
"""Entries that are shown first."""
_LOOK_S = 0.3
_PROMPT = "debug> "
_MORE = "...> "

_HELP = """\
What does not begin with / is told to the agent; a \\ at the end of a line goes on with the next one.
/status            how the ticket stands
/history [all]     the transcript again
/follow            show what comes; Ctrl-C leaves it, and the agent works on
/diff              what the agent changed
/cost              tokens and money
/pause /resume /interrupt /approve /reject [TEXT]
/help /quit"""

_ACTIONS = {"pause": "pause", "resume": "resume", "interrupt": "stop", "approve": "approve", "reject": "reject"}


class Quit(Exception):
    """Raised by the command that ends the console."""


class Console:
    """One conversation on one screen."""

    def __init__(
        self,
        found: Found,
        settings: Settings,
        policy: Policy,
        screen: Screen,
        *,
        author: str = "",
        read_line: Callable[[str], str] = input,
    ) -> None:
        self._found = found
        self._settings = settings
        self._policy = policy
        self._screen = screen
        self._author = author
        self._read_line = read_line
        self._last_seq = -1
        self._stack = ExitStack()
        self._server: OwnServer | None = None

    def show(self, last: int | None) -> None:
        """The last entries, or all."""
        directory = self._found.directory
        shown = read_transcript(directory, last=last) if directory is not None else []
        self._told(shown)

    def follow(self, *, until_rest: bool = False) -> None:
        """Show what is added, until Ctrl-C; or until the agent rests."""
        begun = False
        while True:
            added = self._added()
            self._told(added)
            begun = begun or bool(added)
            if until_rest and begun and self._rests(added):
                return
            time.sleep(_LOOK_S)

    def talk(self) -> None:
        """Read lines until the end of input, `/quit`, or a second Ctrl-C."""
        interrupted = False
        with self._stack:
            while True:
                try:
                    said = self._read()
                    interrupted = False
                    self._answer(said)
                except (Quit, EOFError):
                    break
                except KeyboardInterrupt:
                    if interrupted:
                        break
                    interrupted = True
                    self._screen.line("\nthe agent is left alone; Ctrl-C again, or /quit, leaves")
                except OpenSymphonyError as error:
                    self._screen.line(str(error))
            if self._server is not None and self._server.working:
                self._screen.line(
                    "the agent works on: `opensymphony run` takes it over, `opensymphony shutdown` ends it"
                )

    def _read(self) -> str:
        lines = [self._read_line(_PROMPT)]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            lines.append(self._read_line(_MORE))
        return "\n".join(lines)

    def _answer(self, said: str) -> None:
        if not said.strip():
            self._told(self._added())
            return
        if not said.startswith("/"):
            self._say(said)
            return
        command, _, rest = said[1:].partition(" ")
        match command:
            case "quit" | "exit":
                raise Quit
            case "help":
                self._screen.line(_HELP)
            case "history":
                self.show(None if rest.strip() == "all" else LAST)
            case "follow":
                self._follow_again(until_rest=False)
            case "status":
                self._status()
            case "cost":
                self._cost()
            case "diff":
                self._diff()
            case _ if command in _ACTIONS:
                self._act(_ACTIONS[command], rest.strip())
            case _:
                self._screen.line(f"there is no /{command}: /help lists what there is")

    def _say(self, text: str) -> None:
        if self._found.daemon is not None:
            self._act("message", text)
        else:
            self._own().send(text)
        self._follow_again(until_rest=True)

    def _follow_again(self, *, until_rest: bool) -> None:
        try:
            self.follow(until_rest=until_rest)
        except KeyboardInterrupt:
            self._screen.line("\nthe agent is left alone; /follow shows it again")
        if self._server is not None and self._server.end():
            self._screen.line(f"the turn has ended: {self._server.end()}")

    def _act(self, action: str, text: str) -> None:
        if self._found.daemon is None:
            if action == "stop" and self._server is not None:
                self._server.interrupt()
                self._screen.line("interrupted")
                return
            raise InstanceError("no daemon runs that could do this: start one with `opensymphony run`")
        if self._found.view is None:
            raise InstanceError("the daemon knows no ticket of this conversation")
        answer = request_action(
            self._found.daemon,
            action,
            self._found.view.identifier,
            request_id=new_id(),
            text=text,
            author=self._author,
        )
        self._screen.line(answer.answer)

    def _own(self) -> OwnServer:
        """The server that this console started."""
        if self._server is None:
            if self._found.directory is None or self._found.archived:
                raise InstanceError(
                    "the conversation is archived: open its ticket again, and `opensymphony run` goes on"
                )
            self._screen.line("no daemon runs: starting an agent-server; a daemon sees at its start what was said here")
            self._server = self._stack.enter_context(
                own_server(self._settings, self._policy, self._found.conversation_id)
            )
        return self._server

    def _status(self) -> None:
        view = view_of(self._settings, self._found)
        where = "archived" if self._found.archived else "in use"
        self._screen.line(f"conversation {self._found.conversation_id} ({where})")
        if view is None:
            return
        phase = view.phase.replace("_", " ") + (", paused" if view.paused else "")
        self._screen.line(f"{view.identifier}: {phase}{f', {view.stage}' if view.stage else ''}: {view.reason}")
        if view.activity:
            self._screen.line(f"last: {view.activity}")

    def _cost(self) -> None:
        view = view_of(self._settings, self._found)
        if view is None:
            raise InstanceError("what it cost is known of tickets only")
        self._screen.line(cost_line(view.usage))

    def _diff(self) -> None:
        if self._found.view is None or self._found.view.workspace is None:
            raise InstanceError("no workspace of this conversation is known")
        repository = self._policy.repository
        told = anyio.run(changes, self._found.view.workspace, repository.base if repository else None)
        if told.diff:
            self._screen.diff(told.diff)
        else:
            self._screen.line("nothing has changed")
        if told.truncated:
            self._screen.line("there is more: look into the workspace")

    def _added(self) -> list[TranscriptEntry]:
        directory = self._found.directory
        if directory is None or not directory.is_dir():
            # Made by now, or moved by a start of the daemon.
            directory = locate(self._settings, self._policy, self._found.conversation_id)
            self._found = msgspec.structs.replace(self._found, directory=directory)
        return read_transcript(directory, after=self._last_seq) if directory is not None else []

    def _told(self, shown: list[TranscriptEntry]) -> None:
        self._screen.entries(shown)
        self._last_seq = max([self._last_seq, *(entry.seq for entry in shown)])

    def _rests(self, added: list[TranscriptEntry]) -> bool:
        if self._server is not None:
            return not self._server.working
        statuses = [entry.text for entry in added if entry.kind == "status"]
        return bool(statuses) and statuses[-1] != "running"


def cost_line(usage: Usage) -> str:
    """Tokens and money in one line."""
    return (
        f"{usage.prompt_tokens:,} tokens in ({usage.cache_read_tokens:,} from the cache), "
        f"{usage.completion_tokens:,} out, {usage.model_calls:,} model calls, {usage.cost_micros / 1_000_000:.4f} USD"
    )
