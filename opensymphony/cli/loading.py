"""What every command loads first: the host's settings and the WORKFLOW.md.

In: what the command line said. Out: `Loaded`, with every problem of both files; `required` ends the command instead, with
one line for each problem and exit code 2.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from opensymphony import workflow
from opensymphony.cli import output
from opensymphony.clock import is_time_zone
from opensymphony.errors import Problem
from opensymphony.settings import Overrides, Settings, load_settings
from opensymphony.workflow.parse import FILE_BYTES_MAX, line_of, parse
from opensymphony.workflow.policy import Policy

DEFAULT_WORKFLOW = "WORKFLOW.md"


class Loaded(Struct, frozen=True, kw_only=True):
    """Both files of one installation, as far as they could be read."""

    settings: Settings
    policy: Policy | None
    """None when the WORKFLOW.md has an error."""
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error; there may be warnings."""
        return self.policy is not None and all(problem.severity != "error" for problem in self.problems)


def load(
    workflow_path: str | None = None,
    *,
    config_path: str | None = None,
    port: int | None = None,
    host: str | None = None,
) -> Loaded:
    """Read the WORKFLOW.md (default: the one in this directory) and the settings beside it. Never raises.

    From here on what is logged goes to standard error: results stand alone on standard output.
    """
    from opensymphony import logs

    logs.set_up(level="error")
    named = workflow_path or DEFAULT_WORKFLOW
    read = read_workflow(named)
    server = read.policy.server if read.policy is not None else None
    overrides = Overrides(
        port=port,
        host=host,
        policy_port=server.port if server else None,
        policy_host=server.host if server else None,
    )
    settings, problems = load_settings(named, config_path=config_path, overrides=overrides)
    return Loaded(settings=settings, policy=read.policy, problems=(*read.problems, *problems))


def required(
    workflow_path: str | None = None,
    *,
    config_path: str | None = None,
    port: int | None = None,
    host: str | None = None,
) -> tuple[Settings, Policy]:
    """Settings and policy, with warnings told on standard error; or the end of the command when there is an error."""
    loaded = load(workflow_path, config_path=config_path, port=port, host=host)
    output.report(loaded.problems)
    if not loaded.ok or loaded.policy is None:
        raise SystemExit(output.USAGE)
    return loaded.settings, loaded.policy


def read_workflow(path: str) -> workflow.Loaded:
    """Read and resolve one WORKFLOW.md; also what the daemon does when the file has changed. Never raises."""
    place = os.path.abspath(os.path.expanduser(path))
    content = _content(place)
    if isinstance(content, tuple):
        message, code = content
        return workflow.Loaded(policy=None, problems=(Problem(file=path, message=message, code=code),))
    home, directory = os.path.expanduser("~"), os.path.dirname(place)
    return workflow.load(content, path, os.environ, home, directory, knows_zone=is_time_zone)


def placed(problems: Iterable[Problem], path: str | None) -> list[Problem]:
    """Problems that were found in the policy, named by the file as the person named it and by the line of their key."""
    named = path or DEFAULT_WORKFLOW
    content = _content(os.path.abspath(os.path.expanduser(named)))
    document = None if isinstance(content, tuple) else parse(content, named)[0]
    found: list[Problem] = []
    for problem in problems:
        line = line_of(document.front, problem.key or "") if document is not None else None
        found.append(msgspec.structs.replace(problem, file=named, line=line))
    return found


def _content(place: str) -> bytes | tuple[str, str]:
    """The file's bytes, one more than allowed at most; or what is wrong and its code."""
    try:
        if not stat.S_ISREG(os.stat(place).st_mode):
            return "is not a file: give the path of a WORKFLOW.md", "missing_workflow_file"
        with open(place, "rb") as file:
            return file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return "there is no such file: give the path of a WORKFLOW.md, or write one", "missing_workflow_file"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return f"cannot be read ({reason}): correct its permissions", "workflow_unreadable"
