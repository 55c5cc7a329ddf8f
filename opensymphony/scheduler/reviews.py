"""The pull request of a ticket: opened after a push, and whatever its review says goes back to the agent.

What reviewers, pipelines and the base branch have to say is heard once. It becomes a message, which a run that is at work gets
with its next turn, and which wakes a ticket in review as soon as nothing new was said for `review.quiet_ms`. Only the words of
those in `review.instructions_from` do that; those of others are shown beside them, as context. After the next push each thread
that the agent was given has an answer.
"""

from __future__ import annotations

import re

from msgspec import Struct, structs

from opensymphony import reporting
from opensymphony.errors import ConfigurationError
from opensymphony.model import (
    CommitCheck,
    PersonMessage,
    PullRequest,
    PullRequestReading,
    PullRequestText,
    Review,
    ReviewThread,
    ThreadAnswer,
    Work,
)
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler import messages
from opensymphony.scheduler.endings import choose_ending, park, settle_closed, wake
from opensymphony.scheduler.merging import consider_merge
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.state import Ending, Pull, State, pending_of
from opensymphony.scheduler.status_comment import report_of
from opensymphony.workflow.policy import ReviewPolicy
from opensymphony.workflow.pull_request import render_body, render_title

_STATED = re.compile(
    r"^[ \t>*_-]*`?Thread[ \t]+`?(?P<id>[^\s:`*]{1,80})[`*_]*[ \t]*:"
    r"[ \t]*[*_]*(?P<verdict>done|not done)\b[*_]*[ \t]*[:.,-]*[ \t]*(?P<text>.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_SAID_CHARS_MAX = 1_000
_WAITING_MAX = 20
"""Messages of a review that nobody has taken: what else is said waits at the code host."""


class News(Struct, frozen=True, kw_only=True):
    """What a reading has that was not taken in."""

    keys: tuple[str, ...] = ()
    threads: tuple[ReviewThread, ...] = ()
    reviews: tuple[Review, ...] = ()
    checks: tuple[CommitCheck, ...] = ()
    conflicts: tuple[str, ...] = ()


# opening -----------------------------------------------------------------------------------------------------------


def publish(plan: Plan, work: Work) -> bool:
    """Enter the stage that opens the pull request; False where there is none to be opened."""
    run, repository = plan.run, plan.policy.repository
    branch = run.workspace.branch if run.workspace is not None else None
    if plan.policy.code_host is None or repository is None or branch is None:
        return False
    policy = plan.policy.pull_request
    parts = reporting.pull_request_parts(report_of(plan, Ending(outcome="succeeded", reason="")))
    try:
        text = PullRequestText(
            branch=branch,
            base=repository.base,
            title=render_title(policy, plan.ticket),
            body=render_body(policy, plan.ticket, parts),
            is_draft=policy.draft,
            reviewers=policy.reviewers,
            close_branch=policy.close_branch,
        )
    except ConfigurationError as problem:
        choose_ending(plan, "needs_input", str(problem))
        return True
    plan.enter("publishing", c.PublishPullRequest, text=text)
    return True


def published(plan: Plan, pull_request: PullRequest) -> None:
    """Note it, show it at the ticket, and answer the threads that the agent was given."""
    pull = plan.entry.pull
    plan.add(d.PullRequestNoted(ticket_id=plan.ticket.id, pull_request=pull_request))
    same = pull is not None and pull.pull_request.id == pull_request.id
    if pull is None or not same or pull.tied != pull_request.url:
        plan.issue(c.LinkPullRequest, pull_request=pull_request)
    if pull is None or not same or not pull.owed:
        return
    work = plan.run.work
    commit = work.commit if work is not None and work.commit != plan.entry.commit else None
    subjects = work.summary if work is not None else ""
    answers = answers_to(
        pull.owed,
        plan.run.final_text,
        commit,
        subjects,
        turn=f"{plan.generation}.{plan.run.turns}",
        resolve=plan.policy.review.resolve,
    )
    plan.add(d.ThreadsSettled(ticket_id=plan.ticket.id, answers=answers))
    for answer in answers:
        _say(plan, pull_request, answer)


def _say(plan: Plan, pull_request: PullRequest, answer: ThreadAnswer) -> None:
    plan.issue(
        c.AnswerThread,
        pull_request_id=pull_request.id,
        thread_id=answer.thread_id,
        marker=answer.marker,
        body=answer.body,
        resolve=answer.resolve,
    )


def stated(text: str) -> dict[str, tuple[bool, str]]:
    """What an agent says of each thread: whether it is done, and what or why. The last word counts."""
    return {
        found["id"].strip(".,#"): (found["verdict"].lower() == "done", found["text"].strip()[:_SAID_CHARS_MAX])
        for found in _STATED.finditer(text)
    }


def has_explained(plan: Plan) -> bool:
    """Whether the agent was given threads and says of each why nothing is to be done: then no commit is missing."""
    pull = plan.entry.pull
    if pull is None or not pull.owed:
        return False
    said = stated(plan.run.final_text)
    return all(thread in said for thread in pull.owed)


def answers_to(
    threads: tuple[str, ...], final_text: str, commit: str | None, subjects: str, *, turn: str, resolve: bool
) -> tuple[ThreadAnswer, ...]:
    """One for each thread. Only what the agent says it has done, in a commit that is pushed, is resolved.

    `turn` names the turn that they answer for.
    """
    said, answers = stated(final_text), list[ThreadAnswer]()
    where = f" in `{commit[:12]}`" if commit is not None else ""
    for thread in threads:
        done, text = said.get(thread, (False, ""))
        quoted = f"\n\n> {text}" if text else ""
        if done and commit is not None:
            body = f"Done{where}.{quoted}"
        elif thread in said:
            body = f"{'Nothing had to be changed for this.' if done else 'Not done.'}{quoted}"
        elif commit is not None:
            listed = "".join(f"\n- {' '.join(subject.split())[:200]}" for subject in subjects.splitlines()[:5])
            body = f"The agent does not say what it did about this. New{where}:{listed}"
        else:
            body = "The agent ended without saying anything about this, and nothing was changed."
        settled = resolve and done and commit is not None
        answers.append(ThreadAnswer(thread_id=thread, marker=f"answer {thread} {turn}", body=body, resolve=settled))
    return tuple(answers)


# hearing -----------------------------------------------------------------------------------------------------------


def news_of(pull: Pull, reading: PullRequestReading, policy: ReviewPolicy) -> News:
    """What of a reading was not taken in yet, whoever said it. Our own words are none."""
    heard = set(pull.heard)
    threads = tuple(
        thread
        for thread in reading.threads
        if any(not comment.is_ours and f"comment/{comment.id}" not in heard for comment in thread.comments)
    )
    reviews = tuple(
        review
        for review in reading.reviews
        if review.verdict == "changes_requested" and f"review/{review.author}/{review.at_ms}" not in heard
    )
    head = reading.pull_request.head
    checks = tuple(
        check
        for check in reading.checks
        if policy.checks and check.state == "failed" and f"check/{head}/{check.key}" not in heard
    )
    conflicts = reading.conflicts if policy.conflicts and f"conflict/{head}" not in heard else ()
    keys = (
        *(f"comment/{one.id}" for thread in threads for one in thread.comments if f"comment/{one.id}" not in heard),
        *(f"review/{review.author}/{review.at_ms}" for review in reviews),
        *(f"check/{head}/{check.key}" for check in checks),
        *((f"conflict/{head}",) if conflicts else ()),
    )
    return News(keys=keys, threads=threads, reviews=reviews, checks=checks, conflicts=conflicts)


def has_news(pull: Pull, reading: PullRequestReading, policy: ReviewPolicy) -> bool:
    """Whether the scheduler has to know of this reading; also when something is still to be said."""
    seen = reading.pull_request
    if structs.replace(seen, updated_ms=0) != structs.replace(pull.pull_request, updated_ms=0):
        return True
    return bool(pull.answers) or pull.tied != seen.url or bool(news_of(pull, reading, policy).keys)


def has_instructions(pull: Pull, reading: PullRequestReading, policy: ReviewPolicy) -> bool:
    """Whether a reading has news that the agent is to work on."""
    news, heard = news_of(pull, reading, policy), set(pull.heard)
    said = (comment for thread in news.threads for comment in thread.comments if f"comment/{comment.id}" not in heard)
    return bool(news.checks or news.conflicts) or any(
        may_instruct(one.author, policy) for one in (*news.reviews, *(one for one in said if not one.is_ours))
    )


def may_instruct(author: str, policy: ReviewPolicy) -> bool:
    """Whether what this account says in a review is more than context."""
    allowed = {one.casefold() for one in policy.instructions_from}
    return "*" in allowed or (bool(author) and author.casefold() in allowed)


def pull_request_observed(state: State, event: e.PullRequestObserved) -> tuple[d.Decision, ...]:
    """Take in what is new about it."""
    entry, seen = state.entries.get(event.ticket_id), event.reading.pull_request
    if entry is None or state.policy is None or entry.pull is None or entry.pull.pull_request.id != seen.id:
        return ()
    plan, pull = Plan(state, entry, event.at_ms), entry.pull
    known = pull.pull_request
    if structs.replace(seen, updated_ms=0) != structs.replace(known, updated_ms=0):
        plan.add(d.PullRequestNoted(ticket_id=entry.ticket.id, pull_request=seen))
    if entry.phase == "closed":
        return tuple(plan.decisions)  # a look that was under way when it was closed: nothing follows from it any more
    _catch_up(plan, pull, seen)
    if seen.state == "open":
        _hear(plan, pull, event.reading)
        if not any(isinstance(one, d.MessageQueued) for one in plan.decisions):
            consider_merge(plan, event.reading)
    elif known.state == "open" and entry.run is None:
        settle_closed(plan, seen)
    return tuple(plan.decisions)


def _catch_up(plan: Plan, pull: Pull, seen: PullRequest) -> None:
    """What could not be said when it was to be said is said now."""
    pending = list(pending_of(plan.state, plan.ticket.id))
    if pull.tied != seen.url and not any(isinstance(one, c.LinkPullRequest) for one in pending):
        plan.issue(c.LinkPullRequest, pull_request=seen)
    under_way = {one.thread_id for one in pending if isinstance(one, c.AnswerThread)}
    for answer in pull.answers:
        if answer.thread_id not in under_way:
            _say(plan, seen, answer)


def _hear(plan: Plan, pull: Pull, reading: PullRequestReading) -> None:
    policy = plan.policy.review
    news = news_of(pull, reading, policy)
    if not news.keys:
        return
    if sum(one.from_review for one in plan.entry.messages) >= _WAITING_MAX:
        return  # heard when these were given
    heard = set(pull.heard)
    wanted = tuple(
        thread
        for thread in news.threads
        if any(
            not comment.is_ours and f"comment/{comment.id}" not in heard and may_instruct(comment.author, policy)
            for comment in thread.comments
        )
    )
    threads = wanted[: messages.THREADS_MAX]
    later = {f"comment/{one.id}" for thread in wanted[messages.THREADS_MAX :] for one in thread.comments}
    reviews = tuple(review for review in news.reviews if may_instruct(review.author, policy))
    text = messages.review(
        reading.pull_request,
        threads,
        reviews,
        news.checks,
        news.conflicts,
        trusted=lambda author: may_instruct(author, policy),
        rebase=policy.update_by == "rebase",
    )
    wake_ms = 0
    if text:
        said = PersonMessage(
            text=text,
            at_ms=plan.at_ms,
            author=f"the review of pull request {reading.pull_request.id}",
            threads=tuple(thread.id for thread in threads),
            from_review=True,
        )
        plan.add(d.MessageQueued(ticket_id=plan.ticket.id, message=said))
        wake_ms = plan.at_ms + policy.quiet_ms
    keys = tuple(key for key in news.keys if key not in later)
    plan.add(d.ReviewHeard(ticket_id=plan.ticket.id, heard=keys, wake_ms=wake_ms))


def begin_round(plan: Plan) -> None:
    """Nothing new was said for a while: a ticket in review starts again, unless that has happened too often."""
    entry, pull = plan.entry, plan.entry.pull
    assert pull is not None, "the timer of a review is dead without one"
    rests = entry.run is None and entry.phase == "in_review" and pull.pull_request.state == "open"
    waits = rests and any(one.from_review for one in entry.messages)
    rounds = pull.rounds + 1 if waits else pull.rounds
    plan.add(d.RoundsCounted(ticket_id=plan.ticket.id, rounds=rounds))
    if not waits:
        return
    limit = plan.policy.review.max_rounds
    reason = f"its review went back and forth {limit} times (review.max_rounds)" if rounds > limit else ""
    if not reason:
        woken, how = wake(plan)
        reason = "" if woken else f"its review needs work, but {how}"
    if reason:
        park(plan, reason)
