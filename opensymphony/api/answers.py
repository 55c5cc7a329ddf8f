"""Shapes of answers that are no views: errors, and that something was taken on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from opensymphony.views import DeliveryView


class ErrorDetail(Struct, frozen=True, kw_only=True):
    """What went wrong."""

    code: str
    """For programs; it stays the same."""
    message: str
    """One sentence for a person; its words may change."""


class ErrorDocument(Struct, frozen=True, kw_only=True):
    """The body of every answer that is an error."""

    error: ErrorDetail


class RefusedAction(Struct, frozen=True, kw_only=True):
    """An action that does not fit where the ticket is: an error, and the answer that is kept under the request id."""

    error: ErrorDetail
    request_id: str
    accepted: bool
    """Always false."""
    answer: str
    """One sentence for a person."""


class Alive(Struct, frozen=True, kw_only=True):
    """The daemon is there."""

    status: Literal["ok"]
    version: str
    """Of this release."""


class Ready(Struct, frozen=True, kw_only=True):
    """New work can be begun."""

    status: Literal["ready"]


class Queued(Struct, frozen=True, kw_only=True):
    """It was taken on and happens soon."""

    queued: Literal[True] = True
    waits: str | UnsetType = UNSET
    """Why it has to wait; left out when it does not."""


class Stopping(Struct, frozen=True, kw_only=True):
    """The daemon is about to end."""

    detached: bool
    """Agents are left at work for the next start."""
    stopping: Literal[True] = True


class DeliveryDetail(Struct, frozen=True, kw_only=True):
    """One delivery with what it brought."""

    delivery: DeliveryView
    body: Any
    """As JSON where it is that, else `{"base64": ...}`: what others have sent."""


_SNAPSHOT = {"contentMediaType": "application/json", "contentSchema": {"$ref": "#/components/schemas/Snapshot"}}


class SnapshotEvent(Struct, frozen=True, kw_only=True):
    """One event of the stream, in the lines of server-sent events."""

    event: Literal["snapshot"]
    id: str
    """Names the picture; send it as `Last-Event-ID`, as it is, to go on from there."""
    data: Annotated[str, Meta(extra_json_schema=_SNAPSHOT)]
    """A `Snapshot` as JSON, on one line."""
