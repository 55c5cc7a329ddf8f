"""What the shell may ask of the adapters: one protocol per role, with its duties.

Every method may raise an `errors.ServiceError`, `AgentServerError` or `WorkspaceError` as its role suggests; what can be
expected to happen is a value instead. Methods that change something outside are safe to repeat: called twice with the
same arguments they have the effect of one call. That is what lets the executor run a command again after a crash.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from opensymphony.interfaces.code_host import CodeHost
from opensymphony.interfaces.webhooks import BadDelivery, Delivery, RegisteredWebhook, Registrar, Renewal, Webhook
from opensymphony.model import (
    Claim,
    ClaimAnswer,
    Cleanup,
    CommandKey,
    Conversation,
    ConversationId,
    HookResult,
    Liveness,
    LogPosition,
    PullRequest,
    ServerState,
    Ticket,
    TicketId,
    TicketPage,
    TrackerState,
    TransitionAnswer,
    TurnEnd,
    TurnProgress,
    Usage,
    Verification,
    Work,
    Workspace,
)

__all__ = [
    "AgentRuntime",
    "BadDelivery",
    "CodeHost",
    "ConversationRequest",
    "Delivery",
    "RegisteredWebhook",
    "Registrar",
    "Renewal",
    "ReportProgress",
    "Tracker",
    "Webhook",
    "WorkspaceRequest",
    "Workspaces",
]


class Tracker(Protocol):
    """Where tickets live. The tracker owns the work: our copy is only ever a recent reading of it."""

    async def fetch_candidates(self, states: Sequence[str]) -> TicketPage:
        """Every ticket in one of `states` (compared without case) in the configured scope.

        An empty `states` makes no request. A malformed ticket is left out and reported in `problems`; a page that cannot
        be read fails the whole call.
        """
        ...

    async def fetch_tickets(self, ids: Sequence[TicketId]) -> tuple[Ticket, ...]:
        """The tickets with these ids, read again from the source, in any state and in the order asked for.

        A ticket that is gone is left out; one that cannot be read right now raises, so that trouble is never
        mistaken for absence. Empty `ids` make no request.
        """
        ...

    @property
    def claim_settle_ms(self) -> int:
        """How long after a granted claim another daemon's, begun before it, may still be written over it.

        0: comparing and writing are one step here. Otherwise longer than a request usually takes; looked at after `claim`.
        """
        ...

    async def claim(self, ticket_id: TicketId, claim: Claim, *, replacing: Claim | None) -> ClaimAnswer:
        """Write `claim` on the ticket unless another instance's claim stands there that is not exactly `replacing`.

        Any claim of the same instance is replaced. Who may be replaced, and when a claim is ours for certain, is decided in
        `daemon/claims.py`.
        """
        ...

    async def release(self, ticket_id: TicketId, claim: Claim) -> None:
        """Take our claim off again; another's claim, or a missing ticket, is left alone."""
        ...

    async def upsert_comment(self, ticket_id: TicketId, marker: str, body: str) -> str:
        """Write our one comment, or edit it in place if one with `marker` exists. Returns its remote id.

        `body` is Markdown. Raises `NotFound` when the ticket is gone.
        """
        ...

    async def transition(self, ticket_id: TicketId, *, from_states: Sequence[str], to_state: str) -> TransitionAnswer:
        """Move the ticket if it is in one of `from_states` (without case); otherwise leave it, and say where it is."""
        ...

    async def link(self, ticket_id: TicketId, pull_request: PullRequest) -> None:
        """Show the pull request at the ticket, where the tracker has a place for it; done again, it is the same link."""
        ...

    def state(self) -> TrackerState | None:
        """What it was asked, without asking it; None for one that has no limits."""
        ...

    @property
    def account(self) -> str:
        """The id of the account that we use, as far as it is known; empty where there are none."""
        ...

    async def close(self) -> None:
        """Give back every connection and watch."""
        ...


class WorkspaceRequest(Struct, frozen=True, kw_only=True):
    """What to make for one ticket."""

    ticket: Ticket
    generation: int
    repository_url: str | None
    base: str | None
    branch: str | None


