"""The policies of a day: drawn at its start, and edited while it lasts."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from opensymphony.workflow.policy import (
    AgentPolicy,
    BudgetLimit,
    BudgetPolicy,
    CodeHostPolicy,
    ConversationAgentPolicy,
    ConversationPolicy,
    HooksPolicy,
    LlmPolicy,
    MergePolicy,
    NotifyPolicy,
    OpenHandsPolicy,
    Policy,
    ReportingPolicy,
    RepositoryPolicy,
    ReviewPolicy,
    TrackerPolicy,
    TransitionsPolicy,
    VerifyPolicy,
)
from tests.simulation.faults import Scenario
from tests.simulation.server import INPUT_MAX, OUTPUT_MAX

_CALL = INPUT_MAX + OUTPUT_MAX


def drawn(random: Random, scenario: Scenario) -> Policy:
    """A policy in which every stage and every limit has something to do, more or less."""
    llm = LlmPolicy(
        max_input_tokens=INPUT_MAX,
        max_output_tokens=OUTPUT_MAX,
        input_cost_per_token_micros=2.0,
        output_cost_per_token_micros=8.0,
    )
    return Policy(
        tracker=TrackerPolicy(
            kind="files",
            active_states=("Todo", "In Progress"),
            terminal_states=("Done", "Cancelled"),
            required_labels=random.choice([(), (), ("agent",)]),
            assignee=random.choice([None, "agent"]),
            instructions_from=("boss",),
        ),
        repository=random.choice(
            [None, RepositoryPolicy(url="/r"), RepositoryPolicy(url="/r", push=random.random() < 0.8)]
        ),
        code_host=CodeHostPolicy(kind="bitbucket") if scenario.seed % 3 else None,
        review=ReviewPolicy(instructions_from=("boss",), max_rounds=3),
        merge=MergePolicy(when="approved" if scenario.seed % 2 else "never"),
        hooks=HooksPolicy(before_run=random.choice([None, "true"]), after_run=random.choice([None, "true", "true"])),
        agent=_agent(random),
        verify=VerifyPolicy(command=random.choice([None, "make test", "make test"])),
        reporting=_reporting(random),
        budget=budget(random) if scenario.has("budgets") else BudgetPolicy(),
        notify=NotifyPolicy(command=random.choice([None, "notify"])),
        openhands=OpenHandsPolicy(
            conversation=ConversationPolicy(
                reuse_policy=random.choice(["per_issue", "per_issue", "fresh_each_run"]),
                agent=ConversationAgentPolicy(llm=llm),
            )
        ),
        prompt="Do {{ issue.title }}.",
    )


def _agent(random: Random) -> AgentPolicy:
    return AgentPolicy(
        max_concurrent_agents=random.randint(2, 8),
        max_concurrent_agents_by_state=random.choice([{}, {"in progress": random.randint(1, 4)}, {"todo": 2}]),
        max_concurrent_agents_by_label=random.choice([{}, {"db": 1}, {"db": 2, "ui": 1}]),
        max_turns=random.choice([2, 4, 20]),
        max_failures=random.choice([2, 3, 5]),
        max_run_ms=random.choice([None, None, 1_800_000]),
        tool_timeout_ms=random.choice([900_000, 1_800_000]),
        max_actions_without_progress=random.choice([0, 20, 150]),
    )


def _reporting(random: Random) -> ReportingPolicy:
    draw = random.random()
    interval_ms = 0 if draw < 0.3 else 60_000 if draw < 0.6 else 600_000
    return ReportingPolicy(comment=draw < 0.9, comment_interval_ms=interval_ms, transitions=_transitions(random))


def _transitions(random: Random) -> TransitionsPolicy:
    return TransitionsPolicy(
        started=random.choice([None, "In Progress", "In Progress"]),
        succeeded=random.choice([None, "In Review", "In Review", "In Review"]),
        needs_attention=random.choice([None, "Backlog"]),
        merged="Done",
    )


def budget(random: Random) -> BudgetPolicy:
    """Limits of which some are reached on an ordinary day."""

    def limit(calls: int) -> BudgetLimit:
        draw = random.random()
        if draw < 0.45:
            return BudgetLimit()
        tokens = int(calls * _CALL * random.uniform(0.5, 2.0))
        return BudgetLimit(tokens=tokens) if draw < 0.85 else BudgetLimit(cost=tokens * 6 / 1_000_000)

    return BudgetPolicy(run=limit(12), ticket=limit(30), day=limit(400), project=limit(3_000))


def edited(random: Random, scenario: Scenario, policy: Policy) -> Policy:
    """One thing of it changed."""
    match random.randrange(7):
        case 0 | 1:
            return replace(policy, agent=_agent(random))
        case 2 if scenario.has("budgets"):
            return replace(policy, budget=budget(random))
        case 3:
            tracker = replace(policy.tracker, required_labels=random.choice([(), (), ("agent",)]))
            return replace(policy, tracker=tracker)
        case 4:
            states = random.choice([("Todo", "In Progress"), ("Todo", "In Progress", "Rework")])
            return replace(policy, tracker=replace(policy.tracker, active_states=states))
        case 5:
            hooks = HooksPolicy(before_run=random.choice([None, "true"]), after_run=random.choice([None, "true"]))
            return replace(policy, hooks=hooks, verify=VerifyPolicy(command=random.choice([None, "make test"])))
        case _:
            return replace(policy, reporting=_reporting(random))
