"""`opensymphony journal export|replay`: what the journal tells afterwards, to others and to ourselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from opensymphony.daemon.history import History
    from opensymphony.daemon.redecision import Difference

_SHOWN_CHARS = 400
_Config = Annotated[str | None, typer.Option("--config", metavar="FILE", help="Host settings (opensymphony.toml).")]
_Until = Annotated[int | None, typer.Option("--until", metavar="N", help="The last record; default: the newest.")]


def export(
    workflow: Annotated[str | None, typer.Argument(metavar="[WORKFLOW.md]", help="Default: ./WORKFLOW.md")] = None,
    config: _Config = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: standard output.")
    ] = None,
    since: Annotated[int | None, typer.Option("--since", metavar="N", help="The first record; default: all.")] = None,
    until: _Until = None,
) -> None:
    """Write the journal as JSON lines without its texts, so that it can be given away.

    Titles, descriptions, prompts, messages, outputs, paths, names and addresses become placeholders; times, numbers and the
    order of things stay. Reads the store whether or not a daemon runs on it, and changes nothing.
    """
    from opensymphony.cli import output as out
    from opensymphony.daemon.history import exported
    from opensymphony.errors import StoreError
    from opensymphony.private_files import write_private_parts

    if since is not None and until is not None and since > until:
        out.fail(f"--since {since} is after --until {until}: give a first record that comes before the last", out.USAGE)
    if output is not None and output.is_dir():
        out.fail(f"{output} cannot be written (it is a directory): name a file")
    try:
        with _of_store(workflow, config) as history:
            lines = (line + b"\n" for line in exported(history, since, until))
            if output is None:
                for line in lines:
                    out.data(line.decode())
            else:
                write_private_parts(output, lines)
                out.say(f"wrote {output}: read it before you give it away")
    except StoreError as error:
        out.fail_with(error)
    except OSError as error:
        out.fail(f"{output} cannot be written ({error.strerror}): name another file")


def replay(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="An exported journal; default: the journal of the store.")
    ] = None,
    workflow: Annotated[
        str | None, typer.Option("--workflow", "-w", metavar="FILE", help="Whose store; default: ./WORKFLOW.md")
    ] = None,
    config: _Config = None,
    until: _Until = None,
    redecide: Annotated[
        bool, typer.Option("--redecide", help="Decide every record anew and show what would differ today.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show the state after any record of a journal, as `status` would have.

    With --redecide every event is decided again by the rules of this release, beside what was decided then; exit code 1
    when they differ. Changes nothing.
    """
    from opensymphony.cli import output as out
    from opensymphony.cli.status import lines
    from opensymphony.daemon.history import open_export, replayed
    from opensymphony.daemon.redecision import redecided
    from opensymphony.errors import StoreError

    try:
        with open_export(file) if file is not None else _of_store(workflow, config) as history:
            if redecide:
                _tell_differences(redecided(history, until), json)
            else:
                shown = replayed(history, until)
                if json:
                    out.document(shown)
                else:
                    for line in lines(shown):
                        out.data(out.one_line(line))
    except StoreError as error:
        out.fail_with(error)


def _of_store(workflow: str | None, config: str | None) -> AbstractContextManager[History]:
    from opensymphony.cli import loading
    from opensymphony.daemon.history import open_store

    return open_store(Path(loading.load(workflow, config_path=config).settings.store_dir))


def _tell_differences(found: Iterator[Difference | None], json: bool) -> None:
    from opensymphony.cli import output as out

    records, different = 0, list["Difference"]()
    for difference in found:
        records += 1
        if difference is None:
            continue
        different.append(difference)
        if not json:
            about = f" {difference.ticket}" if difference.ticket else ""
            out.data(out.one_line(f"record {difference.record} {difference.event}{about}"))
            for sign, decisions in (("-", difference.missing), ("+", difference.added)):
                for decision in decisions:
                    out.data(out.one_line(f"  {sign} {decision[:_SHOWN_CHARS]}"))
    if json:
        out.document({"records": records, "differences": different})
    else:
        out.data(f"{records} records decided anew, {len(different)} differ")
    if different:
        raise SystemExit(out.FAILED)
