"""What Jira says an issue is, and the ticket that we make of it.

In: an issue of `bulkfetch`. Out: a `Ticket`, or why it cannot be one. What is optional and odd is left out; without a key, a
summary, a status and a project nothing can be done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from opensymphony.model import Claim, Ticket, TicketComment, TicketId, TicketRef, encodable
from opensymphony.services.jira.adf import to_markdown
from opensymphony.services.jira.site import Site

CLAIM_PROPERTY = "opensymphony.claim"
FOOTER = "opensymphony:"
"""Begins the last line of our own comments, by which they are found again."""
FIELDS = (
    *("summary", "description", "status", "priority", "labels", "assignee", "created", "updated", "project"),
    *("issuetype", "parent", "subtasks", "issuelinks", "comment", "attachment"),
)
COMMENTS_MAX = 20
_DESCRIPTION_CHARS_MAX = 60_000
_COMMENT_CHARS_MAX = 4_000
_ATTACHMENTS_MAX = 50
_REFERENCES_MAX = 100
_OFFSET = re.compile(r"([+-]\d\d)(\d\d)$")


class Malformed(Exception):
    """Raised for an issue that is no ticket; the text says why."""


class Issue(Struct, frozen=True, kw_only=True):
    """As Jira sends it; each field is looked at on its own."""

    id: str
    key: str = ""
    fields: dict[str, msgspec.Raw] = {}
    properties: dict[str, msgspec.Raw] = {}


class Category(Struct, frozen=True, kw_only=True):
    key: str = ""


class Status(Struct, frozen=True, kw_only=True):
    name: str
    statusCategory: Category = Category()


class User(Struct, frozen=True, kw_only=True):
    accountId: str = ""
    displayName: str = ""


class Priority(Struct, frozen=True, kw_only=True):
    id: str
    name: str = ""


class _Project(Struct, frozen=True, kw_only=True):
    key: str


class _Kind(Struct, frozen=True, kw_only=True):
    name: str = ""
    hierarchyLevel: int = 0


class _OtherFields(Struct, frozen=True, kw_only=True):
    status: Status | None = None


class _Other(Struct, frozen=True, kw_only=True):
    id: str
    key: str = ""
    fields: _OtherFields = _OtherFields()


class _LinkType(Struct, frozen=True, kw_only=True):
    name: str = ""


class _Link(Struct, frozen=True, kw_only=True):
    type: _LinkType
    inwardIssue: _Other | None = None


class Comment(Struct, frozen=True, kw_only=True):
    id: str
    author: User = User()
    created: str | None = None
    body: Any = None


class Comments(Struct, frozen=True, kw_only=True):
    comments: tuple[Comment, ...] = ()
    total: int = 0
    startAt: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether the newest are among them."""
        return self.startAt + len(self.comments) >= self.total


class _Attachment(Struct, frozen=True, kw_only=True):
    filename: str = ""
    size: int = 0