class Workspaces(Protocol):
    """Where agents work. Nothing here runs anything of the agent's with the daemon's own rights or configuration."""

    async def prepare(self, request: WorkspaceRequest) -> Workspace:
        """Make the directory, or find the one made before; then `after_create`, once per directory.

        With a repository: a clone of the daemon's mirror on the ticket's branch; without: an empty directory. A
        directory that was not finished (clone or hook failed, or we died) is made anew.
        Raises `WorkspaceError` on a symlink, an escape from the root, or a failed clone or hook.
        """
        ...

    async def run_hook(self, workspace: Workspace, name: str, ticket: Ticket) -> HookResult:
        """Run one hook with a time limit; when it ends, everything that it started has ended too."""
        ...

    async def collect(self, workspace: Workspace) -> Work:
        """Fetch the ticket's branch into the mirror and look at what is there and what is not committed."""
        ...

    async def verify(self, workspace: Workspace, command: str, timeout_ms: int, ticket: Ticket) -> Verification:
        """Run the policy's own check in the workspace, outside the model."""
        ...

    async def push(self, workspace: Workspace, commit: str) -> None:
        """Push exactly `commit` from the mirror to the repository; never by force.

        A remote branch that is there already is success. Raises `WorkspaceError` when the remote has other work.
        """
        ...

    async def quote(self, workspace: Workspace, commit: str, path: str, line: int) -> str:
        """The lines around this one in a file of a pushed commit; empty when there are none. Raises `WorkspaceError`."""
        ...

    async def offer_base(self, workspace: Workspace) -> None:
        """Leave the newest commits of its base in the workspace, for the agent to take in. Raises `WorkspaceError`."""
        ...

    async def fingerprint(self, workspace: Workspace) -> str:
        """What the agent's files look like right now, in one value: another one means that something changed.

        Heads of branches and what is not committed (paths, sizes, times), without what git ignores; bounded, and nothing of
        the agent's is run. Empty when it cannot be told.
        """
        ...

    async def clean(self, workspace: Workspace, ticket: Ticket) -> Cleanup:
        """Run `before_remove` and remove the directory, unless it holds work that was never pushed."""
        ...

    async def write_manifest(self, workspace: Workspace, name: str, content: Mapping[str, object]) -> None:
        """Leave a copy for people in `.opensymphony/<name>.json`; never read for decisions."""
        ...


class ConversationRequest(Struct, frozen=True, kw_only=True):
    """What to open for one run."""

    conversation_id: ConversationId
    working_dir: str
    title: str
    predecessor: ConversationId | None = None
    """The conversation that this one stands in for: it is stopped and kept, and what was done in it is told."""


ReportProgress = Callable[[TurnProgress], Awaitable[None]]


class AgentRuntime(Protocol):
    """Where agents run: a managed or external agent-server."""

    async def open(self, request: ConversationRequest) -> Conversation:
        """Make the conversation, or find the one with this id. A half-made one is inspected, never trusted.

        One that is found works with the model, address and key of now; where it cannot, or is not as the policy asks in
        what cannot be changed any more, the answer says that it is `unfit`.
        """
        ...

    async def send(self, conversation_id: ConversationId, key: CommandKey, text: str) -> None:
        """Deliver one message and let the agent run; a message with this key that is there already is not sent again."""
        ...

    async def await_turn(
        self,
        conversation_id: ConversationId,
        key: CommandKey,
        report: ReportProgress,
        *,
        resume: bool,
        granted: Sequence[str] = (),
        after: LogPosition | None = None,
    ) -> TurnEnd:
        """Wait until the turn that the message `key` began has ended, by the server's own end marker.

        A turn also ends with a question to a person, or with actions that a person has to approve; those whose digest is in
        `granted` are carried out, each at most once.

        What comes up to `after` in the log need not be read again.

        Survives dropped connections and a restarted server. With `resume` (we were away: a crash of ours) an agent that
        a restart paused is told to go on; the message is never sent again.
        """
        ...

    async def stop(self, conversation_id: ConversationId) -> Usage | None:
        """Interrupt, and return only when the server says that nothing runs. A conversation that is gone is stopped.

        Returns the conversation's totals as of its end, or None when they cannot be had any more.
        """
        ...

    async def probe(self, conversation_id: ConversationId, working_dir: str) -> Liveness:
        """Whether anything works behind a tool call that is silent: the server answers, and a process of the call uses the
        processor or moves bytes. Takes a few seconds at most; trouble in finding out is not a sign of life.
        """
        ...

    def state(self) -> ServerState:
        """The server right now, without asking it."""
        ...

    async def close(self) -> None:
        """Give back every connection; conversations and their server go on."""
        ...
