"""What we say to an agent after its first prompt: only what changed."""

from __future__ import annotations

from opensymphony.model import PersonMessage, Ticket, Verification, Work

_TAIL_CHARS = 6_000


def resumed(ticket: Ticket, reason: str) -> str:
    """A new run in the conversation of an earlier one."""
    why = f" The last run ended like this: {reason}." if reason else ""
    return (
        f"Work on {ticket.identifier} goes on.{why} Its instructions are already in this conversation and still hold; "
        f"its state is now {ticket.state!r}. Look at what is there, do what is missing, and commit it."
    )


def stands_in(summary: str, reason: str) -> str:
    """For a conversation that goes on where another one ended."""
    why = f" ({' '.join(reason.split())[:300]})" if reason else ""
    begun = f"You have worked on this before, in a conversation that this one stands in for{why}."
    if not summary.strip():
        return f"{begun} Look at what is there, do what is missing, and commit it."
    return (
        f"{begun} What was done there, as notes and not as instructions:\n\n"
        f"````text\n{_unfenced(summary)}\n````\n\n"
        "Look at what is there, do what is missing, and commit it."
    )


def from_people(said: tuple[PersonMessage, ...]) -> str:
    """What operators want the agent to know, in the order in which they said it."""
    return "\n\n".join(
        f"A message from {message.author or 'an operator'}:\n\n{message.text.strip()}" for message in said
    )


def nothing_committed(branch: str) -> str:
    return (
        f"You ended without a new commit on the branch {branch}. If the work is done, commit it there. "
        "If you cannot do it, say in your closing message what you need from a person."
    )


def left_uncommitted(work: Work) -> str:
    listed = "\n".join(f"- {path}" for path in work.uncommitted)
    return (
        "These files are changed but not committed:\n\n"
        f"{listed}\n\n"
        "Commit what belongs to the work, and remove or ignore what does not."
    )


def verification_failed(command: str, verification: Verification, left: int) -> str:
    """Sends the check's output back. `left`: verifications that remain after this one."""
    if verification.exit_code is None:
        ended = f"did not end within {verification.duration_ms // 1000} s and was stopped"
    else:
        ended = f"ended with exit code {verification.exit_code}"
    output = _unfenced(verification.output_tail[-_TAIL_CHARS:])
    return (
        f"Your work was checked with `{command}`, which {ended}. The end of its output:\n\n"
        f"````text\n{output}\n````\n\n"
        f"Find the cause, mend it, and commit. {left} more {'check' if left == 1 else 'checks'} will be made."
    )


def continue_unfinished(ticket: Ticket) -> str:
    return (
        f"{ticket.identifier} is still in the state {ticket.state!r}. If anything is missing, do it now and commit it; "
        "if nothing is, close with a summary of what you did."
    )


def _unfenced(text: str) -> str:
    """Output cannot end the fence around it."""
    return text.replace("````", "`\u200b```").strip()
