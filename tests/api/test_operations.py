"""The table of what the listener does is the listener's."""

from __future__ import annotations

import re

from starlette.routing import Route

from opensymphony.api.openapi import replies_of
from opensymphony.api.operations import OPERATIONS, TAGS
from opensymphony.api.routes import build_app
from tests.api.desk import TOKEN, Desk


def served() -> set[tuple[str, str]]:
    """Method and path of each route, as a document writes them."""
    routes = [route for route in build_app(Desk(), TOKEN).routes if isinstance(route, Route)]
    return {
        (method, re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path))
        for route in routes
        for method in (route.methods or set()) - {"HEAD"}
    }


def test_each_route_is_described_and_each_description_has_its_route() -> None:
    """Nobody adds a path without saying what it is."""
    described = {(one.method, one.path) for one in OPERATIONS}
    assert len(described) == len(OPERATIONS)
    assert described == served()


def test_each_operation_can_be_told_from_the_others() -> None:
    """By its id, and each of its answers by its status; each stands in a part that is explained."""
    assert len({one.id for one in OPERATIONS}) == len(OPERATIONS)
    assert {one.tag for one in OPERATIONS} == set(TAGS)
    for one in OPERATIONS:
        statuses = [reply.status for reply in replies_of(one)]
        assert len(set(statuses)) == len(statuses), one.id
        in_path = {parameter.name for parameter in one.parameters if parameter.where == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", one.path)), one.id
