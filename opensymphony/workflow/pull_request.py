"""What the pull request of a ticket says: its title and its body, from the policy's templates.

In: the ticket, and what is known of the work, as Markdown. Out: one line and a text, or a `ConfigurationError`. Text of tickets
and agents can say what it likes there: nobody obeys a pull request.
"""

from __future__ import annotations

from collections.abc import Mapping

from opensymphony.model import Ticket
from opensymphony.schema import Reader
from opensymphony.workflow.policy import Policy, PullRequestPolicy
from opensymphony.workflow.prompt import TEMPLATE_ERROR, Fault, check_text, issue_variables, render_text, sample_ticket

TITLE_CHARS_MAX = 250
BODY_CHARS_MAX = 30_000

DEFAULT_BODY = """\
{% if issue.url %}Ticket: [{{ issue.identifier }}]({{ issue.url }}){% else %}Ticket: {{ issue.identifier }}{% endif %}

{{ summary }}
{% if verification != "" %}
Verification: {{ verification }}
{% endif %}{% if cost != "" %}
Cost: {{ cost }}
{% endif %}{% if words != "" %}
The agent's own words:

{{ words }}
{% endif %}"""

NAMES = ("summary", "verification", "cost", "words")
"""Besides `issue`: the subjects of the commits as a list, how it was checked, what it took, and what the agent said last."""


def render_title(policy: PullRequestPolicy, ticket: Ticket) -> str:
    """One line, cut where hosts would refuse it."""
    text = " ".join(render_text("pull_request.title", policy.title, {"issue": issue_variables(ticket)}).split())
    return (text or ticket.identifier)[:TITLE_CHARS_MAX]


def render_body(policy: PullRequestPolicy, ticket: Ticket, known: Mapping[str, str]) -> str:
    """Markdown."""
    variables = {"issue": issue_variables(ticket), **{name: known.get(name, "") for name in NAMES}}
    return render_text("pull_request.body", policy.body or DEFAULT_BODY, variables)[:BODY_CHARS_MAX]


def check_templates(policy: PullRequestPolicy, reader: Reader) -> None:
    """Note what is wrong with them before any ticket has come."""
    sample = {"issue": issue_variables(sample_ticket())}
    _note(reader, "title", check_text(policy.title, sample))
    if policy.body is not None:
        _note(reader, "body", check_text(policy.body, {**sample, **dict.fromkeys(NAMES, "text")}))


def _note(reader: Reader, key: str, faults: tuple[Fault, ...]) -> None:
    for fault in faults:
        reader.note(f"pull_request.{key}", fault.message, code=TEMPLATE_ERROR)


def check_merge(policy: Policy, reader: Reader) -> None:
    """Note what could never be merged."""
    merge = policy.merge
    if merge.when == "never" or reader.failed("merge", "review.instructions_from"):
        return
    approvers = merge.approvers or policy.review.instructions_from
    if not approvers:
        message = "names nobody, and neither does review.instructions_from: nothing could ever be approved"
        reader.note("merge.approvers", message)
    elif "*" not in approvers and (known := len({one.casefold() for one in approvers})) < merge.approvals:
        reader.note("merge.approvals", f"is {merge.approvals}, but only {known} may approve")
    if policy.code_host is None:
        reader.note("merge.when", "has no effect without code_host: nothing is opened", severity="warning")
