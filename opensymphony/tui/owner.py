"""From a widget to its application, with its type."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.dom import DOMNode

if TYPE_CHECKING:
    from opensymphony.tui.app import OpenSymphony


def owner(node: DOMNode) -> OpenSymphony:
    """The application that a screen or a widget belongs to."""
    return cast("OpenSymphony", node.app)  # pyright: ignore[reportUnknownMemberType]
