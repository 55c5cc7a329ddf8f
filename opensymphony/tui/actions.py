"""What can be asked of the daemon about a ticket: when, what the person is told before, and how the answer is got."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import anyio
from msgspec import Struct

from opensymphony.api.client import NoAnswer, Rejected, UnknownIssue, request_action
from opensymphony.clock import Clock, new_id
from opensymphony.errors import InstanceError
from opensymphony.model import SHORTENED, TicketId
from opensymphony.tui.connection import Source, in_thread
from opensymphony.tui.text import EXACT_CHARS_MAX
from opensymphony.views import ActionAnswer, AskView, TicketView

Action = Literal["stop", "retry", "pause", "resume", "message", "approve", "reject"]
Asks = Literal["nothing", "reason", "message"]

PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Between asking again for an answer that was lost."""
MESSAGE_CHARS_MAX = 20_000
_UNANSWERED_MAX = 100
_UNANSWERED_MS = 120_000
"""What is asked later than that is another request, although it is in the same words."""


class Situation(Struct, frozen=True, kw_only=True):
    """In which something is asked: the same words in another one are another request."""

    ticket_id: TicketId | None = None
    generation: int = 0
    since_ms: int = 0
    asked_digest: str = ""
    """Of what the ticket waits for."""


class Choice(Struct, frozen=True, kw_only=True):
    """One way to say yes."""

    label: str
    finish: bool = False


class Wish(Struct, frozen=True, kw_only=True):
    """Something that a person may want, to be confirmed."""

    action: Action
    identifier: str | None
    """None: everything."""
    title: str
    says: str
    """What will happen."""
    shown: str = ""
    """What is approved or rejected: an agent's words."""
    digest: str = ""
    asks: Asks = "nothing"
    situation: Situation
    choices: tuple[Choice, ...]
    careful: bool = True
    """A key too many must not do it: the way out is chosen at first."""


class Request(Struct, frozen=True, kw_only=True):
    """What is asked, as it is sent; two that are the same are one request."""

    action: Action
    identifier: str | None
    situation: Situation = Situation()
    text: str = ""
    digest: str = ""
    finish: bool = False


def wish(action: str, view: TicketView | None) -> Wish | str:
    """What to confirm, or why that cannot be asked about this ticket."""
    if view is None:
        return "no ticket is chosen"
    make = _WISHES.get(action)
    return make(view) if make is not None else f"there is no action {action}"


def wish_for_all(paused: bool, since_ms: int = 0) -> Wish:
    """Pause everything, or go on. `since_ms`: when it was paused."""
    situation = Situation(since_ms=since_ms)
    if paused:
        return Wish(
            action="resume",
            identifier=None,
            title="Resume everything?",
            says="Tickets start again, and what was stopped by the pause goes on.",
            situation=situation,
            choices=(Choice(label="Resume"),),
            careful=False,
        )
    return Wish(
        action="pause",
        identifier=None,
        title="Pause everything?",
        situation=situation,
        says="No ticket starts until it is resumed, also after a restart of the daemon. What is at work is stopped now and "
        "goes on then, or may come to its end first.",
        asks="reason",
        choices=(Choice(label="Pause now"), Choice(label="Let runs finish", finish=True)),
    )


def outdated(wanted: Wish, view: TicketView | None) -> str | None:
    """Why an answer must not be sent any more: by now the ticket asks something else than was shown."""
    if view is None or wanted.action not in ("message", "approve", "reject"):
        return None  # the daemon tells that it does not know it
    now = _situation(view).asked_digest
    if now == wanted.situation.asked_digest:
        return None
    return "it asks something else by now, nothing was sent: look at it" if now else "it asks no more, nothing was sent"


def applies(action: str, view: TicketView) -> bool:
    """Whether the key is worth showing."""
    return isinstance(wish(action, view), Wish)


def is_shortened(asked: AskView) -> bool:
    """Whether there is more to it than is shown; an agent can at most make itself look as if."""
    return asked.text.endswith(SHORTENED) or len(asked.text) > EXACT_CHARS_MAX


class Asking:
    """Asks, and asks again with the same id when an answer was lost; what stays unanswered keeps its id for two minutes."""

    def __init__(self, source: Source, author: str, clock: Clock, *, pauses_s: tuple[float, ...] = PAUSES_S) -> None:
        self._source = source
        self._author = author
        self._clock = clock
        self._pauses_s = pauses_s
        self._unanswered: dict[Request, tuple[str, int]] = {}

    async def ask(self, request: Request, lost: Callable[[], object] = lambda: None) -> ActionAnswer:
        """The daemon's answer, which may be a refusal. `lost` is called before it is asked again. Raises `InstanceError`."""
        request_id = self._kept(request) or new_id()
        for pause_s in (*self._pauses_s, None):
            try:
                answer = await in_thread(partial(self._send, request, request_id))
            except (UnknownIssue, Rejected):
                self._unanswered.pop(request, None)
                raise
            except InstanceError as error:
                self._keep(request, request_id)
                if pause_s is None or not isinstance(error, NoAnswer):
                    raise
                lost()
                await anyio.sleep(pause_s)
            else:
                self._unanswered.pop(request, None)
                return answer
        raise AssertionError("the last try answers or raises")

    def _send(self, request: Request, request_id: str) -> ActionAnswer:
        return request_action(
            self._source.find(),
            request.action,
            request.identifier,
            request_id=request_id,
            text=request.text,
            author=self._author,
            finish=request.finish,
            digest=request.digest,
        )

    def _kept(self, request: Request) -> str | None:
        request_id, asked_ms = self._unanswered.get(request, (None, 0))
        return request_id if self._clock.now_ms() - asked_ms < _UNANSWERED_MS else None

    def _keep(self, request: Request, request_id: str) -> None:
        self._unanswered[request] = (request_id, self._clock.now_ms())
        while len(self._unanswered) > _UNANSWERED_MAX:
            self._unanswered.pop(next(iter(self._unanswered)))


