"""A pretended agent-server: conversations whose turns are many model calls, each billed when it ends or is cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from opensymphony.model import (
    AgentFailure,
    AgentStatus,
    Asked,
    CommandKey,
    ConversationId,
    TicketId,
    TurnEnd,
    TurnProgress,
    Usage,
)

if TYPE_CHECKING:
    from tests.simulation.daemon import Daemon

INPUT_MAX, OUTPUT_MAX = 1_000, 500
"""Of one model call; the policies say the same."""

_ENDS: list[AgentStatus] = [
    *("error", "error", "stuck", "paused", "paused"),
    *("waiting_for_confirmation", "waiting_for_confirmation", "unknown"),
]
_KINDS = ("auth", "quota", "config", "unknown", "unknown")
_OVERFLOW = AgentFailure(
    code="context_overflow", detail="too long", kind="unknown", action="rehydrate", retryable=False
)


class Talk(Struct, kw_only=True):
    """One conversation."""

    id: ConversationId
    ticket_id: TicketId
    running: bool = False
    key: CommandKey | None = None
    """Of the message whose turn it is."""
    sent: set[CommandKey] = field(default_factory=set[CommandKey])
    ended: dict[CommandKey, TurnEnd] = field(default_factory=dict[CommandKey, TurnEnd])
    calls_left: int = 0
    serial: int = 0
    """What was planned under an older number does not happen any more."""
    call: Usage | None = None
    """What the call in flight will have cost."""
    usage: Usage = Usage()
    """Billed."""
    habit: str = "works"
    actions: int = 0
    changes: int = 0
    repeats: int = 1
    tool_open: bool = False
    dead: bool = False
    """Nothing works behind the open tool call."""


class AgentServer:
    """The conversations of one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.world = daemon.world
        self.talks: dict[ConversationId, Talk] = {}

    def open(self, conversation_id: ConversationId, ticket_id: TicketId) -> tuple[Talk, bool]:
        talk = self.talks.get(conversation_id)
        if talk is not None:
            return talk, False
        talk = self.talks[conversation_id] = Talk(id=conversation_id, ticket_id=ticket_id)
        self.daemon.books.talks.setdefault(ticket_id, []).append(talk)
        return talk, True

    def send(self, talk: Talk, key: CommandKey) -> None:
        """A message that is there already is not sent again; the agent is let run all the same."""
        if key in talk.ended or (key == talk.key and talk.running):
            return
        if key not in talk.sent:
            self.world.watch.message_arrives(self.daemon, talk)
            self._plan_turn(talk, key)
        self.resume(talk)

    def _plan_turn(self, talk: Talk, key: CommandKey) -> None:
        random = self.world.random
        talk.sent.add(key)
        talk.key = key
        talk.calls_left = 1 + int(random.expovariate(0.4))
        talk.habit, talk.repeats = "works", 1
        if self.world.scenario.has("agents"):
            draw = random.random()
            if draw < 0.04:
                talk.habit, talk.calls_left = "repeats", 40
            elif draw < 0.08:
                talk.habit, talk.calls_left = "idles", 60
            elif draw < 0.12:
                talk.habit = "falls silent"

    def resume(self, talk: Talk) -> None:
        """Go on with the turn, unless it is over."""
        if talk.running or talk.key is None or talk.key in talk.ended:
            return
        talk.running = True
        talk.serial += 1
        self.world.watch.agent_starts(self.daemon, talk)
        self._begin_call(talk, talk.serial)

    def _begin_call(self, talk: Talk, serial: int) -> None:
        if talk.serial != serial:
            return
        random = self.world.random
        talk.tool_open = False
        self.world.watch.call_begins(self.daemon, talk)
        read, written = random.randint(200, INPUT_MAX), random.randint(50, OUTPUT_MAX)
        talk.call = Usage(
            prompt_tokens=read, completion_tokens=written, cost_micros=2 * read + 8 * written, model_calls=1
        )
        self.world.timeline.after(random.randint(8_000, 60_000), self._end_call, talk, serial)

    def _bill(self, talk: Talk) -> None:
        if talk.call is not None:
            talk.usage = talk.usage + talk.call
            self.daemon.books.bill(talk.call)
            self.world.watch.billed(self.daemon)
            talk.call = None

    def _end_call(self, talk: Talk, serial: int) -> None:
        if talk.serial != serial:
            return
        self._bill(talk)
        random = self.world.random
        talk.calls_left -= 1
        talk.actions += 1
        talk.repeats = talk.repeats + 1 if talk.habit == "repeats" else 1
        talk.changes += talk.habit != "idles"
        if talk.calls_left <= 0:
            self._end_turn(talk)
            return
        talk.tool_open = random.random() < 0.7
        self._report(talk, talk.usage)
        pause_ms = random.randint(100, 20_000)
        if talk.habit == "falls silent" and random.random() < 0.4:
            talk.dead = random.random() < 0.5
            pause_ms = random.randint(600_000, 7_200_000)
        self.world.timeline.after(pause_ms, self._begin_call, talk, serial)

    def _report(self, talk: Talk, usage: Usage | None) -> None:
        progress = TurnProgress(
            status="running",
            usage=usage,
            tool_open=talk.tool_open,
            actions=talk.actions,
            changes=talk.changes,
            repeats=talk.repeats,
            summary="works",
        )
        self.daemon.heard(talk, progress)

    def _end_turn(self, talk: Talk) -> None:
        assert talk.key is not None
        random, failure, asked = self.world.random, None, None
        status: AgentStatus = "finished"
        if self.world.scenario.has("agents") and random.random() < 0.2:
            status = random.choice(_ENDS)
            if status == "error" and random.random() < 0.8:
                failure = AgentFailure(code="model_error", detail="it said no", kind=random.choice(_KINDS))
                failure = _OVERFLOW if random.random() < 0.3 else failure
            elif status == "waiting_for_confirmation":
                asked = Asked(kind="approval", text="rm -r build", digest=f"{random.getrandbits(256):064x}")
            elif status == "paused" and random.random() < 0.5:
                asked = Asked(kind="question", text="Which colour?", digest=f"{random.getrandbits(256):064x}")
        self._halt(talk)
        end = TurnEnd(status=status, failure=failure, usage=talk.usage, final_text="Done.", asked=asked)
        talk.ended[talk.key] = end
        self.daemon.turn_over(talk, end)

    def _halt(self, talk: Talk) -> None:
        talk.running, talk.tool_open, talk.dead = False, False, False
        talk.serial += 1

    def interrupt(self, talk: Talk) -> None:
        """Cut the turn off; what is in flight is billed in full, in part, or not at all."""
        if not talk.running:
            return
        draw = self.world.random.random()
        if talk.call is not None and draw < 0.3:
            talk.call = None
        elif talk.call is not None and draw < 0.5:
            talk.call = Usage(prompt_tokens=talk.call.prompt_tokens, cost_micros=1, model_calls=1)
        self._bill(talk)
        self._halt(talk)

    def interrupt_all(self) -> None:
        for talk in self.talks.values():
            self.interrupt(talk)
