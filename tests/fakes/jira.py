"""A Jira Cloud site on loopback, with a memory: projects, issues, workflow, comments, properties, permissions, limits and lag.

Everything that comes and goes is held against Atlassian's own OpenAPI document; what does not fit stands in `violations`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import jwt
from msgspec import Struct, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from opensymphony.api.server import serve_app
from tests.fakes.faults import Fault, next_fault
from tests.fakes.jira_oauth import CLIENT_ID, CLIENT_SECRET, OAuthServer
from tests.fakes.openapi import specification

Json = dict[str, Any]
SPECIFICATION = "jira/jira-cloud-platform-v3.openapi.json"
EMAIL, TOKEN = "agent@example.com", "jira-canary-token"
WEBHOOK_SECRET = "jira-canary-webhook-secret"
AGENT = "acc-agent"
CLOUD = "11111111-2222-4333-8444-555555555555"
HOOK_MS = 30 * 86_400_000
"""So long a webhook of an app lasts."""
COMMENT_CHARS_MAX = 32_767

STATUSES = {
    "Backlog": "new",
    "Todo": "new",
    "To Do": "new",
    "In Progress": "indeterminate",
    "In Review": "indeterminate",
    "Rework": "indeterminate",
    "Odd": "indeterminate",
    "Needs Attention": "indeterminate",
    "Done": "done",
    "Cancelled": "done",
    "Released": "done",
}
PRIORITIES = {"1": "Highest", "2": "High", "3": "Medium", "4": "Low", "5": "Lowest"}


class Screen(Struct, kw_only=True):
    """What a step asks for before it is taken."""

    has_comment: bool = False
    required: dict[str, Json] = field(default_factory=dict[str, Json])


class FakeIssue(Struct, kw_only=True):
    id: str
    key: str
    fields: dict[str, Any]
    comments: list[Json] = field(default_factory=list[Json])
    properties: dict[str, Any] = field(default_factory=dict[str, Any])
    remote_links: dict[str, Json] = field(default_factory=dict[str, Json])
    transitions: int = 0


class JiraError(Exception):
    def __init__(self, status: int, *messages: str, **errors: str) -> None:
        self.status, self.messages, self.errors = status, messages, errors


class FakeJira:
    """One site; what people do there are methods."""

    def __init__(self) -> None:
        self.project = "PROJ"
        self.issues: dict[str, FakeIssue] = {}
        self.users = {AGENT: "Agent", "acc-ada": "Ada", "acc-bob": "Bob", "acc-eve": "Eve"}
        self.tokens = {TOKEN}
        self.oauth = OAuthServer()
        """An app whose tokens work behind the gateway only."""
        self.cloud = CLOUD
        """As the site tells it."""
        self.packs = False
        """Answers come packed."""
        self.scoped = False
        """The token works behind the gateway only."""
        self.anonymous = False
        """Who is not known sees nothing, instead of being refused."""
        self.denied: set[str] = set()
        """Permissions that the agent does not have."""
        self.screens: dict[str, Screen] = {}
        """By the name of the status that a step leads to."""
        self.no_step_to: set[str] = set()
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.writes: list[tuple[str, str, str]] = []
        """What was changed: the key of the issue, the method, and what of the issue (`comment`, `transitions`, ...)."""
        self.refused: list[tuple[str, str]] = []
        """Requests of somebody who is not known."""
        self.violations: list[str] = []
        self.lag = 0
        """How many searches do not show what is new."""
        self.down = False
        self.deployment = "Cloud"
        self.hooks: dict[str, Json] = {}
        """Webhooks that an administrator registered."""
        self.app_hooks: dict[int, Json] = {}
        """Webhooks that the OAuth app registered."""
        self.shift_ms = 0
        """The site's clock is ahead by this."""
        self.link_types = ["Blocks", "Relates"]
        self.base_url = ""
        self._clock = 1_767_225_600_000
        self._numbers = 10_000
        self._index: dict[str, tuple[str, Any]] = {}
        self._indexed: list[tuple[int, str]] = []
        self._searches = 0
        self._specification = specification(SPECIFICATION)

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[FakeJira]:
        routes = [Route("/{path:path}", self._handle, methods=["GET", "POST", "PUT", "DELETE"])]
        async with anyio.create_task_group() as tasks:
            bound = await tasks.start(partial(serve_app, Starlette(routes=routes), "127.0.0.1", port))
            self.base_url = f"http://127.0.0.1:{bound}"
            try:
                yield self
            finally:
                tasks.cancel_scope.cancel()

    # people -----------------------------------------------------------------------------------------------------

    def create(
        self, summary: str = "A ticket", *, status: str = "Todo", project: str | None = None, **fields: Any
    ) -> str:
        number = self._next()
        key = f"{project or self.project}-{len(self.issues) + 1}"
        issue = FakeIssue(
            id=str(number),
            key=key,
            fields={
                "summary": summary,
                "status": status,
                "project": project or self.project,
                "labels": [],
                "assignee": None,
                "created": self._now(),
                "updated": self._now(),
                "issuelinks": [],
                "subtasks": [],
                "issuetype": {"id": "10001", "name": "Task", "hierarchyLevel": 0, "subtask": False},
                **fields,
            },
        )
        self.issues[issue.id] = issue
        self.touch(issue.id)
        return issue.id

    def touch(self, issue_id: str) -> None:
        """Something was changed: the search shows it after a while."""
        issue = self.issues[issue_id]
        issue.fields["updated"] = self._now()
        self._indexed.append((self._searches + self.lag, issue_id))

    def edit(self, issue_id: str, **fields: Any) -> None:
        self.issues[issue_id].fields.update(fields)
        self.touch(issue_id)

    def say(self, issue_id: str, text: str, author: str = "acc-ada", body: Json | None = None) -> str:
        """A person comments."""
        document = body or {
            "type": "doc",
            "version": 1,
            "content": [_paragraph(line) for line in text.split("\n") if line],
        }
        return self._add_comment(self.issues[issue_id], document, author)["id"]

    def link(self, issue_id: str, blocker_id: str, name: str = "Blocks") -> None:
        self.issues[issue_id].fields["issuelinks"].append({"type": name, "inward": blocker_id})
        self.touch(issue_id)

    def delete(self, issue_id: str) -> None:
        del self.issues[issue_id]

    def status(self, issue_id: str) -> str:
        return self.issues[issue_id].fields["status"]

    def comment_texts(self, issue_id: str, author: str | None = None) -> list[str]:
        """What stands in each comment, all its words in one line."""
        comments = self.issues[issue_id].comments
        return [_words(one["body"]) for one in comments if author is None or one["author"] == author]

    def event(
        self,
        issue_id: str,
        event: str = "jira:issue_updated",
        *,
        author: str = "acc-ada",
        items: list[Json] | None = None,
    ) -> tuple[bytes, str]:
        """The body of a webhook about an issue, and the name of the delivery."""
        issue, number = self.issues[issue_id], self._next()
        body = {
            "timestamp": int(time.time() * 1000),
            "webhookEvent": event,
            "user": self._user(author),
            "issue": {"id": issue.id, "key": issue.key, "fields": {"summary": issue.fields["summary"]}},
            "changelog": {"id": str(number), "items": items or []},
        }
        return json.dumps(body).encode(), f"delivery-{number}"

    def signed(self, body: bytes, identifier: str, *, attempt: int = 0) -> dict[str, str]:
        """The headers of a webhook of an administrator's, which has a secret."""
        digest = hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature": f"sha256={digest}", "X-Atlassian-Webhook-Identifier": identifier}
        return (
            headers
            | {"Content-Type": "application/json"}
            | ({"X-Atlassian-Webhook-Retry": str(attempt)} if attempt else {})
        )

    def borne(self, body: bytes, identifier: str, *, ends_in_s: int = 180, **claims: Any) -> dict[str, str]:
        """The headers of a webhook of the app's, whatever its body is."""
        now_s = int(time.time())
        said = {"iss": CLIENT_ID, "aud": CLIENT_ID, "sub": AGENT, "iat": now_s, "exp": now_s + ends_in_s, **claims}
        token = jwt.encode(said, CLIENT_SECRET, algorithm="HS256")
        return {
            "Authorization": f"Bearer {token}",
            "X-Atlassian-Webhook-Identifier": identifier,
            "Content-Type": "application/json",
        }

    def fail_next(self, method: str, path: str, **fields: Any) -> None:
        self.faults.append(Fault(method=method, path=path, **fields))

    # the wire ---------------------------------------------------------------------------------------------------

    async def _handle(self, request: Request) -> Response:
        path = request.url.path
        if self.down:
            return Response(b"<html>down</html>", status_code=503, media_type="text/html")
        if path == "/_edge/tenant_info":
            return _json(200, {"cloudId": self.cloud})
        if path == "/oauth/token":
            return _json(*await self.oauth.token(json.loads(await request.body())))
        behind_gateway = path.startswith(f"/ex/jira/{CLOUD}/")
        path = path.removeprefix(f"/ex/jira/{CLOUD}")
        data = await request.body()
        try:
            body = json.loads(data) if data else None
        except ValueError:
            return _json(400, {"errorMessages": ["no JSON"], "errors": {}})
        if path.startswith("/rest/webhooks/1.0/webhook"):
            try:
                self._authorize(request.headers, behind_gateway)
                return _json(*self._hooks(request.method, path, body))
            except JiraError as error:
                return _json(error.status, {"errorMessages": list(error.messages), "errors": {}})
        short = path.removeprefix("/rest/api/3")
        self.requests.append((request.method, short))
        query = dict(request.query_params)
        if self._specification is not None:
            self.violations += self._specification.faults_of_request(request.method, path, query, body)
        fault = next_fault(self.faults, request.method, short)
        if fault is not None and not fault.lost:
            return Response(json.dumps(fault.body or {}), status_code=fault.status, headers=fault.headers)
        try:
            self._authorize(request.headers, behind_gateway)
            status, answer = self._route(request.method, short, query, body)
            self._note_write(request.method, short)
        except JiraError as error:
            status, answer = error.status, {"errorMessages": list(error.messages), "errors": error.errors}
            if status == 401:
                self.refused.append((request.method, short))
        if fault is not None:
            return Response(b"", status_code=500, headers={"Connection": "close"}) if fault.status else _Cut()
        if self._specification is not None:
            self.violations += self._specification.faults_of_answer(request.method, path, status, answer)
        return _json(status, answer, packed=self.packs)

    def _authorize(self, headers: Mapping[str, str], behind_gateway: bool) -> None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            email, _, token = base64.b64decode(given).decode().partition(":")
            known = email == EMAIL and token in self.tokens
        else:
            known = scheme == "Bearer" and given in self.tokens
        self.is_app = scheme == "Bearer" and given in self.oauth.access_tokens
        if self.is_app:
            known = behind_gateway
        self.known = known and (behind_gateway or not self.scoped)
        if not self.known and not self.anonymous:
            raise JiraError(401, "Client must be authenticated to access this resource.")

    def _note_write(self, method: str, path: str) -> None:
        found = re.fullmatch(f"{_ISSUE}/(?P<what>[a-z]+).*", path)
        if method != "GET" and found:
            self.writes.append((self._issue_of(found["issue"]).key, method, found["what"]))

    def _route(self, method: str, path: str, query: Mapping[str, str], body: Any) -> tuple[int, Any]:
        for wanted, pattern, handler in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and wanted == method:
                return handler(self, query=query, body=body, **found.groupdict())
        raise JiraError(404, f"no such resource: {method} {path}")

    # resources --------------------------------------------------------------------------------------------------

    def _myself(self, **_: Any) -> tuple[int, Any]:
        if not self.known:
            raise JiraError(401, "Client must be authenticated to access this resource.")
        return 200, {**self._user(AGENT), "self": f"{self.base_url}/rest/api/3/user?accountId={AGENT}", "active": True}

    def _priorities(self, **_: Any) -> tuple[int, Any]:
        values = [{"id": one, "name": name, "self": self.base_url} for one, name in PRIORITIES.items()]
        return 200, {"values": values, "startAt": 0, "maxResults": 50, "total": len(values), "isLast": True}

    def _permissions(self, query: Mapping[str, str], **_: Any) -> tuple[int, Any]:
        wanted = query.get("permissions", "").split(",")
        return 200, {
            "permissions": {
                one: {"id": "1", "key": one, "name": one, "type": "PROJECT", "havePermission": one not in self.denied}
                for one in wanted
            }
        }

    def _hooks(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """The older interface, which no document describes."""
        if self._lacks("ADMINISTER"):
            raise JiraError(403, "You need to be an administrator.")
        number = path.rpartition("/")[2]
        if method == "GET":
            return 200, [{key: value for key, value in one.items() if key != "secret"} for one in self.hooks.values()]
        if method == "POST":
            number = str(self._next())
        elif number not in self.hooks:
            raise JiraError(404, "no such webhook")
        if method == "DELETE":
            del self.hooks[number]
            return 204, None
        self.hooks[number] = {**body, "enabled": True, "self": f"{self.base_url}/rest/webhooks/1.0/webhook/{number}"}
        return (201 if method == "POST" else 200), {
            key: value for key, value in self.hooks[number].items() if key != "secret"
        }

    def _app_hooks(self, query: Mapping[str, str], **_: Any) -> tuple[int, Any]:
        self._allow_app()
        found = list(self.app_hooks.values())
        start, most = int(query.get("startAt", 0)), min(int(query.get("maxResults", 100)), 100)
        page = found[start : start + most]
        last = start + most >= len(found)
        return 200, {"values": page, "startAt": start, "maxResults": most, "total": len(found), "isLast": last}

    def _post_app_hooks(self, body: Json, **_: Any) -> tuple[int, Any]:
        self._allow_app()
        if any(one["url"] != body["url"] for one in self.app_hooks.values()):
            raise JiraError(400, "Only a single URL per app is allowed to be registered via REST API.")
        results: list[Json] = []
        for one in body["webhooks"]:
            if not re.fullmatch(r'project = "\w+"', one["jqlFilter"]):
                results.append({"errors": [f"The clause {one['jqlFilter']} is unsupported"]})
                continue
            number = self._next()
            self.app_hooks[number] = {"id": number, "url": body["url"], "expirationDate": self._hook_end(), **one}
            results.append({"createdWebhookId": number})
        return 200, {"webhookRegistrationResult": results}

    def _delete_app_hooks(self, body: Json, **_: Any) -> tuple[int, Any]:
        self._allow_app()
        for number in body["webhookIds"]:
            self.app_hooks.pop(number, None)
        return 202, None

    def _refresh_app_hooks(self, body: Json, **_: Any) -> tuple[int, Any]:
        self._allow_app()
        for number in body["webhookIds"]:
            if number in self.app_hooks:
                self.app_hooks[number]["expirationDate"] = self._hook_end()
        return 200, {"expirationDate": self._hook_end()}

    def _hook_end(self) -> int:
        return int(time.time() * 1000) + self.shift_ms + HOOK_MS

    def _allow_app(self) -> None:
        if not self.is_app or self._lacks("manage:jira-webhook"):
            raise JiraError(403, "The caller is not a Connect or OAuth 2.0 app, or lacks the scope.")

    def _server_info(self, **_: Any) -> tuple[int, Any]:
        return 200, {"baseUrl": self.base_url, "deploymentType": self.deployment, "serverTitle": "Acme"}

    def _project(self, project: str, **_: Any) -> tuple[int, Any]:
        if project != self.project or self._lacks("BROWSE_PROJECTS"):
            raise JiraError(404, "No project could be found with key '" + project + "'.")
        return 200, {
            "id": "10000",
            "key": project,
            "name": "A project",
            "self": f"{self.base_url}/rest/api/3/project/10000",
        }

    def _statuses(self, project: str, **_: Any) -> tuple[int, Any]:
        kind = {"id": "10001", "name": "Task", "self": f"{self.base_url}/rest/api/3/issuetype/10001", "subtask": False}
        return 200, [{**kind, "statuses": [self._status(name) for name in STATUSES]}]

    def _assignables(self, query: Mapping[str, str], **_: Any) -> tuple[int, Any]:
        wanted = query.get("accountId")
        return 200, [self._user(one) for one in self.users if one == wanted and not self._lacks("ASSIGNABLE_USER")]

    def _link_types(self, **_: Any) -> tuple[int, Any]:
        kinds = [{"id": "1", "name": name, "inward": "in", "outward": "out"} for name in self.link_types]
        return 200, {"issueLinkTypes": kinds}

    def _search(self, body: Json, **_: Any) -> tuple[int, Any]:
        self._searches += 1
        for due, issue_id in self._indexed:
            if due < self._searches:
                issue = self.issues.get(issue_id)
                if issue is None:
                    self._index.pop(issue_id, None)
                else:
                    self._index[issue_id] = (issue.fields["updated"], dict(issue.fields))
        self._indexed = [(due, issue_id) for due, issue_id in self._indexed if due >= self._searches]
        matches = self._matcher(body["jql"])
        found = [
            (issue_id, updated)
            for issue_id, (updated, fields) in self._index.items()
            if issue_id in self.issues and matches(fields)
        ]
        found = found if self.known else []
        found.sort(key=lambda one: int(one[0]))
        start, most = int(body.get("nextPageToken") or 0), min(body.get("maxResults", 50), 100)
        page = found[start : start + most]
        issues = [
            {"id": issue_id, "key": self.issues[issue_id].key, "fields": {"updated": updated}}
            for issue_id, updated in page
        ]
        last = start + most >= len(found)
        return 200, {"issues": issues, "isLast": last, **({} if last else {"nextPageToken": str(start + most)})}

    def _matcher(self, jql: str) -> Callable[[Json], bool]:
        terms, _, order = jql.partition(" ORDER BY ")
        if order != "created ASC, key ASC":
            raise JiraError(400, f"Error in the JQL Query: {order!r}")
        tests: list[Callable[[Json], bool]] = []
        for term in terms.split(" AND "):
            text = term.strip("()") if term.startswith("(") else term
            if found := re.fullmatch(r'project = "(\w+)"', text):
                tests.append(lambda fields, one=found[1]: fields["project"] == one)
            elif found := re.fullmatch(r"status IN \((.*)\)", term):
                names = {name.casefold() for name in re.findall(r'"((?:[^"\\]|\\.)*)"', found[1])}
                unknown = names - {name.casefold() for name in STATUSES}
                if unknown:
                    raise JiraError(400, f"The value '{sorted(unknown)[0]}' does not exist for the field 'status'.")
                tests.append(lambda fields, names=names: fields["status"].casefold() in names)
            elif text == "assignee = currentUser()":
                tests.append(lambda fields: fields["assignee"] == AGENT)
            elif found := re.fullmatch(r'assignee = "([^"]+)"', text):
                tests.append(lambda fields, one=found[1]: fields["assignee"] == one)
            elif found := re.fullmatch(r"labels = (\w+)", text):
                tests.append(lambda fields, one=found[1]: one in fields["labels"])
            else:
                raise JiraError(400, f"Error in the JQL Query: {term!r} is not understood here")
        return lambda fields: all(test(fields) for test in tests)

    def _bulkfetch(self, body: Json, **_: Any) -> tuple[int, Any]:
        asked = body["issueIdsOrKeys"]
        if len(asked) > 100:
            raise JiraError(400, "too many issues")
        issues = [issue for one in asked if (issue := self._lookup(one)) is not None and self.known]
        shown = [self._issue(issue, body.get("fields", []), body.get("properties", [])) for issue in issues]
        return 200, {"issues": sorted(shown, key=lambda one: int(one["id"])), "issueErrors": []}

    def _one(self, issue: str, query: Mapping[str, str], **_: Any) -> tuple[int, Any]:
        return 200, self._issue(self._issue_of(issue), query.get("fields", "*all").split(","), [])

    def _comments(self, issue: str, query: Mapping[str, str], **_: Any) -> tuple[int, Any]:
        found = self._issue_of(issue).comments
        ordered = found[::-1] if query.get("orderBy") == "-created" else found
        start, most = int(query.get("startAt", 0)), int(query.get("maxResults", 50))
        page = [self._comment(one) for one in ordered[start : start + most]]
        return 200, {"comments": page, "startAt": start, "maxResults": most, "total": len(found)}

    def _post_comment(self, issue: str, body: Json, **_: Any) -> tuple[int, Any]:
        self._allow("ADD_COMMENTS")
        found = self._issue_of(issue)
        return 201, self._comment(self._add_comment(found, _document(body["body"]), AGENT))

    def _put_comment(self, issue: str, comment: str, body: Json, **_: Any) -> tuple[int, Any]:
        found = self._comment_of(issue, comment)
        found["body"], found["updated"] = _document(body["body"]), self._now()
        found["edits"] = found.get("edits", 0) + 1
        self.touch(self._issue_of(issue).id)
        return 200, self._comment(found)

    def _delete_comment(self, issue: str, comment: str, **_: Any) -> tuple[int, Any]:
        self._issue_of(issue).comments.remove(self._comment_of(issue, comment))
        return 204, None

    def _properties(self, issue: str, **_: Any) -> tuple[int, Any]:
        keys = self._issue_of(issue).properties
        return 200, {"keys": [{"key": key, "self": self.base_url} for key in keys]}

    def _property(self, issue: str, key: str, **_: Any) -> tuple[int, Any]:
        properties = self._issue_of(issue).properties
        if key not in properties:
            raise JiraError(404, f"The property with key {key} does not exist.")
        return 200, {"key": key, "value": properties[key]}

    def _put_property(self, issue: str, key: str, body: Any, **_: Any) -> tuple[int, Any]:
        self._allow("EDIT_ISSUES")
        properties = self._issue_of(issue).properties
        status = 200 if key in properties else 201
        properties[key] = body
        return status, {}

    def _remote_link(self, issue: str, body: Json, **_: Any) -> tuple[int, Any]:
        self._allow("EDIT_ISSUES")
        links = self._issue_of(issue).remote_links
        status = 200 if body["globalId"] in links else 201
        links[body["globalId"]] = body
        number = 10_000 + list(links).index(body["globalId"])
        return status, {"id": number, "self": f"{self.base_url}/rest/api/3/issue/{issue}/remotelink/{number}"}

    def _delete_property(self, issue: str, key: str, **_: Any) -> tuple[int, Any]:
        if self._issue_of(issue).properties.pop(key, None) is None:
            raise JiraError(404, f"The property with key {key} does not exist.")
        return 204, None

    def _transitions(self, issue: str, **_: Any) -> tuple[int, Any]:
        return 200, {
            "expand": "transitions",
            "transitions": [] if self._lacks("TRANSITION_ISSUES") else self._steps(issue),
        }

    def _steps(self, issue: str) -> list[Json]:
        now = self._issue_of(issue).fields["status"]
        steps: list[Json] = []
        for number, (name, _) in enumerate(STATUSES.items(), start=11):
            if name == now or name in self.no_step_to:
                continue
            screen = self.screens.get(name, Screen())
            fields = {
                key: {
                    "required": True,
                    "schema": {"type": "string", "system": key},
                    "name": key.title(),
                    "key": key,
                    "operations": ["set"],
                    **more,
                }
                for key, more in screen.required.items()
            }
            step = {"id": str(number), "name": f"To {name}", "to": self._status(name), "hasScreen": bool(fields)}
            steps.append({**step, "isAvailable": True, "fields": fields})
        return steps

    def _transition(self, issue: str, body: Json, **_: Any) -> tuple[int, Any]:
        found = self._issue_of(issue)
        step = next((one for one in self._steps(issue) if one["id"] == body["transition"]["id"]), None)
        if step is None or self._lacks("TRANSITION_ISSUES"):
            raise JiraError(400, "It seems that you have tried to perform an illegal workflow operation.")
        missing = [key for key in step["fields"] if key not in body.get("fields", {})]
        if missing:
            raise JiraError(400, **{missing[0]: f"{missing[0]} is required."})
        found.fields["status"] = step["to"]["name"]
        found.fields.update(body.get("fields", {}))
        found.transitions += 1
        self.touch(found.id)
        return 204, None

    # what things look like --------------------------------------------------------------------------------------

    def _issue(self, issue: FakeIssue, wanted: list[str], properties: list[str]) -> Json:
        fields = {name: self._field(issue, name, value) for name, value in issue.fields.items()}
        comments = [self._comment(one) for one in issue.comments]
        # Jira puts the oldest into the issue, and says how many there are.
        fields["comment"] = {"comments": comments[:30], "startAt": 0, "maxResults": 30, "total": len(comments)}
        fields["subtasks"] = [self._other(one) for one in self.issues.values() if one.fields.get("parent") == issue.id]
        shown = {name: value for name, value in fields.items() if "*all" in wanted or name in wanted}
        answer: Json = {"id": issue.id, "key": issue.key, "self": f"{self.base_url}/rest/api/3/issue/{issue.id}"}
        answer["fields"] = shown
        if properties:
            answer["properties"] = {key: value for key, value in issue.properties.items() if key in properties}
        return answer

    def _field(self, issue: FakeIssue, name: str, value: Any) -> Any:
        if value is None:
            return None
        match name:
            case "status" if isinstance(value, str):
                return self._status(value)
            case "project" if isinstance(value, str):
                return {"id": "10000", "key": value, "name": value}
            case "assignee" if isinstance(value, str):
                return self._user(value)
            case "priority" if isinstance(value, str):
                return {"id": value, "name": PRIORITIES.get(value, "?")}
            case "parent" if isinstance(value, str):
                return self._other(self.issues[value])
            case "issuelinks" if isinstance(value, list):
                return [self._link(one) for one in value if one["inward"] in self.issues]
            case _:
                return value

    def _link(self, link: Json) -> Json:
        kind = {"id": "1", "name": link["type"], "inward": "is blocked by", "outward": "blocks"}
        return {"id": "1", "type": kind, "inwardIssue": self._other(self.issues[link["inward"]])}

    def _other(self, issue: FakeIssue) -> Json:
        fields = {"summary": issue.fields["summary"], "status": self._status(issue.fields["status"])}
        return {"id": issue.id, "key": issue.key, "fields": fields}

    def _status(self, name: str) -> Json:
        category = STATUSES[name]
        number = {"new": 2, "indeterminate": 4, "done": 3}[category]
        return {"id": name, "name": name, "statusCategory": {"id": number, "key": category, "name": category}}

    def _user(self, account_id: str) -> Json:
        name = self.users.get(account_id, account_id)
        return {"accountId": account_id, "displayName": name, "accountType": "atlassian"}

    def _comment(self, comment: Json) -> Json:
        shown = {key: value for key, value in comment.items() if key in ("id", "body", "created", "updated")}
        return {**shown, "author": self._user(comment["author"]), "self": self.base_url}

    def _add_comment(self, issue: FakeIssue, document: Json, author: str) -> Json:
        comment = {"id": str(self._next()), "author": author, "body": document}
        comment |= {"created": self._now(), "updated": self._now()}
        issue.comments.append(comment)
        self.touch(issue.id)
        return comment

    def _comment_of(self, issue: str, comment: str) -> Json:
        found = next((one for one in self._issue_of(issue).comments if one["id"] == comment), None)
        if found is None:
            raise JiraError(404, "Can not find a comment for the id: " + comment)
        return found

    def _issue_of(self, wanted: str) -> FakeIssue:
        issue = self._lookup(wanted)
        if issue is None or not self.known:
            raise JiraError(404, "Issue does not exist or you do not have permission to see it.")
        return issue

    def _lookup(self, wanted: str) -> FakeIssue | None:
        return self.issues.get(wanted) or next((one for one in self.issues.values() if one.key == wanted), None)

    def _allow(self, permission: str) -> None:
        if self._lacks(permission):
            raise JiraError(403, f"You do not have the permission {permission}.")

    def _lacks(self, permission: str) -> bool:
        return permission in self.denied

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    def _now(self) -> str:
        """A second later each time."""
        self._clock += 1_000
        seconds = self._clock // 1000
        hours, minutes, rest = seconds // 3600 % 24, seconds // 60 % 60, seconds % 60
        return f"2026-01-01T{hours:02}:{minutes:02}:{rest:02}.{self._clock // 1_000 % 1_000:03}+0000"


_ISSUE, _COMMENT, _KEY = r"/issue/(?P<issue>[^/]+)", r"/comment/(?P<comment>[^/]+)", r"/properties/(?P<key>[^/]+)"
_ROUTES: list[tuple[str, str, Callable[..., tuple[int, Any]]]] = [
    ("GET", "/myself", FakeJira._myself),
    ("GET", "/webhook", FakeJira._app_hooks),
    ("POST", "/webhook", FakeJira._post_app_hooks),
    ("DELETE", "/webhook", FakeJira._delete_app_hooks),
    ("PUT", "/webhook/refresh", FakeJira._refresh_app_hooks),
    ("GET", "/priority/search", FakeJira._priorities),
    ("GET", "/mypermissions", FakeJira._permissions),
    ("GET", "/serverInfo", FakeJira._server_info),
    ("GET", "/project/(?P<project>[^/]+)", FakeJira._project),
    ("GET", "/project/(?P<project>[^/]+)/statuses", FakeJira._statuses),
    ("GET", "/user/assignable/search", FakeJira._assignables),
    ("GET", "/issueLinkType", FakeJira._link_types),
    ("POST", "/search/jql", FakeJira._search),
    ("POST", "/issue/bulkfetch", FakeJira._bulkfetch),
    ("GET", _ISSUE, FakeJira._one),
    ("GET", f"{_ISSUE}/comment", FakeJira._comments),
    ("POST", f"{_ISSUE}/comment", FakeJira._post_comment),
    ("PUT", f"{_ISSUE}{_COMMENT}", FakeJira._put_comment),
    ("DELETE", f"{_ISSUE}{_COMMENT}", FakeJira._delete_comment),
    ("GET", f"{_ISSUE}/properties", FakeJira._properties),
    ("GET", f"{_ISSUE}{_KEY}", FakeJira._property),
    ("PUT", f"{_ISSUE}{_KEY}", FakeJira._put_property),
    ("DELETE", f"{_ISSUE}{_KEY}", FakeJira._delete_property),
    ("POST", f"{_ISSUE}/remotelink", FakeJira._remote_link),
    ("GET", f"{_ISSUE}/transitions", FakeJira._transitions),
    ("POST", f"{_ISSUE}/transitions", FakeJira._transition),
]


class _Cut(Response):
    """The connection ends without an answer."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise OSError("cut")


def _json(status: int, answer: Any, *, packed: bool = False) -> Response:
    content = b"" if answer is None else json.dumps(answer).encode()
    headers = {"Content-Encoding": "gzip"} if packed else None
    content = gzip.compress(content) if packed else content
    return Response(content, status_code=status, headers=headers, media_type="application/json")


def _document(body: Any) -> Json:
    if not isinstance(body, dict) or body.get("type") != "doc":
        raise JiraError(400, "Operation value must be an Atlassian Document (see the Atlassian Document Format)")
    if len(_words(body)) > COMMENT_CHARS_MAX:
        raise JiraError(400, "CONTENT_LIMIT_EXCEEDED")
    return body


def _paragraph(text: str) -> Json:
    return {"type": "paragraph", "content": [{"type": "text", "text": text}]}


def _words(node: Json) -> str:
    if "text" in node:
        return node["text"]
    return " ".join(filter(None, (_words(child) for child in node.get("content", []))))
