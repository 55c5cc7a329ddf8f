"""Moves an issue along its workflow, whatever the steps of that are called.

In: where it should go. Out: where it is. Transitions differ by project, kind of issue and state, and are looked up each time;
one is chosen by the status that it leads to, else by its own name, or by a category: `category:done`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from opensymphony.errors import Refused, Unreachable
from opensymphony.model import TicketId, TransitionAnswer
from opensymphony.services.jira.client import JiraClient
from opensymphony.services.jira.issues import Status
from opensymphony.services.jira.site import SERVICE

_CATEGORY = "category:"
_CATEGORIES = {
    "new": "new",
    "to do": "new",
    "in progress": "indeterminate",
    "indeterminate": "indeterminate",
    "done": "done",
}
_TRIES = 3


class _Value(Struct, frozen=True, kw_only=True):
    name: str = ""


class _Field(Struct, frozen=True, kw_only=True):
    name: str = ""
    required: bool = False
    hasDefaultValue: bool = False
    allowedValues: tuple[_Value, ...] = ()


class Transition(Struct, frozen=True, kw_only=True):
    """One step that the issue can take now."""

    id: str
    name: str = ""
    to: Status = Status(name="")
    isAvailable: bool = True
    fields: dict[str, _Field] = {}

    @property
    def demands(self) -> tuple[str, ...]:
        """Keys of the fields that its screen has to be given."""
        return tuple(key for key, field in self.fields.items() if field.required and not field.hasDefaultValue)


class _Transitions(Struct, frozen=True, kw_only=True):
    transitions: tuple[Transition, ...] = ()


class _StatusFields(Struct, frozen=True, kw_only=True):
    status: Status


class _WithStatus(Struct, frozen=True, kw_only=True):
    fields: _StatusFields


async def move(
    client: JiraClient, ticket_id: TicketId, *, from_states: Sequence[str], to_state: str
) -> TransitionAnswer:
    """Move it if it is in one of `from_states`. Raises `Refused`, with what its workflow offers, when there is no way."""
    wanted = {state.strip().casefold() for state in from_states}
    for attempt in range(_TRIES):
        status = await _status(client, ticket_id)
        if attempt and _is_there(status, to_state):
            return TransitionAnswer(moved=True, state=status.name)  # it had moved, though the answer was lost
        if status.name.casefold() not in wanted or _is_there(status, to_state):
            return TransitionAnswer(moved=False, state=status.name)
        found = await available(client, ticket_id)
        chosen = choose(found, to_state)
        if chosen is None:
            raise Refused(SERVICE, _no_way(status, to_state, found))
        body = msgspec.to_builtins({"transition": {"id": chosen.id}, **_screen(chosen)})
        try:
            path = f"/issue/{ticket_id}/transitions"
            await client.call("POST", path, name="move the issue", json=body, writes_to=ticket_id)
        except Unreachable:
            # It may have moved all the same, or somebody else moved it in between: looking tells.
            if attempt == _TRIES - 1:
                raise
            continue
        return TransitionAnswer(moved=True, state=(await _status(client, ticket_id)).name)
    raise Unreachable(SERVICE, "move the issue: it is changed again and again")


async def available(client: JiraClient, ticket_id: str) -> tuple[Transition, ...]:
    """The steps that the issue can take now, by us."""
    params = {"expand": "transitions.fields"}
    answer = await client.call("GET", f"/issue/{ticket_id}/transitions", name="read transitions", params=params)
    return tuple(one for one in answer.value(_Transitions).transitions if one.isAvailable)


def choose(transitions: Sequence[Transition], to_state: str) -> Transition | None:
    """The step that leads there; None when there is none."""
    wanted = to_state.strip().casefold()
    if wanted.startswith(_CATEGORY):
        category = _CATEGORIES.get(wanted.removeprefix(_CATEGORY).strip())
        return next((one for one in transitions if one.to.statusCategory.key == category), None)
    by_status = next((one for one in transitions if one.to.name.strip().casefold() == wanted), None)
    return by_status or next((one for one in transitions if one.name.strip().casefold() == wanted), None)


def _is_there(status: Status, to_state: str) -> bool:
    wanted = to_state.strip().casefold()
    if wanted.startswith(_CATEGORY):
        return status.statusCategory.key == _CATEGORIES.get(wanted.removeprefix(_CATEGORY).strip())
    return status.name.strip().casefold() == wanted


def _screen(transition: Transition) -> dict[str, Any]:
    """What the step's screen demands: a resolution can be chosen, anything else is for a person."""
    fields: dict[str, Any] = {}
    for key in transition.demands:
        field = transition.fields[key]
        if key != "resolution" or not field.allowedValues:
            raise Refused(
                SERVICE,
                f"move the issue: the step {transition.name!r} demands {field.name or key!r}, which only a person can give: "
                "move it by hand, or take the field off the step's screen",
            )
        named = [one.name for one in field.allowedValues]
        fields["resolution"] = {"name": "Done" if "Done" in named else named[0]}
    return {"fields": fields} if fields else {}


def _no_way(status: Status, to_state: str, found: Sequence[Transition]) -> str:
    if not found:
        remedy = "give our account the permission Transition issues"
        return f"move the issue: no step leads on from {status.name!r} for us: {remedy}"
    offered = ", ".join(dict.fromkeys(one.to.name for one in found))
    return f"move the issue: no step leads from {status.name!r} to {to_state!r}; there are: {offered}"


async def _status(client: JiraClient, ticket_id: str) -> Status:
    answer = await client.call("GET", f"/issue/{ticket_id}", name="read the status", params={"fields": "status"})
    return answer.value(_WithStatus).fields.status
