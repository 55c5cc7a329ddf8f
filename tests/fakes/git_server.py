"""Git repositories over HTTP as code hosts serve them: git's own `http-backend` behind a check of user and password."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import Response

PERSON = {"GIT_AUTHOR_NAME": "P", "GIT_AUTHOR_EMAIL": "p@x", "GIT_COMMITTER_NAME": "P", "GIT_COMMITTER_EMAIL": "p@x"}


def run_git(directory: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Git as the host runs it on its own disk."""
    env = {"PATH": os.environ["PATH"], "HOME": str(directory), "GIT_CONFIG_NOSYSTEM": "1", **PERSON}
    env["GIT_CONFIG_GLOBAL"] = os.devnull
    done = subprocess.run(
        ["git", *arguments], cwd=directory, env=env, capture_output=True, text=True, check=False, timeout=30
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


class GitServer:
    """The bare repositories in a directory."""

    def __init__(self, directory: Path, may: Callable[[str, str], bool]) -> None:
        """`may` says whether a user with that password is let in."""
        self.directory = directory
        self._may = may
        self.logins: list[str] = []
        """Every `user:password` that came, in the order in which they came."""
        self.gate: anyio.Event | None = None
        """While it is there and not set, a request that was let in waits for it."""
        self.waiting = anyio.Event()
        """Set as soon as a request waits at the gate."""
        self.redirect = ""
        """Where requests are sent instead: those that do not say who they are, or only those that do."""
        self.redirects_known = False
        self.asked = 0

    def create(self, name: str, files: dict[str, str] | None = None) -> Path:
        """A repository with a branch `main` of one commit."""
        path = self.directory / f"{name}.git"
        path.mkdir(parents=True)
        run_git(path, "init", "-q", "--bare", "-b", "main")
        run_git(path, "config", "http.receivepack", "true")
        commit_files(path, "main", files or {"README": "hello\n"})
        return path

    async def handle(self, request: Request, path: str) -> Response:
        """Answer one request; `path` begins with the repository's."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        self.asked += 1
        if self.redirect and bool(given) is self.redirects_known:
            return Response(status_code=302, headers={"Location": f"{self.redirect}/{path}?{request.url.query}"})
        login = base64.b64decode(given).decode() if scheme == "Basic" else ""
        if login:
            self.logins.append(login)
        user, _, password = login.partition(":")
        if not (login and self._may(user, password)):
            return Response(b"who are you?", status_code=401, headers={"WWW-Authenticate": 'Basic realm="git"'})
        if self.gate is not None:
            self.waiting.set()
            await self.gate.wait()
        return await self._backend(request, path, user)

    async def _backend(self, request: Request, path: str, user: str) -> Response:
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.directory),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PATH_INFO": f"/{path}",
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.url.query,
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
            "REMOTE_USER": user,
            "REMOTE_ADDR": "127.0.0.1",
            **PERSON,
        }
        done = await anyio.run_process(["git", "http-backend"], input=await request.body(), env=env, check=False)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200").split()[0])
        return Response(body, status_code=status, headers=headers)


def commit_files(repository: Path, branch: str, files: dict[str, str], *, start: str = "") -> str:
    """A commit on a branch of a bare repository, as somebody's push would make it; returns it."""
    begin = run_git(repository, "rev-parse", "--verify", "-q", start or f"refs/heads/{branch}", check=False)
    parent = begin.stdout.strip()
    index = repository / "index-of-a-person"
    env = {"PATH": os.environ["PATH"], "GIT_INDEX_FILE": str(index), "GIT_CONFIG_GLOBAL": os.devnull, **PERSON}

    def git(*arguments: str, text: str = "") -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=repository, env=env, input=text, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    if parent:
        git("read-tree", parent)
    for name, text in files.items():
        blob = git("hash-object", "-w", "--stdin", text=text)
        git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
    tree = git("write-tree")
    made = git("commit-tree", "-m", f"change {', '.join(files)}", *(("-p", parent) if parent else ()), tree)
    git("update-ref", f"refs/heads/{branch}", made)
    index.unlink(missing_ok=True)
    return made
