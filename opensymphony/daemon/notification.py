"""Tells whoever the operator wants told: runs `notify.command` when a ticket waits for a person.

The command gets what happened in its environment and as JSON on its input, and of our own environment only what a hook gets
and what a desktop's notifications need. Text from tickets and agents is in values alone, never part of the command.
"""

from __future__ import annotations

import os

import msgspec

from opensymphony import processes
from opensymphony.errors import ServiceError
from opensymphony.logs import redacted
from opensymphony.model import encodable
from opensymphony.scheduler.commands import NotifyPerson

_DESKTOP = ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")
_OUTPUT_BYTES_MAX = 4_096
_LINE_CHARS_MAX = 200
_CHARS_MAX = 2_000
"""Of one value; a headline on a telephone shows far less."""


class Notifier:
    """Runs the operator's command, marked with this boot's `nonce`, in the directory of the WORKFLOW.md."""

    def __init__(self, directory: str, nonce: str) -> None:
        self._directory = directory
        self._nonce = nonce

    async def __call__(self, command: NotifyPerson) -> None:
        """Return when the command succeeded. Raises `ServiceError` with its last line of output when it did not."""
        facts = _facts(command)
        variables = {f"OPENSYMPHONY_{name.upper()}": value for name, value in facts.items()}
        desktop = {name: os.environ[name] for name in _DESKTOP if name in os.environ}
        done = await processes.run(
            ["sh", "-c", command.command],
            cwd=self._directory,
            env=processes.scrubbed_environment(self._nonce, {**desktop, **variables}),
            timeout_ms=command.timeout_ms,
            output_bytes_max=_OUTPUT_BYTES_MAX,
            input_bytes=msgspec.json.encode(facts) + b"\n",
        )
        if done.timed_out:
            raise ServiceError("notify.command", f"took longer than {command.timeout_ms} ms and was ended")
        if done.exit_code != 0:
            last = _last_line(done.output)
            raise ServiceError(
                "notify.command", f"ended with exit code {done.exit_code}" + (f": {last}" if last else "")
            )


def _facts(command: NotifyPerson) -> dict[str, str]:
    """What happened, by the names that the command knows it under; every value on one line and bounded."""
    facts = {
        "issue": command.ticket_id,
        "identifier": command.identifier,
        "title": command.title,
        "outcome": command.outcome,
        "headline": command.headline,
        "reason": command.reason,
        "url": command.url or "",
    }
    return {name: _on_one_line(redacted(value))[:_CHARS_MAX] for name, value in facts.items()}


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return _on_one_line(lines[-1])[:_LINE_CHARS_MAX] if lines else ""


def _on_one_line(text: str) -> str:
    """Without control characters, which would act on whatever shows the text."""
    return " ".join("".join(char if char.isprintable() else " " for char in encodable(text)).split())
