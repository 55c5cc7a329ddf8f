"""Every operation of the operator's listener: path and method, what it takes, what it answers, and to whom.

`openapi.py` makes the document from this table; a test compares it with the routes that `routes.py` builds. Answers that many
have in common, such as that the token is missing, are added there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from msgspec import Meta, Struct
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from opensymphony import views as v
from opensymphony.api import answers as a
from opensymphony.api.actions import ON_ALL, Action
from opensymphony.api.bodies import ActionBody, ShutdownBody
from opensymphony.api.symphony import SymphonyIssue, SymphonyState
from opensymphony.model import Phase

JSON, HTML, TEXT, STREAM = "application/json", "text/html", "text/plain", "text/event-stream"
FORM = "application/x-www-form-urlencoded"


class Parameter(Struct, frozen=True):
    """One value in the path, the query or a header."""

    name: str
    kind: Any
    """Its type; outside the path it may be left out."""
    meaning: str
    where: Literal["path", "query", "header"] = "query"


class Reply(Struct, frozen=True):
    """One answer that may come."""

    status: int
    meaning: str
    kind: Any = a.ErrorDocument
    """The type of a body in JSON, or of one event; of any other media type nothing but text."""
    media_type: str = JSON


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path."""

    id: str
    method: Literal["GET", "POST"] = "GET"
    path: str
    tag: str
    summary: str
    detail: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    """The type of the body; None where none is taken. A body in JSON may always be left out."""
    body_media_type: str = JSON
    replies: tuple[Reply, ...]
    open: bool = False
    """Answered without the token."""


class CodeForm(Struct, frozen=True, kw_only=True):
    """The form by which the dashboard is opened."""

    code: str
    """From `POST /api/v1/dashboard-codes`; it holds once, for a minute."""


TAGS: dict[str, str] = {
    "Health": "Whether the daemon lives and can work; for watchdogs and for Prometheus.",
    "Picture": "Everything that an operator can see, at one moment or as it changes.",
    "Tickets": "One ticket: why it is where it is, and what was said, done, decided and checked.",
    "Actions": "What an operator asks for. Send a `request_id`: asked again with the same one, the same answer comes.",
    "Webhooks": "What services have sent, and what became of it.",
    "Symphony": "The same in the shapes of Symphony, for programs that were written for it.",
    "Dashboard": "The dashboard's own pages; there is no data in them.",
    "Documentation": "This interface, described.",
}

