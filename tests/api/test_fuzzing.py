"""Ten thousand random requests, made from the document: to every route, with the token and without, over a real listener.

Half of them fit the document, half are made to break it. What is asked is the same in each run.
"""

from __future__ import annotations

import copy
import http.client
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import anyio
import pytest
import requests
import schemathesis
from anyio.abc import TaskStatus
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from opensymphony.api.events import Feed
from opensymphony.api.openapi import document
from opensymphony.api.operations import OPERATIONS, Operation
from opensymphony.api.routes import build_app
from opensymphony.api.server import serve_app
from tests.api.desk import BEARER, TOKEN
from tests.api.test_security import CANARY, canaries

ALL = 10_000
FREE = {"identifier", "name", "Last-Event-ID"}
"""Whatever stands there fits."""
BROKEN = [one for one in OPERATIONS if one.body is not None or {parameter.name for parameter in one.parameters} - FREE]
HEADS = 5
"""Each is sent so often: with the token, without one, with a random one, under a foreign name, from another site."""
BROKEN_CASES = 30
"""They take much longer to make up."""
CASES = -(-(ALL - len(BROKEN) * BROKEN_CASES * HEADS) // (len(OPERATIONS) * HEADS))
ASKED = [
    *((one, GenerationMode.POSITIVE, CASES) for one in OPERATIONS),
    *((one, GenerationMode.NEGATIVE, BROKEN_CASES) for one in BROKEN),
]
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]

TOKENS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=50).filter(lambda text: text != TOKEN)
QUERIES = st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3)


def fuzzed(known: dict[str, list[Any]]) -> Any:
    """The document as it is fuzzed: half of the names are known ones, and the token is not for it to choose."""
    about = copy.deepcopy(document())
    for methods in about["paths"].values():
        for operation in methods.values():
            operation["security"] = []
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in known:
                    parameter["schema"] = {"anyOf": [{"enum": known[parameter["name"]]}, parameter["schema"]]}
    return schemathesis.openapi.from_dict(about)


@pytest.fixture(scope="module")
def schemas() -> dict[GenerationMode, Any]:
    known: dict[str, list[Any]] = {"identifier": [*canaries().known], "number": [1, 2]}
    return {GenerationMode.POSITIVE: fuzzed(known), GenerationMode.NEGATIVE: fuzzed({})}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A listener in a thread of its own. Its feed is closed: a stream shows its first picture and ends."""
    desk = canaries()
    feed = Feed(desk)
    feed.close()

    async def serve(*, task_status: TaskStatus[int]) -> None:
        async with anyio.create_task_group() as tasks:
            port: int = await tasks.start(partial(serve_app), build_app(desk, TOKEN, feed), "127.0.0.1", 0)
            task_status.started(port)
            await anyio.sleep_forever()

    with start_blocking_portal() as portal:
        future, port = portal.start_task(serve)
        yield f"http://127.0.0.1:{port}"
        future.cancel()


class Again:
    """Sends a request once more, with other headers, over one connection."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)

    def __call__(self, request: requests.PreparedRequest, headers: dict[str, str]) -> tuple[int, str | None, str]:
        given = {name: text for name, text in request.headers.items() if name.lower() not in ("connection", "host")}
        body = request.body.encode() if isinstance(request.body, str) else request.body
        self._connection.request(request.method or "", request.path_url, body, given | headers)
        answer = self._connection.getresponse()
        return answer.status, answer.headers["x-content-type-options"], answer.read().decode()

    def close(self) -> None:
        self._connection.close()


@pytest.mark.parametrize(
    ("operation", "mode", "cases"), [pytest.param(*one, id=f"{one[0].id}-{one[1].value}") for one in ASKED]
)
def test_whatever_is_asked_the_answer_is_in_the_document(
    operation: Operation, mode: GenerationMode, cases: int, schemas: dict[GenerationMode, Any], url: str
) -> None:
    """Never a defect; the status, media type and shape that it says; whoever may not ask gets no word of the data."""
    statuses: Counter[int] = Counter()
    case = schemas[mode][operation.path][operation.method].as_strategy(mode)

    @settings(
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case, TOKENS, QUERIES)
    def ask(case: Any, token: str, query: dict[str, str]) -> None:
        case.query = {**query, **(case.query or {})}
        answer = case.call(base_url=url, session=session, headers=BEARER, allow_redirects=False)
        statuses[answer.status_code] += 1
        assert answer.status_code < 500, answer.text
        case.validate_response(answer, checks=CHECKS)
        for allowed, headers in [
            (operation.open, {"Authorization": ""}),
            (operation.open, {"Authorization": f"Bearer {token}"}),
            (False, {"Host": "evil.example"}),
            (operation.open, {"Origin": "https://evil.example"}),
        ]:
            status, nosniff, text = again(answer.request, headers)
            statuses[status] += 1
            assert (nosniff, CANARY in text) == ("nosniff", False), text
            assert allowed or status in (401, 403, 404, 405), text

    with closing(Again(url)) as again, requests.Session() as session:
        session.trust_env = False
        ask()
    assert statuses.total() >= cases * HEADS, statuses


def test_that_is_ten_thousand() -> None:
    """Each test above counts what it has sent."""
    assert sum(cases * HEADS for _, _, cases in ASKED) >= ALL
