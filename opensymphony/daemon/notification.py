"""Tells whoever the operator wants told: runs `notify.command` when a ticket waits for a person."""

from __future__ import annotations

from opensymphony.scheduler.commands import NotifyPerson


async def notify(command: NotifyPerson) -> None:
    """Run the operator's command with what happened in its environment and on its input."""
