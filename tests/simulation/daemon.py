"""One daemon as the shell runs it: queue, step, journal, and only then commands. Killed, it goes on from its bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from opensymphony.daemon.loop import still_wanted
from opensymphony.daemon.recovery import unfinished
from opensymphony.model import CommandKey, TicketId, TurnEnd, TurnProgress
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import events as e
from opensymphony.scheduler import evolve, step
from opensymphony.scheduler.comments import unheard
from opensymphony.scheduler.decisions import Decision
from opensymphony.scheduler.eligibility import GONE
from opensymphony.scheduler.merging import is_merge_news
from opensymphony.scheduler.records import Record, decode_record, decode_state, encode_record, encode_state
from opensymphony.scheduler.reviews import has_news
from opensymphony.scheduler.state import State, next_due_ms
from tests.simulation import effects
from tests.simulation.books import Books
from tests.simulation.server import AgentServer, Talk

if TYPE_CHECKING:
    from tests.simulation.world import World

_TRACKER_WRITES = (c.ClaimTicket, c.ReleaseClaim, c.TransitionTicket, c.WriteComment, c.LinkPullRequest)
_CHECKPOINT_EVERY = 400
_DRAIN_MS = 60_000


class Flight(Struct, kw_only=True):
    """A command that somebody works on, until its outcome was taken."""

    command: c.Command
    recovered: bool
    affected: bool = False
    posted: bool = False
    cancelled: bool = False


class Daemon:
    """Its journal outlives it; everything else begins anew with each boot."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.alive = False
        self.boot_number = 0
        self.books = Books()
        self.server = AgentServer(self)
        self.state = State()
        self.sequence = 0
        self.checkpoint: tuple[int, bytes] | None = None
        if world.scenario.has("second"):
            # They have met before: one that has never seen another's claim takes itself for alone (docs/architecture.md).
            self.checkpoint = (0, encode_state(State(others_ms=world.timeline.now_ms)))
        self.rows: list[bytes] = []
        """Records after the checkpoint."""
        self.flights: dict[CommandKey, Flight] = {}
        self._lanes: dict[TicketId, deque[CommandKey]] = {}
        self._queue: deque[e.Event] = deque()
        self.to_take_up: frozenset[CommandKey] = frozenset()
        """Pending when this boot began, until its first events were taken."""
        self._taking = False
        self._tick_ms: int | None = None
        self._awaited: dict[str, CommandKey] = {}
        self.cut_off: str | None = None
        """Dies at the next batch: before it is taken, or when it is journaled and nothing was begun."""
        self.tracker_down_ms = 0
        self.stopping_ms: int | None = None
        self.unheard: set[TicketId] = set()
        """Tickets whose agent went on while this daemon was dead, and was not heard of since."""
        self.unobserved: set[TicketId] = set()
        """Tickets whose agent goes on although a stop was tried: nobody follows it any more."""

    # time and events ---------------------------------------------------------------------------------------------

    def later(self, delay_ms: float, call: Callable[..., None], *args: Any) -> None:
        """Unless this boot is over by then."""
        self.world.timeline.after(delay_ms, self._if_same, self.boot_number, call, args)

    def _if_same(self, boot: int, call: Callable[..., None], args: tuple[Any, ...]) -> None:
        if self.alive and boot == self.boot_number:
            call(*args)

    @property
    def now_ms(self) -> int:
        return self.world.timeline.now_ms

    def post(self, event: e.Event) -> None:
        if not self.alive:
            return
        self._queue.append(event)
        if not self._taking:
            self._taking = True
            slow = self.world.random.random() < 0.01
            self.later(self.world.random.randint(500, 3_000) if slow else self.world.random.randint(0, 30), self._take)

    def _take(self) -> None:
        self._taking = False
        if self.cut_off == "before":
            self.die()
            return
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), self.world.random.randint(1, 6)))]
        decided: list[Decision] = []
        for event in batch:
            decided += self._step(event)
        if self.cut_off == "after":
            self.die()
            return
        for command in still_wanted(decided, self.state):
            self.begin(command)
        if self.to_take_up and not self._queue:
            wanted, self.to_take_up = self.to_take_up, frozenset()
            for command in unfinished(self.state, wanted):
                self.begin(command, recovered=True)
        self.world.watch.batch_over(self)
        if len(self.rows) >= _CHECKPOINT_EVERY:
            self.checkpoint, self.rows = (self.sequence, encode_state(self.state)), []
        if self._queue and not self._taking:
            self._taking = True
            self.later(1, self._take)
        self._plan_tick()
        if self.stopping_ms is not None:
            self._end_drained()

    def _step(self, event: e.Event) -> tuple[Decision, ...]:
        watch = self.world.watch
        watch.before_step(self, event)
        decisions = step(self.state, event)
        if isinstance(event, e.CommandOutcome):
            flight = self.flights.get(event.key)
            if flight is not None and flight.posted:
                del self.flights[event.key]
        if decisions:
            self.state.now_ms = max(self.state.now_ms, event.at_ms)
            self.sequence += 1
            self.rows.append(encode_record(Record(sequence=self.sequence, event=event, decisions=decisions)))
        watch.after_step(self, event, decisions)
        return decisions

    def _plan_tick(self) -> None:
        due_ms = next_due_ms(self.state)
        if due_ms is not None and (self._tick_ms is None or due_ms < self._tick_ms):
            self._tick_ms = due_ms
            self.later(due_ms - self.now_ms, self._tick, due_ms)

    def _tick(self, due_ms: int) -> None:
        if self._tick_ms == due_ms:
            self._tick_ms = None
            self.post(e.TimePassed(at_ms=self.now_ms, jitter=self.world.random.random()))

    # life --------------------------------------------------------------------------------------------------------

    def recovered(self) -> State:
        """As `daemon.recovery.recover` folds it."""
        state = State() if self.checkpoint is None else decode_state(self.checkpoint[1])
        for row in self.rows:
            record = decode_record(row)
            for decision in record.decisions:
                evolve(state, decision)
            state.now_ms = max(state.now_ms, record.event.at_ms)
        return state

    def boot(self) -> None:
        if self.alive or self.world.over:
            return
        self.alive, self.cut_off, self.stopping_ms = True, None, None
        self.boot_number += 1
        self.state = self.recovered()
        self.world.watch.booted(self)
        if not self.world.scenario.has("outliving") or self.world.random.random() < 0.5:
            self.server.interrupt_all()
        now_ms = self.now_ms
        self._queue.append(e.DaemonStarted(at_ms=now_ms, instance=self.name, version="test"))
        self._queue.append(e.PolicyLoaded(at_ms=now_ms, policy=self.world.policy))
        self.to_take_up = frozenset(self.state.pending)
        self._queue.append(e.DayBegan(at_ms=now_ms, day=self.world.day))
        if self.world.disk_error is not None:
            self._queue.append(e.StorageNoted(at_ms=now_ms, error=self.world.disk_error))
        self._taking = True
        self.later(5, self._take)
        self.later(1_000, self.poll)
        self.later(2_000, self.look_at_reviews)

    def die(self) -> None:
        """Killed: what is in memory is gone, and what was under way has had its effect or not."""
        if not self.alive:
            return
        self.world.watch.dies(self)
        self._forget()
        random = self.world.random
        if self.world.scenario.has("outliving") and random.random() < 0.7:
            self.unheard |= {talk.ticket_id for talk in self.server.talks.values() if talk.running}
            self.world.timeline.after(random.randint(5_000, 500_000), self._server_ends, self.boot_number)
        else:
            self.server.interrupt_all()
        self.world.timeline.after(self.world.downtime_ms(), self.boot)

    def _server_ends(self, boot: int) -> None:
        if boot == self.boot_number and not self.alive:
            self.server.interrupt_all()

    def _forget(self) -> None:
        self.alive = False
        self._queue.clear()
        self.flights.clear()
        self._lanes.clear()
        self._awaited.clear()
        self._taking, self._tick_ms = False, None

    def shut_down(self) -> None:
        """In good order, within a limit."""
        if not self.alive or self.stopping_ms is not None:
            return
        self.stopping_ms = self.now_ms
        self.post(e.ShutdownRequested(at_ms=self.now_ms))
        self.later(_DRAIN_MS, self._leave)

    def _end_drained(self) -> None:
        if self.state.draining and not self.state.running and not self.state.pending:
            self._leave()

    def _leave(self) -> None:
        if self.alive:
            self.checkpoint, self.rows = (self.sequence, encode_state(self.state)), []
            self._forget()
            self.server.interrupt_all()
            self.world.timeline.after(self.world.downtime_ms(), self.boot)

    # commands ----------------------------------------------------------------------------------------------------

    def begin(self, command: c.Command, *, recovered: bool = False) -> None:
        """As the executor: one task for each, writes to a ticket in their order, a stop ends its target first."""
        self.world.watch.command_begins(self, command)
        flight = self.flights[command.key] = Flight(command=command, recovered=recovered)
        if isinstance(command, _TRACKER_WRITES):
            lane = self._lanes.setdefault(command.ticket_id, deque())
            lane.append(command.key)
            if len(lane) > 1:
                return
        self._run(flight)

    def _run(self, flight: Flight) -> None:
        command = flight.command
        if isinstance(command, c.StopRun) and command.target_key is not None:
            self._cancel(command.target_key)
        if isinstance(command, c.AwaitTurn):
            effects.await_turn(self, flight)
            return
        self.later(effects.duration_ms(self, command), self._affect, flight)

    def _affect(self, flight: Flight) -> None:
        if flight.cancelled:
            return
        event = effects.perform(self, flight.command)
        flight.affected = True
        self.later(self.world.random.randint(0, 400), self.finish, flight, event)

    def finish(self, flight: Flight, event: e.Event) -> None:
        """The command's task is over; its outcome goes into the queue, sometimes twice."""
        if flight.cancelled or flight.posted:
            return
        flight.posted = True
        if isinstance(flight.command, c.AwaitTurn):
            self._awaited.pop(flight.command.conversation_id, None)
        self._leave_lane(flight.command)
        self.post(event)
        if self.world.scenario.has("doubled") and self.world.random.random() < 0.05:
            self.later(self.world.random.randint(1, 600_000), self.post, event)

    def _leave_lane(self, command: c.Command) -> None:
        lane = self._lanes.get(command.ticket_id)
        if lane is None or command.key not in lane:
            return
        first = lane[0] == command.key
        lane.remove(command.key)
        if not lane:
            del self._lanes[command.ticket_id]
        elif first:
            self._run(self.flights[lane[0]])

    def _cancel(self, key: CommandKey) -> None:
        flight = self.flights.get(key)
        if flight is None or flight.posted:
            return
        flight.cancelled = True
        del self.flights[key]
        if isinstance(flight.command, c.AwaitTurn):
            self._awaited.pop(flight.command.conversation_id, None)
        elif not flight.affected and self._may_race(flight.command):
            effects.perform(self, flight.command)
        self._leave_lane(flight.command)

    def _may_race(self, command: c.Command) -> bool:
        """Whether a command that is cancelled was under way, and its effect comes all the same."""
        if not self.world.scenario.has("races") or self.world.random.random() < 0.5:
            return False
        return not isinstance(command, _TRACKER_WRITES) or self._lanes[command.ticket_id][0] == command.key

    # agents ------------------------------------------------------------------------------------------------------

    def follow(self, talk: Talk, flight: Flight) -> None:
        self._awaited[talk.id] = flight.command.key

    def heard(self, talk: Talk, progress: TurnProgress) -> None:
        key = self._awaited.get(talk.id)
        if key is not None and self.alive:
            command = self.flights[key].command
            self.post(
                e.TurnProgressed(
                    at_ms=self.now_ms, ticket_id=talk.ticket_id, generation=command.generation, progress=progress
                )
            )

    def turn_over(self, talk: Talk, end: TurnEnd) -> None:
        key = self._awaited.get(talk.id)
        if key is not None and self.alive:
            flight = self.flights[key]
            assert isinstance(flight.command, c.AwaitTurn)
            if flight.command.message_key in talk.ended:
                self.finish(flight, effects.turn_ended(self, flight.command, end))

    def server_lost(self) -> None:
        """The agent-server is given up: whatever waits for it fails."""
        self.server.interrupt_all()
        for key in list(self._awaited.values()):
            flight = self.flights[key]
            self.finish(flight, effects.failed(self, flight.command, "the agent-server was given up", "server"))
        self.later(self.world.random.randint(600_000, 1_800_000), self.shut_down)

    # polling -----------------------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Read, and a while later post what differs from what is known then."""
        random = self.world.random
        self.later(self.world.poll_ms * random.uniform(0.9, 1.1), self.poll)
        if self.now_ms < self.tracker_down_ms:
            self.post(e.PollFailed(at_ms=self.now_ms, error="the tracker cannot be reached"))
            return
        states = self.world.policy.tracker.active_states
        board, began_ms = self.world.board, self.now_ms
        shown = [board.ticket(card.id) for card in board.cards.values() if not card.deleted and card.state in states]
        kept = {
            ticket_id: board.ticket(ticket_id)
            for ticket_id, entry in self.state.entries.items()
            if entry.phase != "closed" or entry.workspace is not None
        }
        self.later(random.randint(50, 4_000), self._compare, began_ms, shown, kept)

    def _compare(self, began_ms: int, shown: list[Any], kept: dict[TicketId, Any]) -> None:
        entries, now_ms = self.state.entries, self.now_ms
        for ticket in shown:
            kept.pop(ticket.id, None)
            entry = entries.get(ticket.id)
            if entry is None or entry.ticket != ticket:
                self.post(e.TicketChanged(at_ms=now_ms, ticket=ticket, read_ms=began_ms))
            self._hear(entry, ticket)
        for ticket_id, ticket in kept.items():
            entry = entries.get(ticket_id)
            if entry is None:
                continue
            if ticket is None:
                if entry.ticket.state != GONE:
                    self.post(e.TicketVanished(at_ms=now_ms, ticket_id=ticket_id))
            else:
                if entry.ticket != ticket:
                    self.post(e.TicketChanged(at_ms=now_ms, ticket=ticket, read_ms=began_ms))
                self._hear(entry, ticket)
        self.post(e.PollCompleted(at_ms=now_ms))

    def look_at_reviews(self) -> None:
        """As the poller of reviews: what the scheduler has to know, at times twice."""
        self.later(120_000, self.look_at_reviews)
        policy = self.state.policy
        for ticket_id, entry in self.state.entries.items():
            reading = self.world.board.reading(ticket_id)
            if policy is None or entry.pull is None or entry.phase == "closed" or reading is None:
                continue
            is_news = has_news(entry.pull, reading, policy.review) or is_merge_news(self.state, entry, reading)
            if reading.pull_request.id == entry.pull.pull_request.id and is_news:
                seen = e.PullRequestObserved(at_ms=self.now_ms, ticket_id=ticket_id, reading=reading)
                self.post(seen)
                if int(self.now_ms) % 10 == 0:
                    self.post(seen)

    def _hear(self, entry: Any, ticket: Any) -> None:
        for comment in unheard(entry, ticket) if entry is not None else ():
            said = e.TicketCommented(at_ms=self.now_ms, ticket_id=ticket.id, comment=comment)
            self.post(said)
            if self.world.random.random() < 0.1:  # another reading shows it before this one is taken in
                self.post(said)
