"""Bitbucket Cloud on loopback, with a memory: one repository in git, its pull requests, comments, verdicts and pipelines.

Everything that comes and goes is held against Atlassian's own OpenAPI document; what does not fit stands in `violations`. Where
the document is silent and the service was never asked, the fake does what is worst for us.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from msgspec import Struct, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from opensymphony.api.server import serve_app
from tests.fakes.faults import Fault, next_fault
from tests.fakes.git_server import GitServer, commit_files, run_git
from tests.fakes.openapi import specification

Json = dict[str, Any]
SPECIFICATION = "bitbucket/bitbucket-cloud.openapi.json"
EMAIL, API_TOKEN, ACCESS_TOKEN = "agent@example.com", "bitbucket-canary-api-token", "bitbucket-canary-access-token"
WEBHOOK_SECRET = "bitbucket-canary-webhook-secret"
AGENT, BOT, ADA, BOB = (f"{{{digit * 8}-0000-4000-8000-000000000000}}" for digit in "1234")
USERS = {AGENT: "Agent", BOT: "Access token", ADA: "Ada", BOB: "Bob"}
GIT_USERS = {"x-bitbucket-api-token-auth": API_TOKEN, "x-token-auth": ACCESS_TOKEN}
HERE, FORK = "{aaaaaaaa-0000-4000-8000-000000000000}", "{bbbbbbbb-0000-4000-8000-000000000000}"
GENERAL = {"q", "sort", "page", "pagelen", "fields"}
"""Parameters of every list, which the document describes in its introduction and not at each list."""


class FakePull(Struct, kw_only=True):
    id: int
    title: str
    description: str
    branch: str
    base: str
    author: str
    state: str = "OPEN"
    draft: bool = False
    close_branch: bool = False
    reviewers: list[str] = field(default_factory=list[str])
    verdicts: dict[str, tuple[str | None, str]] = field(default_factory=dict[str, tuple[str | None, str]])
    comments: list[Json] = field(default_factory=list[Json])
    source_repository: str = HERE
    commit: str = ""
    """Of a closed one: what it was at the end."""
    merged_by: str = ""
    activity: list[Json] = field(default_factory=list[Json])
    """Pushes and approvals, oldest first."""
    created: str = ""
    updated: str = ""


class BitbucketError(Exception):
    def __init__(self, status: int, message: str, detail: Any = None) -> None:
        self.status, self.message, self.detail = status, message, detail


class FakeBitbucket:
    """One repository of one workspace; what people do there are methods."""

    def __init__(self, directory: Path) -> None:
        self.workspace, self.slug = "acme", "app"
        self.pulls: dict[int, FakePull] = {}
        self.statuses: dict[str, list[Json]] = {}
        self.pipelines: list[Json] = []
        self.steps: dict[str, list[Json]] = {}
        self.logs: dict[str, bytes] = {}
        self.logs_are_put_away = False
        """Then a log is somewhere else, where nobody is asked who they are."""
        self.hooks: dict[str, Json] = {}
        self.credentials = {EMAIL: API_TOKEN, "": ACCESS_TOKEN}
        self.missing_scopes: set[str] = set()
        self.merge_checks: list[str] = []
        """Conditions of the repository's own that keep everything from being merged."""
        self.merges_take = 0
        """So often a merge has not ended yet when somebody asks."""
        self.tasks: dict[str, list[Any]] = {}
        self.duplicates = "made"
        """What a second open pull request between the same branches is: `made`, or `refused`."""
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.stored: list[Mapping[str, str]] = []
        """Headers of what came to where logs are put away."""
        self.violations: list[str] = []
        self.down = False
        self.base_url = ""
        self.git = GitServer(directory, lambda user, password: GIT_USERS.get(user) == password)
        self.repository = self.git.create(f"{self.workspace}/{self.slug}")
        self._numbers = 100
        self._clock = 0
        self._account = ""
        self._specification = specification(SPECIFICATION)

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[FakeBitbucket]:
        routes = [Route("/{path:path}", self._handle, methods=["GET", "POST", "PUT", "DELETE"])]
        async with anyio.create_task_group() as tasks:
            bound = await tasks.start(partial(serve_app, Starlette(routes=routes), "127.0.0.1", port))
            self.base_url = f"http://127.0.0.1:{bound}"
            try:
                yield self
            finally:
                tasks.cancel_scope.cancel()

    @property
    def api_url(self) -> str:
        return f"{self.base_url}/2.0"

    @property
    def git_url(self) -> str:
        return f"{self.base_url}/{self.workspace}/{self.slug}.git"

    @property
    def path(self) -> str:
        return f"/repositories/{self.workspace}/{self.slug}"

    # people -----------------------------------------------------------------------------------------------------

    def push(self, branch: str, files: dict[str, str] | None = None, *, start: str = "") -> str:
        """A commit on a branch, which begins where `main` is."""
        known = self.commit_of(branch) is not None
        made = commit_files(
            self.repository, branch, files or {f"{self._next()}.txt": "x\n"}, start=start or ("" if known else "main")
        )
        self._note_pushes()
        return made

    def branch_off(self, branch: str) -> None:
        """A branch that is where `main` is."""
        run_git(self.repository, "branch", branch, "main")

    def delete_branch(self, branch: str) -> None:
        run_git(self.repository, "update-ref", "-d", f"refs/heads/{branch}")

    def commit_of(self, branch: str) -> str | None:
        done = run_git(self.repository, "rev-parse", "--verify", "-q", f"refs/heads/{branch}", check=False)
        return done.stdout.strip() or None

    def open(self, branch: str, *, author: str = ADA, title: str = "By hand", **fields: Any) -> FakePull:
        """A person opens a pull request."""
        now = self._now()
        pull = FakePull(
            id=self._next(), title=title, branch=branch, author=author, created=now, updated=now,
            **{"description": "", "base": "main", **fields},
        )  # fmt: skip
        self.pulls[pull.id] = pull
        self._note_pushes()
        return pull

    def say(
        self,
        pull: FakePull,
        text: str,
        *,
        author: str = ADA,
        parent: int | None = None,
        inline: Json | None = None,
        **fields: Any,
    ) -> int:
        """Somebody comments."""
        comment: Json = {
            "id": self._next(),
            "user": author,
            "raw": text,
            "parent": parent,
            "inline": inline,
            "deleted": False,
            "pending": False,
            "resolution": None,
            "created_on": self._now(),
            **fields,
        }
        pull.comments.append(comment)
        pull.verdicts.setdefault(author, (None, self._now()))
        self._touch(pull)
        return comment["id"]

    def delete_comment(self, pull: FakePull, comment_id: int) -> None:
        self._comment_in(pull, comment_id)["deleted"] = True

    def judge(self, pull: FakePull, verdict: str | None, author: str = ADA) -> None:
        """Somebody approves, asks for changes, or takes that back."""
        self._note_pushes()
        now = self._now()
        pull.verdicts[author] = (verdict, now)
        if verdict == "approved":
            pull.activity.append({"approval": {"date": now, "user": author}})
        self._touch(pull)

    def report(self, commit: str, key: str, state: str, **fields: Any) -> None:
        """A build server reports."""
        status = {"key": key, "state": state, "name": key, "url": "https://ci.example.com/1", **fields}
        status |= {"updated_on": self._now(), "created_on": self._now()}
        self.statuses.setdefault(commit, []).append(status)

    def run_pipeline(self, commit: str, steps: Mapping[str, tuple[str, bytes]], result: str = "FAILED") -> None:
        """Bitbucket's own pipelines have run: each step with its result and what it printed."""
        number = len(self.pipelines) + 1
        uuid = f"{{pipeline-{number}}}"
        state = {"type": "pipeline_state_completed", "name": "COMPLETED"}
        state["result"] = {"type": f"pipeline_state_completed_{result.lower()}", "name": result}
        self.pipelines.append({"uuid": uuid, "build_number": number, "state": state, "commit": commit})
        self.steps[uuid] = []
        for at, (name, (step_result, log)) in enumerate(steps.items()):
            step_uuid = f"{{step-{number}-{at}}}"
            step_state = {"type": "pipeline_step_state_completed", "name": "COMPLETED"}
            kind = f"pipeline_step_state_completed_{step_result.lower()}"
            step_state["result"] = {"type": kind, "name": step_result}
            self.steps[uuid].append({"type": "pipeline_step", "uuid": step_uuid, "name": name, "state": step_state})
            self.logs[step_uuid] = log
        url = f"https://bitbucket.org/{self.workspace}/{self.slug}/pipelines/results/{number}"
        self.report(commit, f"pipeline-{number}", result, name=f"Pipeline #{number}", url=url)

    def merge(self, pull: FakePull, by: str = ADA) -> None:
        """Somebody merges, in git too."""
        source, base = self.commit_of(pull.branch), self.commit_of(pull.base)
        assert source and base
        pull.merged_by = by
        tree = run_git(self.repository, "merge-tree", "--write-tree", base, source).stdout.strip()
        made = run_git(self.repository, "commit-tree", "-m", "merge", "-p", base, "-p", source, tree).stdout.strip()
        run_git(self.repository, "update-ref", f"refs/heads/{pull.base}", made)
        self._close(pull, "MERGED", source)
        if pull.close_branch:
            self.delete_branch(pull.branch)

    def decline(self, pull: FakePull) -> None:
        self._close(pull, "DECLINED", self.commit_of(pull.branch) or "")

    def event(self, pull: FakePull, key: str, *, actor: str = ADA, **more: Any) -> tuple[bytes, dict[str, str]]:
        """A webhook about a pull request: its body, and its headers with the signature."""
        body = json.dumps(
            {"actor": self._user(actor), "repository": self._repository(HERE), "pullrequest": self._pull(pull), **more}
        ).encode()
        return body, self.signed(body, key)

    def signed(self, body: bytes, key: str) -> dict[str, str]:
        digest = hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
        return {
            "X-Event-Key": key,
            "X-Hook-UUID": "hook-1",
            "X-Request-UUID": f"request-{self._next()}",
            "X-Attempt-Number": "1",
            "X-Hub-Signature": f"sha256={digest}",
        }

    def fail_next(self, method: str, path: str, **fields: Any) -> None:
        self.faults.append(Fault(method=method, path=path, **fields))

    def comment_texts(self, pull: FakePull, author: str | None = None) -> list[str]:
        return [one["raw"] for one in pull.comments if not one["deleted"] and (author is None or one["user"] == author)]

    # the wire ---------------------------------------------------------------------------------------------------

    async def _handle(self, request: Request) -> Response:
        path = request.url.path
        if path.startswith(f"/{self.workspace}/"):
            return await self.git.handle(request, path.removeprefix("/"))
        if path.startswith("/storage/"):
            self.stored.append(dict(request.headers))
            return _ranged(self.logs[path.removeprefix("/storage/")], request.headers.get("range", ""))
        if self.down:
            return Response(b"<html>down</html>", status_code=503, media_type="text/html")
        short = path.removeprefix("/2.0")
        own = short.removeprefix(self.path)
        self.requests.append((request.method, own))
        data = await request.body()
        body = json.loads(data) if data else None
        self._note_request(request, short, body)
        fault = next_fault(self.faults, request.method, own)
        if fault is not None and not fault.lost:
            return Response(json.dumps(fault.body or {}), status_code=fault.status, headers=fault.headers)
        try:
            self._authorize(request.headers)
            status, answer = self._route(request, own, body)
        except BitbucketError as error:
            said = {"message": error.message, **({"detail": error.detail} if error.detail is not None else {})}
            status, answer = error.status, {"type": "error", "error": said}
        if fault is not None:
            return _Cut()
        if isinstance(answer, Response):
            return answer
        # Of a merge that its own conditions keep back the document says nothing.
        unsaid = (401, 403, 400) if own.endswith("/merge") else (401, 403)
        if self._specification is not None and status not in unsaid:
            faults = self._specification.faults_of_answer(request.method, short, status, _comparable(answer))
            self.violations += faults
        return Response(
            b"" if status == 204 else json.dumps(answer).encode(), status_code=status, media_type="application/json"
        )

    def _note_request(self, request: Request, short: str, body: Any) -> None:
        if self._specification is None:
            return
        query = {name: value for name, value in request.query_params.items() if name not in GENERAL}
        if body is not None and short.startswith(f"{self.path}/hooks"):
            # Which body these take, the document says in words.
            where = f"{request.method} {short}"
            faults = self._specification.faults_of_value(where, "webhook_subscription", body)
            body = None
        else:
            faults = []
        faults += self._specification.faults_of_request(request.method, short, query, body)
        # The document wants `type` in everything that is sent, and has none in its own examples.
        self.violations += [one for one in faults if not one.endswith('"type" is a required property')]

    def _authorize(self, headers: Mapping[str, str]) -> None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            email, _, token = base64.b64decode(given).decode().partition(":")
            self._account = AGENT if email and self.credentials.get(email) == token else ""
        else:
            self._account = BOT if scheme == "Bearer" and given == self.credentials[""] else ""
        if not self._account:
            raise BitbucketError(401, "Token is invalid, expired, or not supported for this endpoint.")

    def _route(self, request: Request, path: str, body: Any) -> tuple[int, Any]:
        for wanted, pattern, scope, handler in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and wanted == request.method:
                if scope in self.missing_scopes:
                    detail = {"required": [scope], "granted": ["account"]}
                    raise BitbucketError(403, "Your credentials lack one or more required privilege scopes.", detail)
                return handler(self, request=request, body=body, **found.groupdict())
        raise BitbucketError(404, f"Resource not found: {request.method} {path}")

    # resources --------------------------------------------------------------------------------------------------

    def _me(self, **_: Any) -> tuple[int, Any]:
        if self._account == BOT:
            raise BitbucketError(401, "Token is invalid, expired, or not supported for this endpoint.")
        return 200, self._user(self._account)

    def _branches(self, request: Request, **_: Any) -> tuple[int, Any]:
        name = _condition(request, "name")
        commit = self.commit_of(name)
        found = [{"type": "branch", "name": name, "target": {"type": "commit", "hash": commit}}] if commit else []
        return self._paged(request, found)

    def _commit(self, commit: str, **_: Any) -> tuple[int, Any]:
        return 200, {"type": "commit", "hash": self._whole(commit)}

    def _pulls(self, request: Request, **_: Any) -> tuple[int, Any]:
        states = request.query_params.getlist("state") or ["OPEN"]
        found = [pull for pull in self.pulls.values() if pull.state in states]
        if "q" in request.query_params:
            branch = _condition(request, "source.branch.name")
            found = [pull for pull in found if pull.branch == branch]
        found.sort(key=lambda pull: pull.id, reverse=request.query_params.get("sort") == "-created_on")
        return self._paged(request, [self._pull(pull, listed=True) for pull in found])

    def _open_pull(self, body: Json, **_: Any) -> tuple[int, Any]:
        branch, base = body["source"]["branch"]["name"], body["destination"]["branch"]["name"]
        commit, onto = self.commit_of(branch), self.commit_of(base)
        if commit is None or onto is None:
            raise BitbucketError(400, f"{'source' if commit is None else 'destination'}: branch not found")
        if run_git(self.repository, "merge-base", "--is-ancestor", commit, onto, check=False).returncode == 0:
            raise BitbucketError(400, "There are no changes to be pulled")
        twins = [one for one in self.pulls.values() if (one.branch, one.base, one.state) == (branch, base, "OPEN")]
        if twins and self.duplicates == "refused":
            raise BitbucketError(400, "There is already an open pull request between these branches")
        reviewers = [one.get("uuid") or one.get("account_id") for one in body.get("reviewers", [])]
        if any(one not in USERS or one == self._account for one in reviewers):
            raise BitbucketError(400, "reviewers: Malformed reviewers list")
        pull = self.open(
            branch,
            author=self._account,
            title=body["title"],
            description=body.get("description", ""),
            base=base,
            draft=body.get("draft", False),
            close_branch=body.get("close_source_branch", False),
            reviewers=reviewers,
        )
        return 201, self._pull(pull)

    def _get_pull(self, pull: str, **_: Any) -> tuple[int, Any]:
        return 200, self._pull(self._pull_of(pull))

    def _change_pull(self, pull: str, body: Json, **_: Any) -> tuple[int, Any]:
        found = self._pull_of(pull)
        if found.state != "OPEN":
            raise BitbucketError(400, "This pull request is already closed.")
        found.title = body.get("title", found.title)
        found.description = body.get("description", found.description)
        found.draft = body.get("draft", found.draft)
        found.reviewers = [one["uuid"] for one in body.get("reviewers", [])]
        self._touch(found)
        return 200, self._pull(found)

    def _comments(self, pull: str, request: Request, **_: Any) -> tuple[int, Any]:
        found = self._pull_of(pull)
        return self._paged(request, [self._comment(one) for one in found.comments])

    def _write_comment(self, pull: str, body: Json, **_: Any) -> tuple[int, Any]:
        found = self._pull_of(pull)
        parent = body.get("parent", {}).get("id")
        if parent is not None and self._comment_in(found, parent)["deleted"]:
            raise BitbucketError(404, "The parent comment was deleted")
        made = self.say(found, body["content"]["raw"], author=self._account, parent=parent)
        return 201, self._comment(self._comment_in(found, made))

    def _edit_comment(self, pull: str, comment: str, body: Json, **_: Any) -> tuple[int, Any]:
        found = self._own_comment(pull, comment)
        found["raw"] = body["content"]["raw"]
        found["edits"] = found.get("edits", 0) + 1
        self._touch(self._pull_of(pull))
        return 200, self._comment(found)

    def _remove_comment(self, pull: str, comment: str, **_: Any) -> tuple[int, Any]:
        self._own_comment(pull, comment)["deleted"] = True
        return 204, None

    def _resolve(self, pull: str, comment: str, **_: Any) -> tuple[int, Any]:
        found = self._comment_in(self._pull_of(pull), int(comment))
        if found["parent"] is not None or found["inline"] is None:
            raise BitbucketError(403, "Only top-level comments on the diff can be resolved")
        if found["resolution"] is not None:
            raise BitbucketError(409, "The comment has already been resolved")
        found["resolution"] = self._account
        return 200, self._resolution(self._account)

    def _merge(self, pull: str, body: Json, **_: Any) -> tuple[int, Any]:
        found = self._pull_of(pull)
        if found.state != "OPEN":
            raise BitbucketError(400, "This pull request is already closed.")
        if self.merge_checks:
            raise BitbucketError(400, "; ".join(self.merge_checks))
        done = run_git(self.repository, "merge-tree", "--write-tree", found.base, found.branch, check=False)
        if done.returncode == 1:
            raise BitbucketError(400, "You can't merge until you resolve all merge conflicts.")
        found.close_branch = body.get("close_source_branch", found.close_branch)
        if not self.merges_take:
            self.merge(found, by=self._account)
            return 200, self._pull(found)
        task = str(self._next())
        self.tasks[task] = [self.merges_take, found, self._account]
        at = f"{self.api_url}{self.path}/pullrequests/{pull}/merge/task-status/{task}"
        return 202, Response(status_code=202, headers={"Location": at})

    def _merge_task(self, pull: str, task: str, **_: Any) -> tuple[int, Any]:
        left, found, account = self.tasks[task]
        self.tasks[task][0] -= 1
        if left > 1:
            return 200, {"task_status": "PENDING", "links": {}}
        if found.state == "OPEN":
            self.merge(found, by=account)
        return 200, {"task_status": "SUCCESS", "links": {}, "merge_result": self._pull(found)}

    def _activity(self, pull: str, request: Request, **_: Any) -> tuple[int, Any]:
        self._note_pushes()
        found = self._pull_of(pull)
        shown: list[Json] = []
        for one in reversed(found.activity):
            if "approval" in one:
                shown.append({"approval": {**one["approval"], "user": self._user(one["approval"]["user"])}})
            else:
                source = self._endpoint(found.branch, one["update"]["commit"], HERE)
                update = {"date": one["update"]["date"], "state": "OPEN", "source": source, "title": found.title}
                shown.append({"update": {**update, "author": self._user(found.author)}})
        return self._paged(request, shown)

    def _note_pushes(self) -> None:
        """What git got, whoever pushed it, is noted as soon as anybody asks."""
        for pull in self.pulls.values():
            commits = [one["update"]["commit"] for one in pull.activity if "update" in one]
            commit = self.commit_of(pull.branch)
            if pull.state == "OPEN" and commit and commits[-1:] != [commit]:
                pull.activity.append({"update": {"date": self._now(), "commit": commit}})
                self._touch(pull)

    def _conflicts(self, pull: str, **_: Any) -> tuple[int, Any]:
        found = self._pull_of(pull)
        spec = f"{self.commit_of(found.branch)}..{self.commit_of(found.base)}"
        return 302, Response(status_code=302, headers={"Location": f"{self.api_url}{self.path}/file-conflicts/{spec}"})

    def _file_conflicts(self, spec: str, request: Request, **_: Any) -> tuple[int, Any]:
        source, _, base = spec.partition("..")
        done = run_git(self.repository, "merge-tree", "--write-tree", "--name-only", base, source, check=False)
        if done.returncode > 1:
            raise BitbucketError(404, "The spec cannot be resolved")
        paths = done.stdout.split("\n\n")[0].splitlines()[1:] if done.returncode == 1 else []
        said = "File modified in both source and destination"
        shown = [{"type": "file_conflict", "path": one, "scenario": "content", "message": said} for one in paths]
        return self._paged(request, shown)

    def _statuses(self, commit: str, request: Request, **_: Any) -> tuple[int, Any]:
        found = self.statuses.get(self._whole(commit), [])
        return self._paged(request, [{"type": "build", **one} for one in found])

    def _list_pipelines(self, request: Request, **_: Any) -> tuple[int, Any]:
        commit = request.query_params.get("target.commit.hash")
        found = [
            {
                "type": "pipeline",
                **{key: one[key] for key in ("uuid", "build_number", "state")},
                "target": {"type": "pipeline_ref_target", "commit": {"type": "commit", "hash": one["commit"]}},
            }
            for one in reversed(self.pipelines)
            if one["commit"] == commit
        ]
        return self._paged(request, found)

    def _list_steps(self, pipeline: str, request: Request, **_: Any) -> tuple[int, Any]:
        if pipeline not in self.steps:
            raise BitbucketError(404, "no such pipeline")
        return self._paged(request, self.steps[pipeline])

    def _log(self, pipeline: str, step: str, request: Request, **_: Any) -> tuple[int, Any]:
        if self.logs_are_put_away:
            # Another name of this machine: somebody else's, as far as anybody can tell.
            elsewhere = self.base_url.replace("127.0.0.1", "localhost")
            return 307, Response(status_code=307, headers={"Location": f"{elsewhere}/storage/{step}"})
        return 200, _ranged(self.logs[step], request.headers.get("range", ""))

    def _list_hooks(self, request: Request, **_: Any) -> tuple[int, Any]:
        return self._paged(request, [self._hook(one) for one in self.hooks.values()])

    def _make_hook(self, body: Json, **_: Any) -> tuple[int, Any]:
        uuid = f"{{hook-{self._next()}}}"
        self.hooks[uuid] = {**body, "uuid": uuid}
        return 201, self._hook(self.hooks[uuid])

    def _change_hook(self, hook: str, body: Json, **_: Any) -> tuple[int, Any]:
        if hook not in self.hooks:
            raise BitbucketError(404, "no such hook")
        self.hooks[hook].update(body)
        return 200, self._hook(self.hooks[hook])

    def _remove_hook(self, hook: str, **_: Any) -> tuple[int, Any]:
        if self.hooks.pop(hook, None) is None:
            raise BitbucketError(404, "no such hook")
        return 204, None

    # what things look like --------------------------------------------------------------------------------------

    def _pull(self, pull: FakePull, *, listed: bool = False) -> Json:
        commit = pull.commit or self.commit_of(pull.branch) or ""
        html = f"https://bitbucket.org/{self.workspace}/{self.slug}/pull-requests/{pull.id}"
        shown: Json = {
            "type": "pullrequest",
            "id": pull.id,
            "title": pull.title,
            "description": pull.description,
            "summary": {"raw": pull.description, "markup": "markdown", "html": ""},
            "state": pull.state,
            "draft": pull.draft,
            "author": self._user(pull.author),
            "source": self._endpoint(pull.branch, commit, pull.source_repository),
            "destination": self._endpoint(pull.base, self.commit_of(pull.base) or "", HERE),
            "close_source_branch": pull.close_branch,
            "comment_count": len(pull.comments),
            "links": {"self": {"href": f"{self.api_url}{self.path}/pullrequests/{pull.id}"}, "html": {"href": html}},
            "created_on": pull.created,
            "updated_on": pull.updated,
        }
        if not listed:
            shown["reviewers"] = [self._user(one) for one in pull.reviewers]
            shown["participants"] = [
                {
                    "type": "participant",
                    "user": self._user(one),
                    "role": "REVIEWER" if one in pull.reviewers else "PARTICIPANT",
                    "approved": pull.verdicts.get(one, (None, ""))[0] == "approved",
                    "state": pull.verdicts.get(one, (None, ""))[0],
                    "participated_on": pull.verdicts.get(one, (None, None))[1],
                }
                for one in dict.fromkeys([*pull.reviewers, *pull.verdicts])
            ]
        return shown

    def _endpoint(self, branch: str, commit: str, repository: str) -> Json:
        return {
            "branch": {"name": branch},
            "commit": {"hash": commit[:12]} if commit else None,
            "repository": self._repository(repository),
        }

    def _repository(self, uuid: str) -> Json:
        owner = self.workspace if uuid == HERE else "somebody"
        return {"type": "repository", "uuid": uuid, "full_name": f"{owner}/{self.slug}", "name": self.slug}

    def _user(self, uuid: str) -> Json:
        return {"type": "user", "uuid": uuid, "display_name": USERS.get(uuid, "?"), "account_id": f"557058:{uuid[1:9]}"}

    def _comment(self, comment: Json) -> Json:
        deleted = comment["deleted"]
        shown: Json = {
            "type": "pullrequest_comment",
            **{key: comment[key] for key in ("id", "created_on", "deleted", "pending")},
            "updated_on": comment["created_on"],
            "content": {"raw": "" if deleted else comment["raw"], "markup": "markdown", "html": ""},
            "user": self._user(comment["user"]),
        }
        if comment["parent"] is not None:
            shown["parent"] = {"type": "pullrequest_comment", "id": comment["parent"]}
        if comment["inline"] is not None:
            shown["inline"] = {"from": None, "to": None, **comment["inline"]}
        if comment["resolution"] is not None:
            shown["resolution"] = self._resolution(comment["resolution"])
        return shown

    def _resolution(self, account: str) -> Json:
        return {"type": "comment_resolution", "user": self._user(account), "created_on": self._now()}

    def _hook(self, hook: Json) -> Json:
        shown = {key: value for key, value in hook.items() if key != "secret"}
        return {"type": "webhook_subscription", **shown, "secret_set": bool(hook.get("secret"))}

    def _paged(self, request: Request, found: list[Any]) -> tuple[int, Any]:
        most, number = int(request.query_params.get("pagelen", 10)), int(request.query_params.get("page", 1))
        if most > 50:
            raise BitbucketError(400, "Invalid pagelen")
        answer: Json = {"values": found[(number - 1) * most : number * most], "page": number, "pagelen": most}
        answer["size"] = len(found)
        if number * most < len(found):
            answer["next"] = str(request.url.include_query_params(page=number + 1))
        return 200, answer

    def _close(self, pull: FakePull, state: str, commit: str) -> None:
        pull.state, pull.commit = state, commit
        self._touch(pull)

    def _touch(self, pull: FakePull) -> None:
        pull.updated = self._now()

    def _pull_of(self, number: str) -> FakePull:
        found = self.pulls.get(int(number))
        if found is None:
            raise BitbucketError(404, f"Pull request {number} does not exist")
        return found

    def _own_comment(self, pull: str, number: str) -> Json:
        found = self._comment_in(self._pull_of(pull), int(number))
        if found["deleted"]:
            raise BitbucketError(404, "The comment was deleted")
        if found["user"] != self._account:
            raise BitbucketError(403, "You may not change this comment")
        return found

    def _comment_in(self, pull: FakePull, number: int) -> Json:
        found = next((one for one in pull.comments if one["id"] == number), None)
        if found is None:
            raise BitbucketError(404, f"There is no comment {number}")
        return found

    def _whole(self, commit: str) -> str:
        done = run_git(self.repository, "rev-parse", "--verify", "-q", f"{commit}^{{commit}}", check=False)
        if not done.stdout.strip():
            raise BitbucketError(404, f"Commit not found: {commit}")
        return done.stdout.strip()

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    def _now(self) -> str:
        """A second later each time."""
        self._clock += 1
        minutes, seconds = divmod(self._clock, 60)
        return f"2026-01-01T{minutes // 60:02}:{minutes % 60:02}:{seconds:02}.000000+00:00"


