"""A code host without a network: pull requests in memory, which outlive any daemon, and people who are played by a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from opensymphony.errors import NotFound, OpenSymphonyError, Refused
from opensymphony.model import (
    CommitCheck,
    MergeMethod,
    PullRequest,
    PullRequestReading,
    PullRequestText,
    Review,
    ReviewComment,
    ReviewThread,
    TrackerState,
)

AGENT = "{agent}"


class ScriptedCodeHost:
    """Satisfies `interfaces.CodeHost`."""

    def __init__(self, head_of: Callable[[str], str] = lambda branch: "") -> None:
        self._head_of = head_of
        self.pulls: dict[str, PullRequest] = {}
        self.threads: dict[str, list[ReviewThread]] = {}
        self.checks: tuple[CommitCheck, ...] = ()
        self.reviews: tuple[Review, ...] = ()
        self.conflicts: tuple[str, ...] = ()
        self.said: dict[tuple[str, str], str] = {}
        """What we said, by pull request and marker."""
        self.resolved: set[str] = set()
        self.opened = 0
        self.reads: list[str] = []
        self.merges = 0
        self.merge_trouble: OpenSymphonyError | None = None
        self.trouble: OpenSymphonyError | None = None
        self.broken: dict[str, OpenSymphonyError] = {}
        """Pull requests that cannot be read, and why."""
        self.updated_ms = 1

    def comment_by(
        self, pull_request_id: str, thread_id: str, text: str, author: str = "{ada}", path: str = ""
    ) -> None:
        """A person begins a thread."""
        self.updated_ms += 1
        said = ReviewComment(id=thread_id, author=author, author_name=author.strip("{}").title(), text=text)
        thread = ReviewThread(id=thread_id, comments=(said,), path=path, line=1 if path else None)
        self.threads.setdefault(pull_request_id, []).append(thread)

    def approve(self, pull_request_id: str, author: str = "{ada}") -> None:
        """A person approves it as it is."""
        self.updated_ms += 1
        commit = self._seen(pull_request_id).head
        self.reviews = (*self.reviews, Review(author=author, verdict="approved", commit=commit))

    def end(self, pull_request_id: str, state: str) -> None:
        self.updated_ms += 1
        self.pulls[pull_request_id] = replace(self.pulls[pull_request_id], state=state)

    async def find(self, branch: str) -> PullRequest | None:
        found = [pull for pull in self.pulls.values() if pull.branch == branch]
        found.sort(key=lambda pull: (pull.state == "open", int(pull.id)))
        return found[-1] if found else None

    async def publish(self, text: PullRequestText) -> PullRequest:
        before = await self.find(text.branch)
        if before is None or before.state != "open":
            self.opened += 1
            number = str(len(self.pulls) + 1)
            before = PullRequest(
                id=number, url=f"https://host/{number}", title="", state="open", branch=text.branch, base=text.base
            )
        self.pulls[before.id] = replace(before, title=text.title)
        return self._seen(before.id)

    def _seen(self, pull_request_id: str) -> PullRequest:
        pull = self.pulls[pull_request_id]
        return replace(pull, head=self._head_of(pull.branch), updated_ms=self.updated_ms)

    async def fetch(self, ids: Sequence[str]) -> tuple[PullRequest, ...]:
        if self.trouble is not None:
            raise self.trouble
        return tuple(self._seen(one) for one in ids if one in self.pulls)

    async def read(self, pull_request_id: str) -> PullRequestReading:
        self.reads.append(pull_request_id)
        if pull_request_id in self.broken:
            raise self.broken[pull_request_id]
        if pull_request_id not in self.pulls:
            raise NotFound("code host", "no such pull request")
        return PullRequestReading(
            pull_request=self._seen(pull_request_id),
            threads=tuple(self.threads.get(pull_request_id, ())),
            reviews=self.reviews,
            checks=self.checks,
            conflicts=self.conflicts,
        )

    async def comment(self, pull_request_id: str, marker: str, body: str, *, thread_id: str | None = None) -> str:
        if (pull_request_id, marker) not in self.said:
            for at, thread in enumerate(self.threads.get(pull_request_id, ())):
                if thread.id == thread_id:
                    ours = ReviewComment(id=f"o{len(self.said)}", author=AGENT, text=body, is_ours=True)
                    self.threads[pull_request_id][at] = replace(thread, comments=(*thread.comments, ours))
        self.said[pull_request_id, marker] = body
        return marker

    async def resolve(self, pull_request_id: str, thread_id: str) -> bool:
        self.resolved.add(thread_id)
        return True

    async def merge(self, pull_request_id: str, head: str, method: MergeMethod) -> PullRequest:
        if self.merge_trouble is not None:
            raise self.merge_trouble
        seen = self._seen(pull_request_id)
        if seen.state == "open":
            if seen.head != head:
                raise Refused("code host", "its branch is elsewhere by now")
            self.merges += 1
            self.end(pull_request_id, "merged")
        return self._seen(pull_request_id)

    async def read_log(self, commit: str, check: CommitCheck) -> str:
        return f"log of {check.key}"

    async def git_login(self) -> tuple[str, str]:
        return "user", "secret"

    def state(self) -> TrackerState | None:
        return None

    async def close(self) -> None:
        pass
