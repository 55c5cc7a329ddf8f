"""What an operator asks for over HTTP: stop, retry, pause and the like. A request with an id is answered once."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol, get_args

import msgspec
from msgspec import Meta, Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from opensymphony.api.access import error_response
from opensymphony.api.issues import json_response, unknown_issue
from opensymphony.clock import new_id
from opensymphony.errors import InstanceError
from opensymphony.views import ActionAnswer

BODY_BYTES_MAX = 64 * 1024

Action = Literal["stop", "retry", "pause", "resume", "message", "rehydrate"]
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
    ) -> ActionAnswer | None:
        """None for a ticket that is not known. Raises `InstanceError` when there is no answer in time."""
        ...


class ActionBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a request; it may be left out."""

    request_id: Annotated[str, Meta(max_length=200, pattern=r"^[!-~]+\Z")] | None = None
    """Printable ASCII without blanks. Asked again with the same one, the same answer comes and nothing is done again."""
    text: str = ""
    """Of a message; of any other action, why."""
    author: Annotated[str, Meta(max_length=200)] = ""
    finish: bool = False
    """Of a pause: what runs may come to its end."""


class _Unusable(Exception):
    """Raised for a body that cannot be taken."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.response = error_response(status, code, message)
        super().__init__(message)


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
        body = await _read(request)
    except _Unusable as unusable:
        return unusable.response
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
        )
    except InstanceError as error:
        return error_response(503, "unavailable", str(error))
    if answer is None:
        return unknown_issue(identifier or "")
    if answer.accepted:
        return json_response(answer)
    refused = {"error": {"code": "not_applicable", "message": answer.answer}}
    return json_response({**refused, **msgspec.to_builtins(answer)}, status=409)


async def _read(request: Request) -> ActionBody:
    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > BODY_BYTES_MAX:
                raise _Unusable(413, "too_large", f"the body is longer than {BODY_BYTES_MAX:,} bytes")
    except ClientDisconnect as error:
        raise _Unusable(400, "bad_request", "the body did not arrive whole") from error
    if not content:
        return ActionBody()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _Unusable(415, "unsupported_media_type", "send the body as application/json")
    try:
        return msgspec.json.decode(content, type=ActionBody)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise _Unusable(400, "bad_request", f"the body cannot be used: {error}") from error


def _on_one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text).strip()