_PULL, _COMMENT = r"/pullrequests/(?P<pull>\d+)", r"/comments/(?P<comment>\d+)"
_STEPS = r"/pipelines/(?P<pipeline>[^/]+)/steps"
_HOOK = r"/hooks/(?P<hook>[^/]+)"
_ROUTES: list[tuple[str, str, str, Callable[..., tuple[int, Any]]]] = [
    ("GET", "/user", "account", FakeBitbucket._me),
    ("GET", "/refs/branches", "repository", FakeBitbucket._branches),
    ("GET", r"/commit/(?P<commit>[0-9a-f]+)", "repository", FakeBitbucket._commit),
    ("GET", r"/commit/(?P<commit>[0-9a-f]+)/statuses", "repository", FakeBitbucket._statuses),
    ("GET", "/pullrequests", "pullrequest", FakeBitbucket._pulls),
    ("POST", "/pullrequests", "pullrequest:write", FakeBitbucket._open_pull),
    ("GET", _PULL, "pullrequest", FakeBitbucket._get_pull),
    ("PUT", _PULL, "pullrequest:write", FakeBitbucket._change_pull),
    ("GET", f"{_PULL}/comments", "pullrequest", FakeBitbucket._comments),
    ("POST", f"{_PULL}/comments", "pullrequest", FakeBitbucket._write_comment),
    ("PUT", f"{_PULL}{_COMMENT}", "pullrequest", FakeBitbucket._edit_comment),
    ("DELETE", f"{_PULL}{_COMMENT}", "pullrequest", FakeBitbucket._remove_comment),
    ("POST", f"{_PULL}{_COMMENT}/resolve", "pullrequest", FakeBitbucket._resolve),
    ("POST", f"{_PULL}/merge", "pullrequest:write", FakeBitbucket._merge),
    ("GET", rf"{_PULL}/merge/task-status/(?P<task>\d+)", "pullrequest", FakeBitbucket._merge_task),
    ("GET", f"{_PULL}/activity", "pullrequest", FakeBitbucket._activity),
    ("GET", f"{_PULL}/conflicts", "pullrequest", FakeBitbucket._conflicts),
    ("GET", r"/file-conflicts/(?P<spec>[^/]+)", "repository", FakeBitbucket._file_conflicts),
    ("GET", "/pipelines", "pipeline", FakeBitbucket._list_pipelines),
    ("GET", _STEPS, "pipeline", FakeBitbucket._list_steps),
    ("GET", f"{_STEPS}/(?P<step>[^/]+)/log", "pipeline", FakeBitbucket._log),
    ("GET", "/hooks", "webhook", FakeBitbucket._list_hooks),
    ("POST", "/hooks", "webhook", FakeBitbucket._make_hook),
    ("PUT", _HOOK, "webhook", FakeBitbucket._change_hook),
    ("DELETE", _HOOK, "webhook", FakeBitbucket._remove_hook),
]


class _Cut(Response):
    """The connection ends before the answer does."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        raise OSError("cut")


def _condition(request: Request, name: str) -> str:
    """The value of `name="value"`, the only kind of condition that is understood here."""
    found = re.fullmatch(rf'{re.escape(name)}="((?:[^"\\]|\\.)*)"', request.query_params["q"])
    if found is None:
        raise BitbucketError(400, f"Invalid query: {request.query_params['q']}")
    return re.sub(r"\\(.)", r"\1", found[1])


def _ranged(log: bytes, wanted: str) -> Response:
    """A file as servers of files give it, whole or its end."""
    found = re.fullmatch(r"bytes=-(\d+)", wanted)
    if found is None:
        return Response(log)
    if not log:
        return Response(status_code=416)
    return Response(log[-int(found[1]) :], status_code=206)


def _comparable(answer: Any) -> Any:
    """Without what the real answers have and the document does not know: null, and whether a place is outdated."""
    if isinstance(answer, dict):
        return {key: _comparable(value) for key, value in answer.items() if value is not None and key != "outdated"}
    return [_comparable(one) for one in answer] if isinstance(answer, list) else answer