def _situation(view: TicketView) -> Situation:
    digest = view.asked.digest if view.asked is not None else ""
    return Situation(ticket_id=view.id, generation=view.generation, since_ms=view.since_ms, asked_digest=digest)


def _stop(view: TicketView) -> Wish | str:
    if view.phase in ("closed", "stopping", "needs_person", "in_review"):
        return f"nobody works on {view.identifier}"
    return Wish(
        action="stop",
        identifier=view.identifier,
        situation=_situation(view),
        title=f"Stop {view.identifier}?",
        says="The agent is interrupted; what it did stays in its workspace. The ticket then waits for a person: a retry, a "
        "message or a change of the ticket starts it again.",
        asks="reason",
        choices=(Choice(label="Stop"),),
    )


def _retry(view: TicketView) -> Wish | str:
    if view.phase in ("running", "stopping"):
        return f"a run works on {view.identifier} already"
    if view.phase == "waiting_to_start":
        return f"{view.identifier} is waiting to start already: Enter shows for what"
    return Wish(
        action="retry",
        identifier=view.identifier,
        situation=_situation(view),
        title=f"Retry {view.identifier}?",
        says="It starts again as soon as there is a place, without waiting for its time or for a person.",
        choices=(Choice(label="Retry"),),
        careful=False,
    )


def _pause(view: TicketView) -> Wish | str:
    if view.paused:
        return Wish(
            action="resume",
            identifier=view.identifier,
            situation=_situation(view),
            title=f"Resume {view.identifier}?",
            says="It may start again, and what the pause has stopped goes on.",
            choices=(Choice(label="Resume"),),
            careful=False,
        )
    return Wish(
        action="pause",
        identifier=view.identifier,
        situation=_situation(view),
        title=f"Pause {view.identifier}?",
        says="It does not start until it is resumed, also after a restart of the daemon. What is at work is stopped now and "
        "goes on then, or may come to its end first.",
        asks="reason",
        choices=(Choice(label="Pause now"), Choice(label="Let the run finish", finish=True)),
    )


def _message(view: TicketView) -> Wish | str:
    question = view.asked if view.asked is not None and view.asked.kind == "question" else None
    return Wish(
        action="message",
        identifier=view.identifier,
        situation=_situation(view),
        title=f"{'Answer' if question else 'Message to'} {view.identifier}",
        says="The agent gets it with its next turn. A ticket that waits for a person or is in review is started again by it.",
        shown=question.text if question else "",
        asks="message",
        choices=(Choice(label="Send"),),
        careful=False,
    )


def _approve(view: TicketView) -> Wish | str:
    if view.asked is None or view.asked.kind != "approval":
        return _no_approval(view)
    return Wish(
        action="approve",
        identifier=view.identifier,
        situation=_situation(view),
        title=f"Approve for {view.identifier}?",
        says="Only the beginning is shown. The agent may do all of it, once:"
        if is_shortened(view.asked)
        else "The agent may do exactly this, once:",
        shown=view.asked.text,
        digest=view.asked.digest,
        choices=(Choice(label="Approve"),),
    )


def _reject(view: TicketView) -> Wish | str:
    if view.asked is None or view.asked.kind != "approval":
        return _no_approval(view)
    return Wish(
        action="reject",
        identifier=view.identifier,
        situation=_situation(view),
        title=f"Reject for {view.identifier}?",
        says=f"{'Only the beginning is shown. ' if is_shortened(view.asked) else ''}The agent is told that it may not do "
        "this, and goes on without:",
        shown=view.asked.text,
        digest=view.asked.digest,
        asks="reason",
        choices=(Choice(label="Reject"),),
        careful=False,
    )


def _no_approval(view: TicketView) -> str:
    if view.asked is not None:
        return f"{view.identifier} asks a question: m answers it"
    return f"{view.identifier} waits for no approval"


_WISHES: dict[str, Callable[[TicketView], Wish | str]] = {
    "stop": _stop,
    "retry": _retry,
    "pause": _pause,
    "message": _message,
    "approve": _approve,
    "reject": _reject,
}
