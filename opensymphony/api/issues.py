"""Tickets over HTTP: the list of them, and why one of them is where it is. The API calls a ticket an issue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from opensymphony.api.access import error_response
from opensymphony.model import Phase
from opensymphony.views import Explanation, IssueList, Snapshot


class Issues(Protocol):
    """What is asked about tickets."""

    def snapshot(self) -> Snapshot: ...

    def explain(self, identifier: str) -> Explanation | None:
        """None for a ticket that is not known."""
        ...


def issues(control: Issues, request: Request) -> Response:
    """Every ticket in the order in which they start; `?phase=` shows those in one phase, given several times in any of them."""
    phases = request.query_params.getlist("phase")
    unknown = [phase for phase in phases if phase not in get_args(Phase)]
    if unknown:
        known = ", ".join(get_args(Phase))
        return error_response(400, "bad_request", f"there is no phase {unknown[0]!r}: {known}")
    seen = control.snapshot()
    found = tuple(view for view in seen.tickets if not phases or view.phase in phases)
    return json_response(IssueList(sequence=seen.sequence, at_ms=seen.at_ms, issues=found))


def issue(control: Issues, request: Request, shape: Callable[[Explanation], Any]) -> Response:
    """One ticket, in one of its two shapes."""
    identifier = request.path_params["identifier"]
    found = control.explain(identifier)
    return unknown_issue(identifier) if found is None else json_response(shape(found))


def unknown_issue(identifier: str) -> Response:
    return error_response(404, "issue_not_found", f"the daemon knows no ticket {identifier}")


def json_response(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")
