"""What reviewers say of a pull request as a whole, and of which commit.

Bitbucket keeps an approval when new commits come, and does not say in it which commit was approved. Its activity log does: it
has pushes and approvals by one clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from opensymphony.model import Review, Verdict, encodable
from opensymphony.services.bitbucket.client import BitbucketClient
from opensymphony.services.bitbucket.pull_requests import Account, Endpoint, Participant, to_ms

_PAGES_MAX = 6
"""Newest first: an approval that is further back is one of an old commit anyway, or is not counted."""


class _Update(Struct, frozen=True, kw_only=True):
    date: str = ""
    source: Endpoint = Endpoint()


class _Approval(Struct, frozen=True, kw_only=True):
    date: str = ""
    user: Account | None = None


class _Activity(Struct, frozen=True, kw_only=True):
    update: _Update | None = None
    approval: _Approval | None = None


def reviews(participants: Sequence[Participant], own_account: str) -> tuple[Review, ...]:
    """Of everybody who has approved, or asks for changes; which commit is meant is not said here."""
    found: list[Review] = []
    for one in participants:
        verdict: Verdict | None = None
        if one.state == "changes_requested":
            verdict = "changes_requested"
        elif one.state == "approved" or one.approved:
            verdict = "approved"
        if verdict is not None and one.user is not None and one.user.uuid:
            found.append(
                Review(
                    author=encodable(one.user.uuid),
                    author_name=encodable(one.user.display_name),
                    verdict=verdict,
                    at_ms=to_ms(one.participated_on),
                    is_ours=one.user.uuid == own_account,
                )
            )
    return tuple(found)


async def approved_commits(client: BitbucketClient, pull_request_id: str) -> dict[str, str]:
    """By account, the head that the pull request had when that account approved it last."""
    name, path = "read the activity", f"/pullrequests/{pull_request_id}/activity"
    listed = await client.listed(path, _Activity, name=name, pages_max=_PAGES_MAX)
    heads = sorted(
        (to_ms(one.update.date), one.update.source.head)
        for one in listed
        if one.update is not None and one.update.source.head and to_ms(one.update.date)
    )
    found: dict[str, tuple[int, str]] = {}
    for one in listed:
        approval = one.approval
        if approval is None or approval.user is None or not to_ms(approval.date):
            continue
        at_ms, account = to_ms(approval.date), encodable(approval.user.uuid)
        # Of a push in the same moment nobody can say that it was seen.
        before = [head for pushed_ms, head in heads if pushed_ms < at_ms]
        if before and not any(pushed_ms == at_ms for pushed_ms, _ in heads):
            found[account] = max(found.get(account, (0, "")), (at_ms, before[-1]))
    return {account: head for account, (_, head) in found.items()}