class Reading(Struct, frozen=True, kw_only=True):
    """What turns an issue of this site into a ticket."""

    site: Site
    account_id: str
    """Ours."""
    assignee: str | None = None
    """As the policy names it: `me`, or an account's id."""
    unblocking: frozenset[str] = frozenset()
    """States in which a blocker blocks nothing, folded."""
    priorities: tuple[str, ...] = ()
    """Ids of the site's priorities, the most urgent first."""

    def ticket(self, issue: Issue, newest: Comments | None = None) -> tuple[Ticket, tuple[str, ...]]:
        """The ticket, and the names of optional fields that were something else; `newest` are its comments where the issue
        does not hold them all. Raises `Malformed`."""
        odd: list[str] = []
        read = partial(_read, issue, odd)
        status, summary = read("status", Status), read("summary", str) or ""
        if status is None or not status.name.strip() or not summary.strip() or not issue.key:
            missing = "key" if not issue.key else "summary" if not summary.strip() else "status"
            raise Malformed(f"it has no {missing}")
        created, parent, kind = read("created", str), read("parent", _Other), read("issuetype", _Kind) or _Kind()
        if created is not None and _iso(created) is None:
            odd.append("created")
        ticket = Ticket(
            id=TicketId(issue.id),
            identifier=issue.key,
            title=" ".join(encodable(summary).split())[:500],
            state=status.name,
            description=self._description(read) or None,
            priority=self._priority(read("priority", Priority)),
            labels=tuple(dict.fromkeys(filter(None, map(_folded, read("labels", tuple[str, ...]) or ())))),
            assignee=self._assignee(read("assignee", User)),
            parent=_reference(parent) if parent is not None else None,
            children=tuple(map(_reference, (read("subtasks", tuple[_Other, ...]) or ())[:_REFERENCES_MAX])),
            blocked_by=self._blockers(read("issuelinks", tuple[_Link, ...]) or ()),
            comments=self._comments(newest or read("comment", Comments) or Comments()),
            url=f"{self.site.base_url}/browse/{issue.key}",
            created_at=_iso(created),
            created_ms=_milliseconds(created),
            updated_at=_iso(read("updated", str)),
            claim=claim_in(issue.properties.get(CLAIM_PROPERTY)),
            native_ref={"id": issue.id, "project": self.site.project_key, "type": kind.name},
            # An epic is the sum of its issues: nobody works on it itself.
            dispatchable=kind.hierarchyLevel <= 0,
        )
        return ticket, tuple(odd)

    def is_ours(self, issue: Issue) -> bool:
        """Whether it is in our project; one that was moved away is not."""
        project = _read(issue, [], "project", _Project)
        if project is None:
            raise Malformed("it has no project")
        return project.key.casefold() == self.site.project_key.casefold()

    def _priority(self, priority: Priority | None) -> int | None:
        """1 for the most urgent that the site has, down to 4."""
        if priority is None or priority.id not in self.priorities:
            return None
        return min(4, self.priorities.index(priority.id) + 1)

    def _assignee(self, user: User | None) -> str | None:
        if user is None or not user.accountId:
            return None
        return "me" if self.assignee == "me" and user.accountId == self.account_id else user.accountId

    def _blockers(self, links: Sequence[_Link]) -> tuple[TicketRef, ...]:
        """What "is blocked by" leads to; not what Jira itself counts as done, however its status is called."""
        wanted = self.site.blocker_link.casefold()
        others = (link.inwardIssue for link in links if link.type.name.casefold() == wanted)
        return tuple(_reference(other) for other in others if other is not None and not self._is_done(other))[
            :_REFERENCES_MAX
        ]

    def _is_done(self, other: _Other) -> bool:
        status = other.fields.status
        if status is None or status.name.casefold() in self.unblocking:
            return False  # the scheduler sees by its state that it blocks nothing
        return status.statusCategory.key == "done"

    def _description(self, read: Callable[[str, Any], Any]) -> str:
        parts = [to_markdown(read("description", Any))]
        if self.site.acceptance_criteria_field:
            criteria = to_markdown(read(self.site.acceptance_criteria_field, Any))
            parts.append(f"## Acceptance criteria\n\n{criteria}" if criteria else "")
        attached = read("attachment", tuple[_Attachment, ...]) or ()
        names = [f"- {' '.join(one.filename.split())} ({one.size:,} bytes)" for one in attached if one.filename]
        parts.append("## Attachments\n\n" + "\n".join(names[:_ATTACHMENTS_MAX]) if names else "")
        text = encodable("\n\n".join(filter(None, parts)))
        return text if len(text) <= _DESCRIPTION_CHARS_MAX else f"{text[:_DESCRIPTION_CHARS_MAX]}\n\n(shortened)"

    def _comments(self, held: Comments) -> tuple[TicketComment, ...]:
        found = sorted((one for one in held.comments if one.id.isdecimal()), key=lambda one: int(one.id))
        return tuple(self._comment(one) for one in found if not is_ours(one, self.account_id))[-COMMENTS_MAX:]

    def _comment(self, comment: Comment) -> TicketComment:
        return TicketComment(
            id=comment.id,
            number=int(comment.id),
            author=comment.author.accountId,
            author_name=" ".join(encodable(comment.author.displayName).split())[:100],
            created_at=_iso(comment.created),
            text=encodable(to_markdown(comment.body))[:_COMMENT_CHARS_MAX],
        )


def comments_of(issue: Issue) -> Comments:
    """Those that the issue came with."""
    return _read(issue, [], "comment", Comments) or Comments()


def is_ours(comment: Comment, account_id: str, marker: str = "") -> bool:
    """Whether we wrote it: our account, and the line that we put below; a person may use the same account."""
    if comment.author.accountId != account_id:
        return False
    last = to_markdown(comment.body).rstrip().rpartition("\n")[2].strip().strip("`")
    return last == f"{FOOTER}{marker}" if marker else last.startswith(FOOTER)


def claim_in(raw: msgspec.Raw | None) -> Claim | None:
    """Whose ticket it is; None for a property that is something else."""
    try:
        return msgspec.json.decode(raw, type=Claim) if raw is not None else None
    except msgspec.MsgspecError:
        return None


def has_open_relations(ticket: Ticket) -> bool:
    """Whether others decide about it: what becomes of them does not change when it was updated."""
    return bool(ticket.blocked_by or ticket.children or ticket.parent)


def milliseconds_in(raw: msgspec.Raw | None) -> int | None:
    """The time that a field holds, since the epoch; None for one that holds none."""
    try:
        return _milliseconds(msgspec.json.decode(raw, type=str)) if raw is not None else None
    except msgspec.MsgspecError:
        return None


def _read(issue: Issue, odd: list[str], name: str, kind: Any) -> Any:
    """A field; None when it is missing or null, or something else, which is noted."""
    raw = issue.fields.get(name)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=kind | None)
    except (msgspec.MsgspecError, RecursionError):
        odd.append(name)
        return None


def _reference(other: _Other) -> TicketRef:
    status = other.fields.status
    return TicketRef(
        id=TicketId(other.id), identifier=other.key or other.id, state=status.name if status is not None else None
    )


def _folded(label: str) -> str:
    return encodable(label).strip().lower()


def _iso(text: str | None) -> str | None:
    """`2026-01-02T03:04:05.678+0100` with a colon in the offset, as ISO 8601 wants it."""
    if text is None:
        return None
    fixed = _OFFSET.sub(r"\1:\2", text)
    try:
        datetime.fromisoformat(fixed)
    except ValueError:
        return None
    return fixed


def _milliseconds(text: str | None) -> int | None:
    fixed = _iso(text)
    return int(datetime.fromisoformat(fixed).timestamp() * 1000) if fixed is not None else None
