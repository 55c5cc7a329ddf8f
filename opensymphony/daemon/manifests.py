"""Leaves copies of what we know in each workspace, for people; nothing here is ever read for a decision."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec

from opensymphony import __version__
from opensymphony.clock import iso
from opensymphony.errors import OpenSymphonyError
from opensymphony.interfaces import Workspaces
from opensymphony.logs import get_logger
from opensymphony.model import TicketId, Workspace
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler.state import Entry, State
from opensymphony.scheduler.view import ticket_view

_QUEUE_MAX = 1_000
_CONVERSATION_FORMAT = 1
_TELLING = (
    d.WorkspaceAssigned,
    d.ConversationAssigned,
    d.RehydrationWanted,
    d.TurnBegun,
    d.VerificationNoted,
    d.CommitDelivered,
    d.EndingChosen,
    d.RunEnded,
)

log = get_logger(__name__)


class Manifests:
    """Watches decisions; writes after they are durable, one ticket at a time."""

    def __init__(self, state: State, workspaces: Workspaces) -> None:
        self._state = state
        self._workspaces = workspaces
        self._send, self._receive = anyio.create_memory_object_stream[TicketId](_QUEUE_MAX)

    def __call__(self, decisions: tuple[d.Decision, ...], at_ms: int) -> None:
        for decision in decisions:
            if isinstance(decision, _TELLING):
                try:
                    self._send.send_nowait(decision.ticket_id)
                except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
                    # Copies for people: the next change writes them again, and in an end at once nobody writes any more.
                    return

    def close(self) -> None:
        """Give back the queue."""
        self._send.close()
        self._receive.close()

    async def run(self) -> None:
        """Write until cancelled."""
        async with self._receive as wanted:
            async for ticket_id in wanted:
                entry = self._state.entries.get(ticket_id)
                if entry is None or entry.workspace is None:
                    continue
                for name, content in self._contents(ticket_id).items():
                    await self._write(entry.workspace, name, content)

    def _contents(self, ticket_id: TicketId) -> dict[str, dict[str, Any]]:
        entry = self._state.entries[ticket_id]
        view = ticket_view(self._state, entry)
        written = {"opensymphony": __version__, "instance": self._state.instance}
        run = {
            **written,
            "generation": view.generation,
            "phase": view.phase,
            "stage": view.stage,
            "outcome": entry.outcome,
            "reason": view.reason,
            "turns": view.turns,
            "attempts": view.attempts,
            "branch": view.branch,
            "commit": view.commit,
            "verified": view.verified,
            "started_at": iso(view.started_ms) if view.started_ms else None,
            "ended_at": iso(view.ended_ms) if view.ended_ms else None,
            "usage": msgspec.to_builtins(view.usage),
        }
        contents = {"issue": {**written, "issue": msgspec.to_builtins(entry.ticket)}, "run": run}
        if entry.conversation_id is not None:
            contents["conversation"] = {**written, **self._conversation(entry)}
        return contents

    def _conversation(self, entry: Entry) -> dict[str, Any]:
        """What somebody needs who looks for the conversation on its server."""
        run, policy = entry.run, self._state.policy
        return {
            "format": _CONVERSATION_FORMAT,
            "conversation_id": entry.conversation_id,
            "working_dir": entry.workspace.path if entry.workspace is not None else None,
            "server": {
                "url": entry.server or None,
                "version": entry.server_version or None,
                "store": entry.store or None,
            },
            "reuse_policy": policy.openhands.conversation.reuse_policy if policy is not None else None,
            "created_at": iso(entry.conversation_ms) if entry.conversation_ms else None,
            "attached_at": iso(entry.attached_ms) if entry.attached_ms else None,
            "launch": msgspec.to_builtins(entry.launch) if entry.launch is not None else None,
            "prompted": entry.prompted,
            "last_prompt": entry.prompt_kind or None,
            "last_status": run.status if run is not None else entry.conversation_status,
            "usage": msgspec.to_builtins(entry.conversation_usage),
            "stands_in_for": entry.predecessor if entry.rehydrated else None,
            "reset_reason": entry.rehydrated or None,
            "next_reset": entry.rehydration or None,
        }

    async def _write(self, workspace: Workspace, name: str, content: dict[str, Any]) -> None:
        try:
            await self._workspaces.write_manifest(workspace, name, content)
        except (OpenSymphonyError, OSError) as error:
            log.warning("manifest not written", workspace=workspace.path, manifest=name, error=str(error))
