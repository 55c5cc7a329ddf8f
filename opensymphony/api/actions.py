"""What an operator asks for over HTTP: stop, retry, pause and the like. A request with an id is answered once."""

from __future__ import annotations

from typing import Any, Literal, Protocol, get_args

from starlette.requests import Request
from starlette.responses import Response

from opensymphony.api.access import error_response
from opensymphony.api.answers import ErrorDetail, RefusedAction
from opensymphony.api.bodies import ActionBody, Unusable, read_body
from opensymphony.api.issues import json_response, unknown_issue
from opensymphony.clock import new_id
from opensymphony.errors import InstanceError
from opensymphony.views import ActionAnswer

Action = Literal["stop", "retry", "pause", "resume", "message", "rehydrate", "approve", "reject", "budget"]
ON_ALL: tuple[Action, ...] = ("pause", "resume")
"""What can be asked about everything at once."""


class Actions(Protocol):
    """What is asked for."""

    async def act(
        self,
        action: Action,
        identifier: str | None,
        *,
        request_id: str,
        text: str = "",
        author: str = "",
        finish: bool = False,
        digest: str = "",
    ) -> ActionAnswer | None:
        """None for a ticket that is not known. Raises `InstanceError` when there is no answer in time."""
        ...


async def act_on_issue(control: Actions, request: Request) -> Response:
    """Ask for something about one ticket."""
    return await _act(control, request, request.path_params["identifier"], get_args(Action))


async def act_on_all(control: Actions, request: Request) -> Response:
    """Ask for something about everything."""
    return await _act(control, request, None, ON_ALL)


async def _act(control: Actions, request: Request, identifier: str | None, allowed: tuple[Action, ...]) -> Response:
    action: Any = request.path_params["action"]
    if action not in allowed:
        return error_response(404, "not_found", f"there is no action {action!r} here: {', '.join(allowed)}")
    try:
        body = await read_body(request, ActionBody)
    except Unusable as unusable:
        return unusable.response
    if body.digest and action not in ("approve", "reject"):
        return error_response(400, "bad_request", "digest is for approve and reject only")
    if body.finish and action != "pause":
        return error_response(400, "bad_request", "finish is for pause only")
    try:
        answer = await control.act(
            action,
            identifier,
            request_id=body.request_id or new_id(),
            text=body.text,
            author=_on_one_line(body.author),
            finish=body.finish,
            digest=body.digest,
        )
    except InstanceError as error:
        return error_response(503, "unavailable", str(error))
    if answer is None:
        return unknown_issue(identifier or "")
    if answer.accepted:
        return json_response(answer)
    said = ErrorDetail(code="not_applicable", message=answer.answer)
    refused = RefusedAction(error=said, request_id=answer.request_id, accepted=False, answer=answer.answer)
    return json_response(refused, status=409)


def _on_one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text).strip()
