"""What the demo's scripted model does, ticket by ticket: acts of steps, each one tool call.

An act ends with `finish`; the next one is played when another message comes. In arguments, `@HERE@` stands for the agent's
working directory, `@CHECK@` for the command that verifies the ticket and `@PYTHON@` for the Python in it: `story.py` puts in
what it read.
"""

from __future__ import annotations

from msgspec import Struct

HERE = "@HERE@"
CHECK = "@CHECK@"
PYTHON = "@PYTHON@"


class Step(Struct, frozen=True, kw_only=True):
    """One tool call."""

    tool: str
    arguments: dict[str, object]
    thought: str


Act = tuple[Step, ...]


def _shell(thought: str, command: str) -> Step:
    return Step(tool="terminal", arguments={"command": command, "summary": thought}, thought=thought)


def _replace(thought: str, path: str, old: str, new: str) -> Step:
    arguments: dict[str, object] = {"command": "str_replace", "path": f"{HERE}/{path}", "old_str": old, "new_str": new}
    return Step(tool="file_editor", arguments={**arguments, "summary": thought}, thought=thought)


def _create(thought: str, path: str, text: str) -> Step:
    arguments: dict[str, object] = {"command": "create", "path": f"{HERE}/{path}", "file_text": text}
    return Step(tool="file_editor", arguments={**arguments, "summary": thought}, thought=thought)


def _plan(thought: str, *titles: str) -> Step:
    tasks = [{"title": title, "status": "todo", "notes": ""} for title in titles]
    return Step(
        tool="task_tracker", arguments={"command": "plan", "task_list": tasks, "summary": thought}, thought=thought
    )


def _look() -> Step:
    return _shell("Looking around the repository", "pwd && git status --short --branch && ls . textkit tests")


def _check() -> Step:
    return _shell("Running the ticket's test", CHECK)


def _commit(message: str) -> Step:
    # The name belongs to this script: a workspace need not have one configured.
    identity = "-c user.name='Scripted agent' -c user.email=agent@opensymphony.invalid"
    return _shell("Committing the change", f"git add -A && git {identity} commit -q -m '{message}'")


def _finish(message: str) -> Step:
    return Step(tool="finish", arguments={"message": message, "summary": "Summing up"}, thought="Summing up")


_SLUGS_OLD = '''\
def slugify(title):
    """Return the title in a form that fits into a web address."""
    return title.strip().lower().replace(" ", "-")
'''
_SLUGS_NEW = '''\
import re


def slugify(title):
    """Return the title in a form that fits into a web address."""
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))
'''

_DURATIONS_OLD = """\
    unit = text[-1:]
    if unit not in _SECONDS or not text[:-1].isdigit():
        raise ValueError("not a duration: %r" % text)
    return int(text[:-1]) * _SECONDS[unit]
"""
_DURATIONS_HASTY = """\
    total = 0
    for number, unit in re.findall(r"(\\d+)([hms])", text):
        total += int(number) * _SECONDS[unit]
    return total
"""
_DURATIONS_STRICT = """\
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError("not a duration: %r" % text)
    hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return hours * 3600 + minutes * 60 + seconds
"""
_UNITS_OLD = '_SECONDS = {"s": 1, "m": 60, "h": 3600}\n'
_UNITS_HASTY = 'import re\n\n_SECONDS = {"s": 1, "m": 60, "h": 3600}\n'
_UNITS_STRICT = 'import re\n\n_DURATION = re.compile(r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")\n'

_MONEY_OLD = '    return "%d.%02d" % (cents // 100, cents % 100)\n'
_MONEY_NEW = """\
    sign = "-" if cents < 0 else ""
    return "%s%d.%02d" % (sign, abs(cents) // 100, abs(cents) % 100)
"""

_LISTING = '''\
"""Lists of pages."""

from textkit.slugs import slugify


def unique_slugs(titles):
    """Return one slug for each title; a slug that is taken gets the next free number."""
    slugs = []
    for title in titles:
        plain = slug = slugify(title)
        number = 1
        while slug in slugs:
            number += 1
            slug = "%s-%d" % (plain, number)
        slugs.append(slug)
    return slugs
'''

_QUICK_LOOK = f"{PYTHON} -c \"from textkit.durations import parse_duration as p; print(p('1h30m'), p('90s'))\""

ACTS: dict[str, tuple[Act, ...]] = {
    "DEMO-1": (
        (
            _look(),
            _shell("Reading the code and its test", "cat textkit/slugs.py tests/test_demo_1.py"),
            _check(),
            _replace("Keeping letters and digits only", "textkit/slugs.py", _SLUGS_OLD, _SLUGS_NEW),
            _check(),
            _commit("fix: keep punctuation out of slugs"),
            _finish(
                "`slugify` kept everything but spaces. It now keeps runs of letters and digits and joins them with single "
                "hyphens, so no hyphen doubles or stands at an end."
            ),
        ),
    ),
    "DEMO-2": (
        (
            _look(),
            _plan("Planning the work", "Add up hours, minutes and seconds", "Try the example of the ticket", "Commit"),
            _shell("Reading the code", "cat textkit/durations.py"),
            _replace("Naming what is needed", "textkit/durations.py", _UNITS_OLD, _UNITS_HASTY),
            _replace("Adding up every unit found", "textkit/durations.py", _DURATIONS_OLD, _DURATIONS_HASTY),
            _shell("Trying the ticket's example", _QUICK_LOOK),
            _commit("feat: accept durations with several units"),
            _finish("`parse_duration` now adds up hours, minutes and seconds: the ticket's example gives 5400."),
        ),
        (
            _check(),
            _shell("Reading what the test asks for", "cat tests/test_demo_2.py textkit/durations.py"),
            _replace("Describing a whole duration", "textkit/durations.py", _UNITS_HASTY, _UNITS_STRICT),
            _replace("Refusing everything else", "textkit/durations.py", _DURATIONS_HASTY, _DURATIONS_STRICT),
            _check(),
            _commit("fix: refuse what is not a duration"),
            _finish(
                "My first version took whatever looked like a part of a duration and passed over the rest. It now matches the "
                "whole text, hours before minutes before seconds, and raises ValueError for anything else."
            ),
        ),
    ),
    "DEMO-3": (
        (
            _look(),
            _shell("Reading the code and its test", "cat textkit/money.py tests/test_demo_3.py"),
            _check(),
            _replace("Taking the sign apart", "textkit/money.py", _MONEY_OLD, _MONEY_NEW),
            _check(),
            _commit("fix: format negative amounts"),
            _finish(
                "Division rounds down, so -195 became -2.05. The sign is now written first and the rest computed without it."
            ),
        ),
    ),
    "DEMO-4": (
        (
            _look(),
            _shell("Reading the code and its test", "cat textkit/slugs.py tests/test_demo_4.py"),
            _create("Writing the new module", "textkit/listing.py", _LISTING),
            _check(),
            _commit("feat: one slug for each title"),
            _finish(
                "`textkit/listing.py` is new: `unique_slugs` gives every title a slug of its own, numbered from -2 on, and "
                "passes over numbers that are taken."
            ),
        ),
    ),
}

AGAIN: Act = (
    _check(),
    _finish("I looked again and ran the ticket's test; there was nothing left for me to change."),
)
"""Played for every message after a ticket's own acts."""
