"""The lines by which we find what we wrote again. Bitbucket's Markdown shows nothing of them and gives them back as typed.

A line is a claim and no proof: anybody can copy one. What is ours is decided by the account that wrote it.
"""

from __future__ import annotations

import re

OPENED = "[//]: # (opensymphony:pull-request)"
"""Stands in the text of pull requests that we opened."""
_LINE = re.compile(r"\n*\[//\]: # \(opensymphony:[^()\s]*\)\s*\Z")


def mark(marker: str) -> str:
    """The line for a comment; whatever the marker is, it is one line and ends where it should."""
    return f"[//]: # (opensymphony:{re.sub(r'[^A-Za-z0-9_.:/@#-]', '-', marker)})"


def signed(text: str, marker: str) -> str:
    """The text with the line at its end, where nothing that the text says can take its place."""
    return f"{text.rstrip()}\n\n{mark(marker)}"


def carries(text: str, marker: str) -> bool:
    """Whether a comment's last line is that of `marker`."""
    return text.rstrip().rpartition("\n")[2].strip() == mark(marker)


def unsigned(text: str) -> str:
    """The text without our line."""
    return _LINE.sub("", text)


def without_mentions(text: str) -> str:
    """The text with `@{account}` broken: an agent's words tell nobody."""
    return text.replace("@{", "@\N{ZERO WIDTH SPACE}{")
