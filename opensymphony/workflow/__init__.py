"""WORKFLOW.md: what the repository's owners decided, from text to a typed `Policy`.

`parse` takes the file apart, `resolve` makes the policy, `prompt` renders its templates. Nothing here reads the disk, the
environment or the clock: whoever calls brings them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from opensymphony.errors import Problem
from opensymphony.schema import Surroundings
from opensymphony.workflow.parse import parse
from opensymphony.workflow.policy import Policy
from opensymphony.workflow.resolve import resolve


class Loaded(Struct, frozen=True, kw_only=True):
    """What came of one WORKFLOW.md."""

    policy: Policy | None
    """None when at least one problem is an error."""
    problems: tuple[Problem, ...]
    """Errors and warnings, by line."""


def load(
    text: str | bytes,
    file: str,
    environment: Mapping[str, str],
    home: str,
    directory: str,
    *,
    knows_zone: Callable[[str], bool] | None = None,
) -> Loaded:
    """Read a WORKFLOW.md. Never raises: whatever the text is, what is wrong with it comes back as problems.

    `file` is how messages name it; `directory` (absolute) is where its relative paths start; `knows_zone` says whether
    there is a time zone of a name.
    """
    document, problems = parse(text, file)
    if document is None:
        return Loaded(policy=None, problems=problems)
    around = Surroundings(environment=environment, home=home, directory=directory, knows_zone=knows_zone)
    policy, problems = resolve(document, file, around)
    return Loaded(policy=policy, problems=problems)


__all__ = ["Loaded", "load"]
