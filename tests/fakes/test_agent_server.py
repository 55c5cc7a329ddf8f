"""The fake agent-server invents nothing: whatever it answers and sends stands in the real one's own OpenAPI document.

It leaves much out; that the real one says the same in the same order is shown by `tests/live/test_fake_server.py`.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect

from opensymphony.agents.openhands.launch import creation_body
from opensymphony.workflow.policy import ConversationPolicy
from tests.agents.openhands.fakes import ENVIRONMENT, REQUEST
from tests.fakes.stub_installation import serving_fake

OPENAPI = Path(__file__).parents[3] / "shared/specs/openhands-agent-server-1.58.openapi.json"

pytestmark = pytest.mark.skipif(
    not OPENAPI.exists(), reason="the official OpenAPI document is not beside the repository"
)

Json = dict[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


def against(value: Any, schema: Json, schemas: Json, at: str) -> list[str]:
    """What in a value the schema does not have or has otherwise; what is missing is not told."""
    if "$ref" in schema:
        return against(value, schemas[schema["$ref"].rpartition("/")[2]], schemas, at)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            told = [against(value, one, schemas, at) for one in schema[choice]]
            return min(told, key=len)
    wanted = schema.get("type")
    if wanted is not None and not isinstance(value, _TYPES[wanted]):
        return [f"{at}: {value!r} is no {wanted}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at}: {value!r} is none of {schema['enum']}"]
    if isinstance(value, list):
        items = schema.get("items", {})
        return [one for number, item in enumerate(value) for one in against(item, items, schemas, f"{at}[{number}]")]
    if not isinstance(value, dict) or "properties" not in schema:
        more = schema.get("additionalProperties")
        if isinstance(value, dict) and isinstance(more, dict):
            return [one for name, item in value.items() for one in against(item, more, schemas, f"{at}.{name}")]
        return []
    known = schema["properties"]
    found = [
        f"{at}.{name}: not known" for name in value if name not in known and not schema.get("additionalProperties")
    ]
    for name, item in value.items():
        if name in known:
            found += against(item, known[name], schemas, f"{at}.{name}")
    return found


def test_what_is_invented_is_found() -> None:
    """The check itself: an unknown field, one of another type, one of a choice."""
    schemas = json.loads(OPENAPI.read_text())["components"]["schemas"]
    event: Json = {"kind": "PauseEvent", "id": "e", "timestamp": "t", "source": "user"}
    assert against(event, schemas["PauseEvent"], schemas, "event") == []
    assert against(event | {"cause": 1}, schemas["PauseEvent"], schemas, "event") == ["event.cause: not known"]
    assert against(event | {"id": 5}, schemas["PauseEvent"], schemas, "event") == ["event.id: 5 is no string"]
    assert against(event | {"source": "nobody"}, schemas["PauseEvent"], schemas, "event") != []


async def test_every_answer_and_every_event_is_known(tmp_path: Path) -> None:
    """A turn that works, one that fails and one that is interrupted, over REST and on the socket."""
    document = json.loads(OPENAPI.read_text())
    schemas = document["components"]["schemas"]
    calls = [{"prompt_tokens": 1_200, "completion_tokens": 10}]
    failure = {
        "code": "LLMAuthenticationError",
        "detail": "bad key",
        "classification": {"kind": "auth", "retryable": False, "user_action": "settings"},
    }
    turns: list[Json] = [
        {"calls": calls * 2, "run": ["echo hi"], "says": "Done."},
        {"calls": [], "status": "error", "failure": failure},
        {"calls": calls * 2, "run": ["sleep 600"], "says": "never"},
    ]
    found: list[str] = []
    conversation_id = str(uuid.uuid4())
    path = f"/api/conversations/{conversation_id}"
    seen: set[str] = set()

    async with serving_fake(tmp_path, turns) as (address, key):
        client = httpx.AsyncClient(
            base_url=f"http://{address}", headers={"X-Session-API-Key": key}, trust_env=False, timeout=30
        )

        async def ask(method: str, at: str, body: Json | None = None) -> Any:
            answered = await client.request(method, at, json=body)
            assert answered.is_success, (method, at, answered.text)
            general = at.partition("?")[0].replace(conversation_id, "{conversation_id}")
            told = document["paths"][general][method.lower()]["responses"]
            schema = told.get(str(answered.status_code), told["200"])["content"]["application/json"]["schema"]
            found.extend(against(answered.json(), schema, schemas, f"{method} {general}"))
            return answered.json()

        async with client:
            with anyio.fail_after(30):
                while not await _is_up(client):
                    await anyio.sleep(0.05)
            request = REQUEST.__class__(conversation_id=conversation_id, working_dir=str(tmp_path), title="T")  # type: ignore[arg-type]
            await ask("POST", "/api/conversations", creation_body(request, ConversationPolicy(), ENVIRONMENT))
            await ask("GET", "/server_info")
            await ask("GET", "/alive")
            async with connect(f"ws://{address}/sockets/session/{conversation_id}?after_seq=-1", proxy=None) as session:
                await session.send(json.dumps({"type": "auth", "session_api_key": key}))
                for number, end in enumerate(("finished", "error", "paused")):
                    message = {"role": "user", "content": [{"type": "text", "text": f"{number}"}], "run": True}
                    await ask("POST", f"{path}/events", message)
                    with anyio.fail_after(30):
                        async for raw in session:
                            frame = json.loads(raw)
                            event = frame.get("event", {})
                            if event:
                                seen.add(event["kind"])
                                found += against(event, schemas[event["kind"]], schemas, event["kind"])
                            if end == "paused" and event.get("kind") == "ActionEvent":
                                await ask("POST", f"{path}/interrupt")
                            if event.get("key") == "full_state" and event["value"]["execution_status"] == end:
                                break
            await ask("GET", path)
            await ask("PATCH", path, {"title": "Another"})
            await ask("GET", "/api/conversations/count")
            await ask("GET", "/api/conversations/search")
            await ask("GET", f"{path}/events/count")
            for event in (await ask("GET", f"{path}/events/search?limit=100"))["items"]:
                found += against(event, schemas[event["kind"]], schemas, event["kind"])
            await ask("DELETE", path)
    assert found == []
    assert seen >= {
        *("MessageEvent", "ActionEvent", "ObservationEvent"),
        *("ConversationStateUpdateEvent", "ConversationErrorEvent", "SystemPromptEvent"),
    }


async def _is_up(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/ready")).status_code == 200
    except httpx.TransportError:
        return False
