"""The fake agent-server keeps to the real one's interface: what it takes and answers validates against its OpenAPI document."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from websockets.sync.client import connect

from opensymphony.agents.openhands.launch import creation_body
from opensymphony.interfaces import ConversationRequest
from opensymphony.model import ConversationId
from opensymphony.workflow.policy import ConversationPolicy
from tests.fakes.stub_installation import FAKE, ROOT

SPECIFICATION = ROOT.parent / "shared" / "specs" / "openhands-agent-server-1.58.openapi.json"
KEY = "a-session-key"
ONE = "/api/conversations/{conversation_id}"

Json = dict[str, Any]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A fake server that runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "default.json").write_text("[{}]")
    environment = os.environ | {
        "FAKE_AGENTS": str(tmp_path),
        "OH_CONVERSATIONS_PATH": str(tmp_path / "store"),
        "OH_SESSION_API_KEYS_0": KEY,
    }
    argv = [sys.executable, "-c", FAKE, str(ROOT), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(argv, env=environment) as process:
        try:
            yield _answering(f"127.0.0.1:{port}")
        finally:
            process.terminate()


def _answering(address: str) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://{address}/ready")
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return address
    raise AssertionError("the fake server does not answer")


class Checked:
    """Asks, and holds what goes out and what comes back against the specification."""

    def __init__(self, address: str) -> None:
        self.specification: Json = json.loads(SPECIFICATION.read_text())
        resource = Resource(contents=self.specification, specification=DRAFT202012)
        self._registry: Registry[Json] = Registry().with_resource("urn:specification", resource)
        self.base_url = f"http://{address}"
        self.asked: set[tuple[str, str]] = set()

    def validate(self, value: Any, *where: str) -> None:
        """Against the schema that stands there in the document."""
        pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in where)
        schema = {"$ref": f"urn:specification#/{pointer}"}
        jsonschema.Draft202012Validator(schema, registry=self._registry).validate(value)
        assert invented(value, schema, self.specification) == []

    def event(self, event: Json) -> None:
        """By its own schema: the union of all kinds would tell only that none fits."""
        self.validate(event, "components", "schemas", event["kind"])

    def ask(self, method: str, path: str, body: Json | None = None, expected: int = 200, **params: str) -> Any:
        self.asked.add((method, path))
        place = ("paths", path, method.lower())
        content = ("content", "application/json", "schema")
        if body is not None:
            self.validate(body, *place, "requestBody", *content)
        url, headers = self.base_url + path.format(conversation_id=ID), {"X-Session-API-Key": KEY}
        response = httpx.request(method, url, json=body, params=params, headers=headers, trust_env=False)
        assert response.status_code == expected, response.text
        if expected < 300:
            self.validate(response.json(), *place, "responses", "200", *content)
        return response.json()


def invented(value: Any, schema: Json, specification: Json, at: str = "") -> list[str]:
    """Names in a value that its schema does not have, and allows: validation alone would let them pass."""
    if "$ref" in schema:
        found: Any = specification
        for part in schema["$ref"].partition("#/")[2].split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        return invented(value, found, specification, at)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return min((invented(value, one, specification, at) for one in schema[choice]), key=len)
    if isinstance(value, list):
        return [one for item in value for one in invented(item, schema.get("items", {}), specification, f"{at}[]")]
    if not isinstance(value, dict):
        return []
    known, more = schema.get("properties"), schema.get("additionalProperties")
    told: list[str] = []
    for name, item in value.items():
        if known is not None and name in known:
            told += invented(item, known[name], specification, f"{at}.{name}")
        elif isinstance(more, dict):
            told += invented(item, more, specification, f"{at}.{name}")
        elif known is not None and not more:
            told.append(f"{at}.{name}")
    return told


@pytest.mark.skipif(
    not SPECIFICATION.exists(), reason=f"the agent-server's OpenAPI document is not here: {SPECIFICATION}"
)
def test_an_invented_name_is_found() -> None:
    """Also below a reference and within a list."""
    specification: Json = json.loads(SPECIFICATION.read_text())
    schema = {"$ref": "#/components/schemas/MessageEvent"}
    event: Json = {"kind": "MessageEvent", "llm_message": {"role": "user", "content": [{"type": "text", "text": "t"}]}}
    assert invented(event, schema, specification) == []
    event["cause"] = event["llm_message"]["mood"] = event["llm_message"]["content"][0]["colour"] = 1
    assert invented(event, schema, specification) == [".llm_message.content[].colour", ".llm_message.mood", ".cause"]


ID = str(uuid.uuid4())


def test_bodies_are_those_of_the_specification(address: str, tmp_path: Path) -> None:
    """Every route that it serves is asked as our client asks it, and each body and each event is a valid one."""
    if not SPECIFICATION.exists():
        pytest.skip(f"the agent-server's OpenAPI document is not here: {SPECIFICATION}")
    checked = Checked(address)
    checked.ask("GET", "/ready")
    checked.ask("GET", "/alive")
    checked.ask("GET", "/server_info")
    checked.ask("POST", "/api/init", {"session_api_keys": ["k"], "secret_key": "s"}, expected=400)
    checked.ask("GET", ONE, expected=404)
    request = ConversationRequest(conversation_id=ConversationId(ID), working_dir=str(tmp_path / "T-1"), title="T-1")
    body = creation_body(request, ConversationPolicy(), {"LLM_MODEL": "openai/m", "LLM_API_KEY": "k"})
    checked.ask("POST", "/api/conversations", body, expected=201)
    checked.ask("POST", "/api/conversations", body)
    checked.ask("PATCH", ONE, {"title": "T-1: a title", "tags": {"opensymphony": "active"}})
    turns = [{"run": ["echo hi"]}, {"hold": "go"}, {"status": "error", "failure": {"code": "C", "detail": "d"}}]
    (tmp_path / "T-1.json").write_text(json.dumps(turns))
    frames: list[Json] = []
    for number in range(len(turns)):
        with connect(f"ws://{address}/sockets/session/{ID}?after_seq={len(frames) - 1}", proxy=None) as socket_:
            socket_.send(json.dumps({"type": "auth", "session_api_key": KEY}))
            message = {"role": "user", "content": [{"type": "text", "text": f"turn {number}"}], "run": True}
            checked.ask("POST", f"{ONE}/events", message)
            if number == 1:
                checked.ask("POST", f"{ONE}/run", expected=409)
                assert checked.ask("GET", "/api/conversations/count", **{"status": "running"}) == 1
                assert len(checked.ask("GET", "/api/conversations/search", **{"limit": "10"})["items"]) == 1
                checked.ask("POST", f"{ONE}/interrupt")
            frames += _until_the_end(socket_)
    assert [frame["seq"] for frame in frames] == list(range(len(frames)))
    for frame in frames:
        checked.event(frame["event"])
    ends = [frame["event"]["value"] for frame in frames if frame["event"].get("key") == "execution_status"]
    assert ends == ["running", "finished", "idle", "running", "paused", "running", "error"]
    page = checked.ask("GET", f"{ONE}/events/search", **{"limit": "5", "page_id": frames[3]["event"]["id"]})
    assert page["items"] == [frame["event"] for frame in frames[3:8]]
    assert checked.ask("GET", f"{ONE}/events/count") == len(frames)
    assert checked.ask("GET", ONE)["execution_status"] == "error"
    checked.ask("DELETE", ONE)
    assert checked.asked == _served()


def _until_the_end(socket_: Any) -> list[Json]:
    """The numbered frames up to the state in memory that says that the run has ended."""
    found: list[Json] = []
    while True:
        frame = json.loads(socket_.recv(timeout=20))
        if frame["type"] == "durable":
            found.append(frame)
        elif frame["type"] == "transient" and found and frame["event"]["value"]["execution_status"] != "running":
            return found


def _served() -> set[tuple[str, str]]:
    """Method and path of every route of the fake, as the specification writes paths."""
    text = (ROOT / "tests" / "fakes" / "agent_server.py").read_text()
    found: set[tuple[str, str]] = set()
    for path, methods in re.findall(r'Route\((f?"[^"]+"|ONE), \w+(?:\(\w+\))?(?:, methods=\["(\w+)"\])?\)', text):
        if "sockets" not in path:
            plain = path.strip('f"').replace("{ONE}", ONE).replace("ONE", ONE)
            found.add((methods or "GET", plain))
    return found


def test_a_wrong_key_and_an_unknown_conversation(address: str) -> None:
    """They are refused with the codes of the real server."""
    assert (
        httpx.get(f"http://{address}/api/conversations/count", headers={"X-Session-API-Key": "no"}).status_code == 401
    )
    for key, path, code in ((KEY, str(uuid.uuid4()), 4004), ("no", ID, 4001)):
        with connect(f"ws://{address}/sockets/session/{path}?after_seq=-1", proxy=None) as socket_:
            socket_.send(json.dumps({"type": "auth", "session_api_key": key}))
            with pytest.raises(Exception, match=str(code)):
                socket_.recv(timeout=20)
