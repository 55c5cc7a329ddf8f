"""`opensymphony dashboard`: the daemon's picture in a browser.

A browser is given the path of a file, never a token: whoever lists processes sees the path, and only its owner can read the
file. In it is a code that opens the dashboard once, within a minute.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opensymphony.cli import ask, output

if TYPE_CHECKING:
    from opensymphony.api.client import Address

DIRECTORY = "dashboard"
"""Below the store: pages that were written and not removed yet."""

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<title>OpenSymphony</title>
<form method="post" action="{url}/">
<input type="hidden" name="code" value="{code}">
<button>Open the dashboard</button>
</form>
<script>document.forms[0].submit()</script>
</html>
"""


def dashboard(
    workflow: Annotated[str | None, typer.Argument(metavar="[WORKFLOW.md]", help="Default: ./WORKFLOW.md")] = None,
    workflow_option: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Only print which page to open.")] = False,
    page: Annotated[
        bool, typer.Option("--page", help="Print the page itself, for a browser on another machine.")
    ] = False,
) -> None:
    """Open the dashboard of a running daemon in a browser.

    The page that is opened is good for one minute and for one time. On a machine without a screen it says what to do.
    """
    from opensymphony.api.client import request_dashboard_code
    from opensymphony.errors import InstanceError

    address = ask.find(ask.either(workflow, workflow_option), config)
    try:
        made = request_dashboard_code(address)
    except InstanceError as error:
        output.fail(str(error), output.FAILED)
    text = _PAGE.format(url=escape(address.url), code=escape(made.code))
    if page:
        output.data(text)
        return
    try:
        place = _written(Path(address.token_file).parent / DIRECTORY, text)
    except OSError as error:
        output.fail(f"{error.filename or address.token_file}: no page can be written there ({error.strerror})")
    if no_open:
        output.data(place.as_uri())
        output.say("open it in a browser within a minute")
    elif _opened(place):
        output.say(f"the dashboard opens in your browser; if it does not, open {place} within a minute")
    else:
        output.data(place.as_uri())
        _advise(address)


def _written(directory: Path, text: str) -> Path:
    """The page, readable by its owner alone; what earlier calls have left is removed once nobody can use it any more."""
    from contextlib import suppress

    from opensymphony.clock import Clock, new_id
    from opensymphony.private_files import make_private_directory, write_private

    make_private_directory(directory)
    oldest_ms = Clock().wall_ms() - 60_000
    for left in directory.glob("*.html*"):
        with suppress(OSError):
            if left.stat().st_mtime * 1000 < oldest_ms:
                left.unlink()
    place = directory / f"{new_id()}.html"
    write_private(place, text.encode())
    return place


def _opened(place: Path) -> bool:
    """Whether a browser was asked to show it; a browser of the terminal could not."""
    import os
    import sys
    import webbrowser

    has_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")
    )
    return has_screen and webbrowser.open(place.as_uri())


def _advise(address: Address) -> None:
    """What to do where no browser can be opened."""
    import platform

    host, port = platform.node() or "HOST", address.port
    output.say("no browser can be opened here. From the machine that you sit at, with the same WORKFLOW.md as here:")
    output.say(f"  ssh -N -L {port}:{address.url.removeprefix('http://')} {host}")
    output.say(f"  ssh {host} opensymphony dashboard --page -w /PATH/TO/WORKFLOW.md > dashboard.html")
    output.say("and open dashboard.html within a minute. docs/dashboard.md says more.")
