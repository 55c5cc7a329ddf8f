"""Numbers for Prometheus."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import structs
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import REGISTRY

from opensymphony import __version__
from opensymphony.api.metrics import FAMILIES
from opensymphony.model import ServerState, TrackerState, Usage
from opensymphony.views import BudgetView, Overlap, PullRequestView
from tests.api.desk import BEARER, SNAPSHOT, Desk, shown

ROOT = Path(__file__).resolve().parents[2]
NAMES = {family.name for family in FAMILIES}
MENTIONED = re.compile(r"\bopensymphony_[a-z_]+\b")


async def scraped(client: httpx.AsyncClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels, as the library's own parser reads it."""
    answer = await client.get("/metrics", headers=BEARER)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def sample(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return f"opensymphony_{name}", tuple(sorted(labels.items()))


def full() -> Any:
    """A picture in which every metric has a number."""
    at_ms = SNAPSHOT.at_ms
    merged = PullRequestView(id="1", url="https://host/1", state="merged")
    return structs.replace(
        SNAPSHOT,
        tickets=(
            *SNAPSHOT.tickets,
            shown("A-8", "waiting_to_start", ready_ms=at_ms - 90_000),
            shown("A-9", "waiting_to_start", ready_ms=at_ms - 30_500, pull_request=merged),
        ),
        server=ServerState(
            status="restarting",
            restarts=3,
            servers=(ServerState(status="ready"), ServerState(status="restarting"), ServerState(status="ready")),
        ),
        spent_day=Usage(prompt_tokens=10, completion_tokens=2, cost_micros=1_500_000, model_calls=1),
        spent_project=Usage(prompt_tokens=100, completion_tokens=20, cost_micros=2_500_000, model_calls=7),
        polled_ms=at_ms - 12_000,
        max_concurrent_agents=4,
        paused=True,
        storage_error="the disk is full",
        budgets=(
            BudgetView(scope="day", unit="cost_micros", limit=20_000_000, spent=1_500_000, reserved=0),
            BudgetView(scope="project", unit="tokens", limit=1_000, spent=120, reserved=0),
        ),
        tracker=TrackerState(requests=12, refused=2, remaining=88, paused_until_ms=at_ms + 4_000),
        overlaps=(Overlap(tickets=("A-1", "A-2"), files=("a.py",)),),
    )


async def test_every_number_is_that_of_the_picture(client: httpx.AsyncClient, desk: Desk) -> None:
    """Tickets by phase, the queue, what was spent, the tracker, servers, webhooks; ages in seconds, money in whole units."""
    desk.picture = full()
    desk.reason = "the daemon's disk is in trouble"
    found = await scraped(client)
    wanted = {
        sample("build_info", version=__version__): 1,
        sample("status", status="running"): 1,
        sample("status", status="draining"): 0,
        sample("ready"): 0,
        sample("paused"): 1,
        sample("records_total"): 7,
        sample("tickets", phase="waiting_to_start"): 3,
        sample("tickets", phase="needs_person"): 1,
        sample("runs"): 2,
        sample("places"): 4,
        sample("queue_tickets"): 2,
        sample("queue_oldest_seconds"): 90,
        sample("turns"): 2,
        sample("failures"): 3,
        sample("spent_tokens", period="day", kind="prompt"): 10,
        sample("spent_tokens", period="project", kind="completion"): 20,
        sample("spent_cost", period="day"): 1.5,
        sample("spent_cost", period="project"): 2.5,
        sample("model_calls", period="project"): 7,
        sample("budget_limit", scope="day", unit="cost"): 20,
        sample("budget_spent", scope="day", unit="cost"): 1.5,
        sample("budget_spent", scope="project", unit="tokens"): 120,
        sample("tracker_requests_total"): 12,
        sample("tracker_refused_total"): 2,
        sample("tracker_remaining"): 88,
        sample("tracker_pause_seconds"): 4,
        sample("poll_age_seconds"): 12,
        sample("poll_error"): 1,
        sample("policy_error"): 0,
        sample("storage_error"): 1,
        sample("ticket_problems"): 1,
        sample("overlaps"): 1,
        sample("pull_requests", state="merged"): 1,
        sample("pull_requests", state="open"): 0,
        sample("agent_servers", status="ready"): 2,
        sample("agent_servers", status="failed"): 0,
        sample("agent_server_restarts_total"): 3,
        sample("webhooks_accepted_total"): 4,
        sample("webhooks_settled_total", outcome="looked"): 3,
        sample("webhooks_settled_total", outcome="failed"): 0,
        sample("webhooks_refused_total", reason="signature"): 3,
    }
    assert {key: found.get(key) for key in wanted} == wanted
    assert {name for name, _ in found} == NAMES


async def test_what_is_not_known_has_no_number(client: httpx.AsyncClient, desk: Desk) -> None:
    """Before the first poll, without limits and without webhooks there is nothing to tell: an alert must not see a 0."""
    desk.ingress = None
    absent = {
        "poll_age_seconds",
        "tracker_requests_total",
        "tracker_remaining",
        "tracker_pause_seconds",
        "budget_limit",
        "webhooks_accepted_total",
        "webhooks_refused_total",
        "webhooks_settled_total",
    }
    found = {name for name, _ in await scraped(client)}
    assert found & {f"opensymphony_{name}" for name in absent} == set()
    assert "opensymphony_tickets" in found


async def test_nothing_of_a_ticket_is_told(client: httpx.AsyncClient, desk: Desk) -> None:
    """Neither names nor titles, addresses or what went wrong: numbers go to places where tickets must not be read."""
    desk.picture = full()
    text = (await client.get("/metrics", headers=BEARER)).text
    assert not [
        word for word in ("A-1", "title", "tracker/", "ran the tests", "which way", "a.py", "127.0.0.1") if word in text
    ]


async def test_each_has_its_help_and_the_name_that_its_kind_wants(client: httpx.AsyncClient, desk: Desk) -> None:
    """A counter ends in `_total` and nothing else does."""
    desk.picture = full()
    text = (await client.get("/metrics", headers=BEARER)).text
    for family in FAMILIES:
        assert f"# HELP {family.name} {family.meaning}\n" in text
        assert f"# TYPE {family.name} {family.kind}\n" in text
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert {"ticket", "identifier", "title"}.isdisjoint(family.labels)


async def test_nothing_is_kept_in_the_library(client: httpx.AsyncClient) -> None:
    """Each answer has a registry of its own: two daemons in one process tell their own numbers."""
    before = {family.name for family in REGISTRY.collect()}
    await scraped(client)
    assert {family.name for family in REGISTRY.collect()} == before
    assert not [name for name in before if name.startswith("opensymphony")]


def test_the_dashboard_shows_exactly_these() -> None:
    """A metric that nobody sees, or a panel that stays empty, is a mistake."""
    dashboard = json.loads((ROOT / "docs" / "grafana" / "opensymphony.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert {name for expression in expressions for name in MENTIONED.findall(expression)} == NAMES
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    asked = [variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    assert asked and all(set(MENTIONED.findall(one)) == {"opensymphony_build_info"} for one in asked)


@pytest.mark.parametrize("label", ["phase", "status", "reason"])
def test_the_alerts_are_about_metrics_that_exist(label: str) -> None:
    """With labels that these have."""
    page = (ROOT / "docs" / "operations.md").read_text().partition("## Metrics and alerts")[2].partition("\n## ")[0]
    expressions = re.findall(r"expr: (.*)", page)
    assert len(expressions) >= 10
    assert {name for one in expressions for name in MENTIONED.findall(one)} <= NAMES
    used = [name for one in expressions for name in re.findall(rf"(opensymphony_\w+){{{label}=", one)]
    assert used and all(label in family.labels for family in FAMILIES if family.name in used)
