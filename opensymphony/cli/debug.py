"""`opensymphony debug`: look into the conversation of a ticket, and talk to its agent."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from opensymphony.cli import ask, output


def debug(
    wanted: Annotated[
        str, typer.Argument(metavar="ID", help="Identifier of a ticket, or the beginning of a conversation's id.")
    ],
    workflow: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole transcript, and long output unfolded.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added; Ctrl-C ends it.")] = False,
    last: Annotated[
        int | None, typer.Option("--last", min=1, metavar="N", help="The last entries; default: 40.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON lines, one an entry.")] = False,
) -> None:
    """Show what was said and done in the conversation of a ticket.

    In a terminal it then takes messages for the agent, and commands: /help lists them. Works while the daemon runs and when
    none does. Ctrl-C never ends the agent's turn.
    """
    from opensymphony import logs
    from opensymphony.cli import loading
    from opensymphony.debug.console import LAST, Console
    from opensymphony.debug.finding import find, know_secrets
    from opensymphony.debug.screen import Screen, ScreenGone
    from opensymphony.errors import OpenSymphonyError

    settings, policy = loading.required(workflow, config_path=config)
    logs.set_up(level="error", form=settings.log_format)  # a server's noise is in its log
    shown = last if last is not None or everything or json else LAST
    talks = sys.stdin.isatty() and sys.stdout.isatty() and not json and not follow
    try:
        know_secrets(settings, policy)
        found = find(settings, policy, wanted)
        console = Console(found, settings, policy, Screen(json=json, everything=everything), author=ask.login_name())
        console.show(shown)
        if follow:
            console.follow()
        if talks:
            import readline

            readline.set_auto_history(True)  # lines can be edited, and earlier ones are there again

            output.say(f"{found.name}: /help lists what can be said here")
            console.talk()
    except OpenSymphonyError as error:
        output.fail_with(error)
    except KeyboardInterrupt:
        raise SystemExit(output.INTERRUPTED) from None
    except ScreenGone:
        raise SystemExit(output.DONE) from None