_KNOWN = Meta(min_length=1)
_NAME = "The ticket's identifier; send `/` in it as `%2F` and `.` as `%2E`."
_IDENTIFIER = Parameter("identifier", Annotated[str, _KNOWN], _NAME, "path")
_DELIVERY = Parameter("number", Annotated[int, Meta(ge=0)], "The delivery's number.", "path")
_LIMIT = Parameter("limit", Annotated[int, Meta(ge=1, le=500)], "At most so many entries; 200 when left out.")
_NUMBER = Annotated[int, Meta(ge=0)]
_UNKNOWN_TICKET = Reply(404, "`issue_not_found`: the daemon knows no such ticket.")
_BAD_QUERY = Reply(400, "`bad_request`: a parameter cannot be used.")
_PAST = (_BAD_QUERY, Reply(503, "`unavailable`: the daemon is starting, or its journal cannot be read now."))
_UNKNOWN_DELIVERY = Reply(404, "`delivery_not_found`: there is none; `no_webhooks`: this daemon takes no webhooks.")
_ACTION_REPLIES = (
    Reply(200, "It was accepted.", kind=v.ActionAnswer),
    Reply(400, "`bad_request`: the body does not fit the action."),
    Reply(409, "`not_applicable`: it does not fit where things are; nothing changed.", kind=a.RefusedAction),
    Reply(503, "`unavailable`: no answer in time; ask again with the same `request_id`."),
)
_DIFFERENTLY = "`message` needs a text; `digest` is for `approve` and `reject`, `finish` for `pause`."

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        id="readAlive",
        path="/healthz",
        tag="Health",
        summary="Whether the daemon lives",
        replies=(Reply(200, "It does.", kind=a.Alive),),
        open=True,
    ),
    Operation(
        id="readReady",
        path="/readyz",
        tag="Health",
        summary="Whether new work can be begun",
        replies=(
            Reply(200, "It can.", kind=a.Ready),
            Reply(503, "`not_ready`: what kind of trouble keeps it from that."),
        ),
        open=True,
    ),
    Operation(
        id="readMetrics",
        path="/metrics",
        tag="Health",
        summary="Metrics for Prometheus",
        detail="In the text format of Prometheus. No label holds a ticket's name or text.",
        replies=(Reply(200, "All metrics, right now.", kind=str, media_type=CONTENT_TYPE_PLAIN_0_0_4),),
    ),
    Operation(
        id="readSnapshot",
        path="/api/v1/snapshot",
        tag="Picture",
        summary="The whole picture, right now",
        replies=(Reply(200, "The picture.", kind=v.Snapshot),),
    ),
    Operation(
        id="followEvents",
        path="/api/v1/events",
        tag="Picture",
        summary="The newest picture whenever something has changed",
        detail="Server-sent events. Each is `event: snapshot` with an `id` that names it and a `Snapshot` as its data. "
        "Who is slow gets the newest picture next, never those in between; who takes nothing for half a minute is cut off. "
        "A comment comes every 15 seconds when nothing changes. The stream ends when the daemon ends.",
        parameters=(
            Parameter(
                "Last-Event-ID",
                str,
                "The `id` of the picture that is there already: the first event comes with the next change.",
                "header",
            ),
        ),
        replies=(
            Reply(200, "The stream, event by event.", a.SnapshotEvent, STREAM),
            Reply(429, "`too_many_readers`: so many programs follow already."),
        ),
    ),
    Operation(
        id="listIssues",
        path="/api/v1/issues",
        tag="Tickets",
        summary="Every ticket, in the order in which they start",
        parameters=(
            Parameter("phase", list[Phase], "Only tickets in this phase; given several times, in any of them."),
        ),
        replies=(Reply(200, "The tickets.", kind=v.IssueList), _BAD_QUERY),
    ),
    Operation(
        id="explainIssue",
        path="/api/v1/issues/{identifier}",
        tag="Tickets",
        summary="Why a ticket is, or is not, being worked on",
        parameters=(_IDENTIFIER,),
        replies=(
            Reply(200, "The ticket, with every rule and how it stands.", kind=v.Explanation),
            _UNKNOWN_TICKET,
        ),
    ),
    Operation(
        id="readTranscript",
        path="/api/v1/issues/{identifier}/transcript",
        tag="Tickets",
        summary="What was said and done in a ticket's newest conversation",
        detail="Neither `before` nor `after`: the newest entries. Its texts come from agents and tools: treat them as hostile.",
        parameters=(
            _IDENTIFIER,
            _LIMIT,
            Parameter("before", _NUMBER, "Entries before this number."),
            Parameter("after", _NUMBER, "Entries after this number, the oldest of them first."),
        ),
        replies=(
            Reply(200, "A part of it, oldest entry first.", kind=v.TranscriptPage),
            *_PAST,
            Reply(
                404,
                "`issue_not_found`, `no_conversation`: no agent has worked on it, or `no_transcript`: it is not here.",
            ),
        ),
    ),
    Operation(
        id="readTimeline",
        path="/api/v1/issues/{identifier}/timeline",
        tag="Tickets",
        summary="What happened with a ticket, and what was decided about it",
        parameters=(
            _IDENTIFIER,
            _LIMIT,
            Parameter("before", _NUMBER, "Entries of records before this number."),
        ),
        replies=(
            Reply(200, "A part of it, newest entry first.", kind=v.TimelinePage),
            *_PAST,
            _UNKNOWN_TICKET,
        ),
    ),
    Operation(
        id="readChanges",
        path="/api/v1/issues/{identifier}/changes",
        tag="Tickets",
        summary="What the agent has changed in its workspace",
        parameters=(_IDENTIFIER,),
        replies=(
            Reply(200, "The difference to the base branch.", kind=v.Changes),
            *_PAST,
            Reply(404, "`issue_not_found`, or `no_workspace`: there is none, or none any more."),
            Reply(409, "`workspace_unreadable`: what the agent has left there cannot be compared."),
        ),
    ),
    Operation(
        id="listVerifications",
        path="/api/v1/issues/{identifier}/verifications",
        tag="Tickets",
        summary="The last verifications of a ticket, with the ends of their outputs",
        parameters=(_IDENTIFIER,),
        replies=(Reply(200, "The newest first.", kind=v.VerificationList), *_PAST, _UNKNOWN_TICKET),
    ),
    Operation(
        id="readStatistics",
        path="/api/v1/statistics",
        tag="Picture",
        summary="What days and runs cost, and how they ended",
        parameters=(
            Parameter("days", Annotated[int, Meta(ge=1, le=366)], "So many days up to today; 30 when left out."),
        ),
        replies=(Reply(200, "The figures.", kind=v.Statistics), *_PAST),
    ),
    Operation(
        id="actOnIssue",
        method="POST",
        path="/api/v1/issues/{identifier}/actions/{action}",
        tag="Actions",
        summary="Ask for something about one ticket",
        detail=_DIFFERENTLY,
        parameters=(
            _IDENTIFIER,
            Parameter("action", Literal[get_args(Action)], "What to do.", "path"),
        ),
        body=ActionBody,
        replies=(
            *_ACTION_REPLIES,
            Reply(404, "`issue_not_found`, or `not_found`: there is no such action."),
        ),
    ),
    Operation(
        id="actOnAll",
        method="POST",
        path="/api/v1/actions/{action}",
        tag="Actions",
        summary="Pause or resume everything",
        parameters=(Parameter("action", Literal[ON_ALL], "What to do.", "path"),),
        body=ActionBody,
        replies=(*_ACTION_REPLIES, Reply(404, "`not_found`: there is no such action.")),
    ),
    Operation(
        id="refresh",
        method="POST",
        path="/api/v1/refresh",
        tag="Actions",
        summary="Look at the tracker now",
        replies=(Reply(202, "The look comes soon.", kind=a.Queued),),
    ),
    Operation(
        id="shutDown",
        method="POST",
        path="/api/v1/shutdown",
        tag="Actions",
        summary="Stop the daemon in good order",
        detail="It takes for as long as agents need to stop; the answer comes at once.",
        body=ShutdownBody,
        replies=(
            Reply(202, "It begins.", kind=a.Stopping),
            Reply(400, "`bad_request`: the body cannot be used."),
        ),
    ),
    Operation(
        id="listDeliveries",
        path="/api/v1/deliveries",
        tag="Webhooks",
        summary="The newest deliveries, and how many were turned away",
        parameters=(Parameter("before", _NUMBER, "Deliveries before this number."),),
        replies=(
            Reply(200, "The newest first.", kind=v.DeliveryList),
            _BAD_QUERY,
            Reply(404, "`no_webhooks`: this daemon takes no webhooks."),
        ),
    ),
    Operation(
        id="readDelivery",
        path="/api/v1/deliveries/{number}",
        tag="Webhooks",
        summary="One delivery with its body",
        parameters=(_DELIVERY,),
        replies=(Reply(200, "The delivery.", kind=a.DeliveryDetail), _UNKNOWN_DELIVERY),
    ),
    Operation(
        id="replayDelivery",
        method="POST",
        path="/api/v1/deliveries/{number}/replay",
        tag="Webhooks",
        summary="Let a delivery be looked at once more",
        parameters=(_DELIVERY,),
        replies=(Reply(202, "The look comes soon.", kind=a.Queued), _UNKNOWN_DELIVERY),
    ),
    Operation(
        id="readSymphonyState",
        path="/api/v1/state",
        tag="Symphony",
        summary="The state in Symphony's shape",
        replies=(Reply(200, "The state.", kind=SymphonyState),),
    ),
    Operation(
        id="readSymphonyIssue",
        path="/api/v1/{identifier}",
        tag="Symphony",
        summary="One ticket in Symphony's shape",
        detail="For identifiers that are not the first word of another path here.",
        parameters=(_IDENTIFIER,),
        replies=(Reply(200, "The ticket.", kind=SymphonyIssue), _UNKNOWN_TICKET),
    ),
    Operation(
        id="makeDashboardCode",
        method="POST",
        path="/api/v1/dashboard-codes",
        tag="Dashboard",
        summary="A code that opens the dashboard once",
        replies=(Reply(200, "The code, which holds for a minute.", kind=v.DashboardCode),),
    ),
    Operation(
        id="readDashboard",
        path="/",
        tag="Dashboard",
        summary="The dashboard's page",
        replies=(Reply(200, "The page.", kind=str, media_type=HTML),),
        open=True,
    ),
    Operation(
        id="openDashboard",
        method="POST",
        path="/",
        tag="Dashboard",
        summary="The dashboard's page, opened by a code",
        body=CodeForm,
        body_media_type=FORM,
        replies=(
            Reply(200, "The page, with the token for its tab alone.", kind=str, media_type=HTML),
            Reply(401, "A page: the code is unknown, used or too old.", kind=str, media_type=HTML),
        ),
        open=True,
    ),
    Operation(
        id="readAsset",
        path="/assets/{name}",
        tag="Dashboard",
        summary="A script, style or picture of the dashboard",
        parameters=(Parameter("name", Annotated[str, _KNOWN], "The file's name.", "path"),),
        replies=(
            Reply(200, "The file, of its own media type.", kind=str, media_type="*/*"),
            Reply(404, "`not_found`: there is no such file."),
        ),
        open=True,
    ),
    Operation(
        id="readDocument",
        path="/openapi.json",
        tag="Documentation",
        summary="This interface as an OpenAPI document",
        replies=(Reply(200, "The document.", kind=dict[str, Any]),),
        open=True,
    ),
    Operation(
        id="readReference",
        path="/docs",
        tag="Documentation",
        summary="The same as a page to read",
        replies=(Reply(200, "The page.", kind=str, media_type=HTML),),
        open=True,
    ),
)
