"""When a pull request is merged by itself: where the policy wants it, once everything that it asks for holds at one reading.

What is merged is the commit that we have checked and pushed, approved as it is. Whatever is not certain keeps it from being
merged, and the picture says what: an approval of an earlier commit is none, and a check that is still running has not passed.
"""

from __future__ import annotations

import hashlib

from opensymphony.model import PullRequest, PullRequestReading, is_same_commit
from opensymphony.scheduler import commands as c
from opensymphony.scheduler import decisions as d
from opensymphony.scheduler import events as e
from opensymphony.scheduler.eligibility import among, ours_rules
from opensymphony.scheduler.endings import settle_closed
from opensymphony.scheduler.plan import Plan
from opensymphony.scheduler.state import Entry, State, pending_of
from opensymphony.workflow.policy import Policy

_NAME_CHARS_MAX = 80


def is_merge_news(state: State, entry: Entry, reading: PullRequestReading) -> bool:
    """Whether a reading changes anything about the merge, so that the scheduler has to know of it."""
    pull, policy = entry.pull, state.policy
    if pull is None or policy is None or policy.merge.when == "never" or _is_merging(state, entry):
        return False
    reason = why_unmerged(state, entry, policy, reading)
    return reason != pull.unmerged if reason else circumstances(reading) != pull.refused


def why_unmerged(state: State, entry: Entry, policy: Policy, reading: PullRequestReading) -> str:
    """What keeps it from being merged now, for a person; empty when nothing does.

    Asked when it is decided, and once more right before it is done, which may be days later.
    """
    seen, base = reading.pull_request, policy.repository.base if policy.repository is not None else ""
    if policy.merge.when == "never":
        return "the policy leaves it to people (merge.when)"
    for one in state.entries.values():  # tickets that share a branch share a pull request
        shares = one.pull is not None and one.pull.pull_request.id == seen.id and one.phase != "closed"
        if (shares or one is entry) and (waits := _why_waiting(state, one, policy)):
            return waits if one is entry else f"{one.ticket.identifier} has it too: {waits}"
    if seen.is_draft:
        return "it is a draft"
    if seen.base != base:
        return f"it is to be merged into {seen.base[:_NAME_CHARS_MAX]}, and not into {base} (repository.base)"
    if entry.commit is None or not is_same_commit(seen.head, entry.commit):
        return "its branch is not at the commit that was checked and pushed here"
    if reading.conflicts:
        return f"it conflicts with {seen.base}"
    return _unchecked(policy, reading) or _unapproved(policy, reading)


def _why_waiting(state: State, entry: Entry, policy: Policy) -> str:
    """What about the ticket itself keeps its pull request from being merged."""
    pull, ticket = entry.pull, entry.ticket
    assert pull is not None, "nothing is merged without a pull request"
    if entry.paused or state.paused:
        return "it is paused"
    if entry.run is not None or entry.phase != "in_review":
        return "its ticket is not in review"
    if entry.messages or pull.owed or pull.answers:
        return "what was said about it is not worked on yet"
    taken = next((against for name, against in ours_rules(ticket, policy) if against and name != "state"), "")
    places = (*policy.tracker.active_states, policy.reporting.transitions.succeeded or "")
    if not taken and not among(ticket.state, places):
        taken = f"its state is {ticket.state}"
    return f"its ticket was taken away: {taken}" if taken else ""


def circumstances(reading: PullRequestReading) -> str:
    """What a code host that refuses may have refused because of: only when that changes is it asked again."""
    seen = reading.pull_request
    approvals = sorted(review.author for review in reading.reviews if review.verdict == "approved")
    checks = sorted(f"{check.key}={check.state}" for check in reading.checks)
    told = " ".join([seen.head, seen.base, str(seen.updated_ms), *approvals, *checks])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def consider_merge(plan: Plan, reading: PullRequestReading) -> None:
    """Merge it, or note why not."""
    entry, pull = plan.entry, plan.entry.pull
    if pull is None or plan.policy.merge.when == "never" or not is_merge_news(plan.state, entry, reading):
        return
    reason = why_unmerged(plan.state, entry, plan.policy, reading)
    plan.add(d.MergeAwaited(ticket_id=plan.ticket.id, reason=reason))
    if not reason:
        plan.issue(
            c.MergePullRequest,
            pull_request_id=reading.pull_request.id,
            head=reading.pull_request.head,
            method=plan.policy.merge.method,
            circumstances=circumstances(reading),
        )


def merged(plan: Plan, pull_request: PullRequest) -> None:
    """It is merged, by us or by somebody who was quicker; somebody's reading may have said so before."""
    pull = plan.entry.pull
    if pull is None or pull.pull_request.id != pull_request.id or pull.pull_request.state != "open":
        return
    plan.add(d.PullRequestNoted(ticket_id=plan.ticket.id, pull_request=pull_request))
    if plan.entry.run is None and plan.entry.phase != "closed":
        settle_closed(plan, pull_request)


def merge_failed(plan: Plan, command: c.MergePullRequest, event: e.CommandFailed) -> None:
    """The next look at it tries again after mere trouble; what was refused waits for something else to be so."""
    pull = plan.entry.pull
    if pull is None or pull.pull_request.id != command.pull_request_id:
        return
    again = event.error_class == "retry"
    reason = f"the code host could not be asked: {event.error}" if again else f"the code host refuses it: {event.error}"
    refused = "" if again else command.circumstances
    plan.add(d.MergeAwaited(ticket_id=plan.ticket.id, reason=reason, refused=refused, again=again))


def _is_merging(state: State, entry: Entry) -> bool:
    return any(isinstance(one, c.MergePullRequest) for one in pending_of(state, entry.ticket.id))


def _unchecked(policy: Policy, reading: PullRequestReading) -> str:
    """Every check that there is has passed, and those that must be there are."""
    for state, words in (("failed", "has failed"), ("pending", "is still running")):
        found = sorted(check.name or check.key for check in reading.checks if check.state == state)
        if found:
            return f"the check {found[0][:_NAME_CHARS_MAX]} {words}"
    passed = {name for check in reading.checks for name in (check.name, check.key)}
    missing = [name for name in policy.merge.required_checks if name not in passed]
    if missing:
        return f"the check {missing[0]} has not been seen"
    if not reading.checks and not policy.merge.without_checks:
        return "no check has passed yet"
    return ""


def _unapproved(policy: Policy, reading: PullRequestReading) -> str:
    if any(review.verdict == "changes_requested" for review in reading.reviews):
        return "somebody asks for changes"
    approvers = {one.casefold() for one in policy.merge.approvers or policy.review.instructions_from}
    counted = {
        review.author
        for review in reading.reviews
        if review.verdict == "approved"
        and not review.is_ours
        and ("*" in approvers or review.author.casefold() in approvers)
        and is_same_commit(review.commit, reading.pull_request.head)
    }
    wanted = policy.merge.approvals
    if len(counted) >= wanted:
        return ""
    return f"{len(counted)} of {wanted} {'approval' if wanted == 1 else 'approvals'} of its newest commit"
