"""A repository on Bitbucket and the people there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from opensymphony.clock import Clock
from opensymphony.http import ReadToken
from opensymphony.services.bitbucket.code_host import BitbucketCodeHost
from opensymphony.workflow.policy import CodeHostPolicy
from tests.fakes.bitbucket import ACCESS_TOKEN, ADA, API_TOKEN, BOB, EMAIL, FORK, HERE, FakeBitbucket

PEOPLE = {"ada": ADA, "bob": BOB}
STATES = {"pending": "INPROGRESS", "passed": "SUCCESSFUL", "failed": "FAILED", "stopped": "STOPPED"}


def policy_for(bitbucket: FakeBitbucket, *, email: str | None = EMAIL, **provider: str) -> CodeHostPolicy:
    place = {"workspace": bitbucket.workspace, "repository": bitbucket.slug, "api_url": bitbucket.api_url}
    return CodeHostPolicy(kind="bitbucket", provider={**place, **({"email": email} if email else {}), **provider})


async def api_token() -> str:
    return API_TOKEN


async def access_token() -> str:
    return ACCESS_TOKEN


class BitbucketWorld:
    """Satisfies `CodeHostWorld`. `email` None: signed in with an access token, which has no account."""

    email: str | None = EMAIL

    def __init__(self, tmp_path: Path) -> None:
        self.bitbucket = FakeBitbucket(tmp_path / "bitbucket")

    @asynccontextmanager
    async def there(self) -> AsyncIterator[FakeBitbucket]:
        async with self.bitbucket.serving():
            yield self.bitbucket
        assert not self.bitbucket.violations, "\n".join(sorted(set(self.bitbucket.violations)))

    @asynccontextmanager
    async def open(self, read_token: ReadToken | None = None) -> AsyncIterator[BitbucketCodeHost]:
        token = read_token or (api_token if self.email else access_token)
        host = BitbucketCodeHost(policy_for(self.bitbucket, email=self.email), Clock(), token)
        try:
            yield host
        finally:
            await host.close()

    async def push(self, branch: str, files: dict[str, str] | None = None) -> str:
        return self.bitbucket.push(branch, files)

    async def branch_off(self, branch: str) -> None:
        self.bitbucket.branch_off(branch)

    async def delete_branch(self, branch: str) -> None:
        self.bitbucket.delete_branch(branch)

    async def open_by_hand(self, branch: str, title: str, *, reviewers: Sequence[str] = (), fork: bool = False) -> str:
        place = FORK if fork else HERE
        made = self.bitbucket.open(branch, title=title, reviewers=list(reviewers), source_repository=place)
        return str(made.id)

    async def pull_requests(self, branch: str) -> list[tuple[str, str]]:
        return [(str(one.id), one.title) for one in self.bitbucket.pulls.values() if one.branch == branch]

    async def reviewers(self, pull_request_id: str) -> list[str]:
        return self.bitbucket.pulls[int(pull_request_id)].reviewers

    async def say(
        self,
        pull_request_id: str,
        text: str,
        *,
        author: str = "ada",
        path: str = "",
        line: int | None = None,
        old_line: int | None = None,
        answer_to: str | None = None,
    ) -> str:
        made = self.bitbucket.say(
            self.bitbucket.pulls[int(pull_request_id)],
            text,
            author=PEOPLE[author],
            parent=int(answer_to) if answer_to else None,
            inline={"path": path, "to": line, "from": old_line} if path else None,
        )
        return str(made)

    async def delete_comment(self, pull_request_id: str, comment_id: str) -> None:
        self.bitbucket.delete_comment(self.bitbucket.pulls[int(pull_request_id)], int(comment_id))

    async def comments(self, pull_request_id: str) -> list[str]:
        return self.bitbucket.comment_texts(self.bitbucket.pulls[int(pull_request_id)])

    async def judge(self, pull_request_id: str, verdict: Literal["approved", "changes_requested"] | None) -> None:
        self.bitbucket.judge(self.bitbucket.pulls[int(pull_request_id)], verdict)

    async def report(self, commit: str, key: str, state: Literal["pending", "passed", "failed", "stopped"]) -> None:
        self.bitbucket.report(commit, key, STATES[state])

    async def fail_build(self, commit: str, log: bytes) -> None:
        self.bitbucket.run_pipeline(commit, {"Lint": ("SUCCESSFUL", b"fine\n"), "Test": ("FAILED", log)})

    async def merge(self, pull_request_id: str) -> None:
        self.bitbucket.merge(self.bitbucket.pulls[int(pull_request_id)])

    async def decline(self, pull_request_id: str) -> None:
        self.bitbucket.decline(self.bitbucket.pulls[int(pull_request_id)])

    async def lose_answer(self, to: Literal["publish", "comment", "merge"]) -> None:
        paths = {"publish": "", "comment": r"/\d+/comments", "merge": r"/\d+/merge"}
        self.bitbucket.fail_next("POST", f"/pullrequests{paths[to]}", lost=True)

    async def break_down(self) -> None:
        self.bitbucket.down = True

    def account(self, name: str) -> str:
        return PEOPLE[name]


class BitbucketBotWorld(BitbucketWorld):
    """The same with an access token."""

    email = None
