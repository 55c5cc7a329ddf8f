"""What a ticket says about the work on it: one comment, edited in place."""

from __future__ import annotations

from msgspec import Struct

from opensymphony.model import SHORTENED, Asked, Usage, Verification, Work

MARKER = "status"
"""Names our one comment on every ticket."""

_FINAL_TEXT_CHARS = 2_000
_OUTPUT_CHARS = 6_000
"""Of a log that people look at without leaving the ticket; trackers that can fold it do."""
_FILES_MAX = 20


class Report(Struct, frozen=True, kw_only=True):
    """What is known when the comment is written."""

    identifier: str
    headline: str
    reason: str = ""
    generation: int = 0
    turns: int = 0
    verifications: int = 0
    branch: str | None = None
    commit: str | None = None
    pushed: bool = False
    work: Work | None = None
    verify_command: str | None = None
    verification: Verification | None = None
    final_text: str = ""
    usage: Usage = Usage()
    elapsed_ms: int = 0
    workspace_note: str = ""
    asked: Asked | None = None
    answer_here: bool = False
    """Whether comments on the ticket are instructions."""
    pull_request: str = ""
    """Where people look at it."""


def compose(report: Report) -> str:
    """The whole comment in Markdown. Never longer than some twelve thousand characters; what the agent said is quoted."""
    lines = [f"**{report.headline}**", ""]
    if report.reason:
        lines += [_one_line(report.reason), ""]
    if report.asked is not None:
        lines += [*_asked(report.asked, report.identifier, here=report.answer_here), ""]
    lines += [f"- {name}: {text}" for name, text in _facts(report)]
    if report.work is not None and report.work.files_changed:
        shown = report.work.files_changed[:_FILES_MAX]
        more = len(report.work.files_changed) - len(shown)
        lines.append(
            f"- files: {', '.join(f'`{_code(path)}`' for path in shown)}" + (f" and {more} more" if more else "")
        )
    if report.verification is not None and not report.verification.passed:
        lines += ["", "The end of the failed verification:", "", "````text"]
        lines += [report.verification.output_tail[-_OUTPUT_CHARS:].replace("````", "`\u200b```").strip(), "````"]
    if report.final_text:
        lines += ["", "The agent's own words:", ""]
        lines += [f"> {line}".rstrip() for line in report.final_text[:_FINAL_TEXT_CHARS].strip().splitlines()]
    return "\n".join(lines) + "\n"


def pull_request_parts(report: Report) -> dict[str, str]:
    """What a pull request may say about the work, by the names of its template."""
    subjects = report.work.summary.splitlines() if report.work is not None else []
    words = report.final_text[:_FINAL_TEXT_CHARS].strip().splitlines()
    return {
        "summary": "\n".join(f"- {_one_line(subject)}" for subject in subjects),
        "verification": _verification(report) if report.verify_command else "",
        "cost": _cost(report.usage) if report.usage.model_calls or report.usage.total_tokens else "",
        "words": "\n".join(f"> {line}".rstrip() for line in words),
    }


def _asked(asked: Asked, identifier: str, *, here: bool) -> list[str]:
    """The agent's words, and how they are answered."""
    name = _code(identifier)
    if asked.kind == "question":
        quoted = [f"> {line}".rstrip() for line in asked.text.strip().splitlines()]
        how = ", or answer with a comment here" if here else ""
        return [*quoted, "", f'Answer with `opensymphony message {name} "..."`{how}.']
    shown = asked.text.replace("````", "`\u200b```").strip()
    approve = f"`opensymphony approve {name} --digest {asked.digest[:12]}`"
    what = "all of it, of which this is the beginning" if asked.text.endswith(SHORTENED) else "exactly this"
    how = f"{approve} lets it do {what}, once; `opensymphony reject {name} --reason ...` does not."
    if here:
        how = f"{how} On the ticket: a comment `/approve {asked.digest[:12]}` or `/reject` with the reason."
    return ["````text", shown, "````", "", how]


def _facts(report: Report) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    if report.branch:
        facts.append(("branch", f"`{_code(report.branch)}`"))
    if report.commit:
        facts.append(("commit", f"`{report.commit[:12]}`" + (" (pushed)" if report.pushed else "")))
    if report.pull_request:
        facts.append(("pull request", f"<{_one_line(report.pull_request)}>"))
    if report.work is not None and report.work.summary:
        facts.append(("changes", _one_line(report.work.summary.replace("\n", "; "))))
    if report.verify_command:
        facts.append(("verification", _verification(report)))
    if report.turns:
        facts.append(
            ("effort", f"run {report.generation}, {_count(report.turns, 'turn')}, {_elapsed(report.elapsed_ms)}")
        )
    if report.usage.model_calls or report.usage.total_tokens:
        facts.append(("cost", _cost(report.usage)))
    if report.workspace_note:
        facts.append(("workspace", _one_line(report.workspace_note)))
    return facts


def _verification(report: Report) -> str:
    if report.verification is None:
        return f"`{_code(report.verify_command or '')}` has not run yet"
    verdict = "passed" if report.verification.passed else "failed"
    if report.verification.exit_code is None:
        verdict = "took too long"
    attempt = f", attempt {report.verifications}" if report.verifications > 1 else ""
    return f"`{_code(report.verify_command or '')}` {verdict}{attempt}"


def _cost(usage: Usage) -> str:
    tokens = f"{usage.total_tokens:,} tokens in {_count(usage.model_calls, 'model call')}"
    return f"{tokens}, {usage.cost_micros / 1_000_000:.4f} in money" if usage.cost_micros else tokens


def _elapsed(elapsed_ms: int) -> str:
    seconds = elapsed_ms // 1000
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min {seconds % 60} s"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:600]


def _code(text: str) -> str:
    """Text that cannot end the inline code it stands in."""
    return _one_line(text).replace("`", "'")
