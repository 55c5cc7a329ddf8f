"""The parts of a ticket's page."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from opensymphony.model import SHORTENED, Usage
from opensymphony.tui import sections
from opensymphony.tui.blocks import Block, seen_lines
from opensymphony.views import Changes, PullRequestView
from tests.tui.scenes import APPROVAL, CHANGES, CHECKS, FORGED, HOSTILE, NOW_MS, TICKETS, TIMELINE, explained


def text(blocks: Sequence[Block]) -> str:
    return "\n".join(line.plain for block in blocks for line in seen_lines(block, True))


def test_the_overview_says_why() -> None:
    """The sentence, what is asked and how to answer, each condition, what is being done, how it went before."""
    said = text(sections.overview(explained(TICKETS[0]), NOW_MS))
    assert said.startswith("the agent asks a question  for 12m") and "m answers it" in said
    assert "  ✗ capacity  all 3 places are taken  for 2m" in said
    assert "await turn (id-SHOP-131#1/7/await-turn)" in said and "run 1: the agent ended with an error" in said
    approval = structs.replace(TICKETS[1], asked=structs.replace(APPROVAL, expires_ms=NOW_MS))
    said = text(sections.overview(explained(approval), NOW_MS))
    assert "wants an approval for  expired" in said and "a approves, d rejects  (digest 4f1c2a9be07d)" in said


def test_what_is_asked_is_shown_whole() -> None:
    """However long it is, with nothing dropped; where its beginning is all there is, that is said."""
    long = structs.replace(TICKETS[1], asked=structs.replace(APPROVAL, text=f"run {'x' * 3_900}\ufe0f last"))
    said = text(sections.overview(explained(long), NOW_MS))
    assert r"x\ufe0f last" in said and "beginning" not in said
    cut = structs.replace(TICKETS[1], asked=structs.replace(APPROVAL, text=f"run ... {SHORTENED}"))
    assert "57m left  only the beginning is shown" in text(sections.overview(explained(cut), NOW_MS))


def test_facts_that_are_known_are_told() -> None:
    """Those that are not are left out."""
    view = structs.replace(
        TICKETS[6],
        error="it broke",
        started_ms=NOW_MS - 120_000,
        ended_ms=NOW_MS - 60_000,
        due_ms=NOW_MS + 60_000,
        messages=2,
        paused=True,
        generation=1,
        pull_request=PullRequestView(
            id="57", url="u", state="open", rounds=2, open_threads=1, starts_ms=NOW_MS + 5_000
        ),
    )
    said = text(sections.overview(explained(view), NOW_MS))
    for fact in (
        "it broke",
        "state         In Review, paused",
        "run           1, 3 turns, 0 verifications",
        "started       2023-11-14 22:11:20, took 1m",
        "next try      in 1m, 22:14:20",
        "commit        9c1f0a77b1, verified",
        "messages      2 wait for the agent's next turn",
        "pull request  O opens it",
        "state         open, 2 rounds of review",
        "threads       1 without an answer",
        "restarts      in 5s",
    ):
        assert fact in said, said
    assert "workspace" not in said


def test_costs_stand_beside_their_limits() -> None:
    """As bars with figures; where nothing is limited it says how."""
    found = explained(structs.replace(TICKETS[2], usage=Usage(cache_read_tokens=5_000, reasoning_tokens=7)))
    said = text(sections.cost(found))
    assert "ticket        " + "█" * 20 + "░" * 4 + "  1.70 of 2.00, 85%" in said
    assert "cache         5.0k read, 0 written" in said and "reasoning     7 tokens" in said
    assert "no limit concerns it" in text(sections.cost(structs.replace(found, budgets=())))


def test_a_timeline_tells_days_and_failures() -> None:
    """Newest first; that there is more, or nothing."""
    said = text(sections.timeline(TIMELINE.entries, True))
    assert said.startswith("2023-11-14\n  22:12:20  run 1  the agent works\n  22:11:20  run 1  ✗ its check failed")
    assert said.endswith("page down loads them")
    early = structs.replace(TIMELINE.entries[2], at_ms=NOW_MS - 86_400_000, generation=None)
    assert "\n\n2023-11-13\n  22:13:20  run 1 started" in text(sections.timeline([*TIMELINE.entries[:1], early], False))
    assert text(sections.timeline([], False)) == "nothing has happened yet"


def test_changes_stand_file_by_file() -> None:
    """With how many lines came and went; what is new and not committed by name; what was cut is said."""
    blocks = sections.changes(CHANGES)
    assert [block.head[-1].plain for block in blocks if block.head] == [
        "src/basket.py  +1 -1",
        "tests/test_basket.py  +2 -0",
    ]
    assert text(blocks).endswith("?? notes.txt")
    assert text(sections.changes(Changes(diff=""))) == "nothing is changed"
    assert text(sections.changes(Changes(diff="x", truncated=True))).endswith("the diff is longer than what is sent")
    many = "".join(f"diff --git a/f{at} b/f{at}\n+x\n" for at in range(505))
    assert "5 more files" in text(sections.changes(Changes(diff=many)))


def test_checks_show_the_end_of_their_output() -> None:
    """Of the newest more than of the others."""
    blocks = sections.checks(CHECKS.verifications)
    assert text(blocks).startswith("✗ failed, exit code 1  run 1, 2023-11-14 22:11:20\n  tests/test_basket.py::test_01")
    assert "✓ passed, exit code 0" in text(blocks)
    seen = "\n".join(line.plain for line in seen_lines(blocks[0], False))
    assert "… 12 more lines" in seen and seen.endswith("2 failed, 39 passed")
    assert text(sections.checks(())) == "nothing was verified yet"


def test_nothing_is_obeyed() -> None:
    """Of a ticket, a rule, a diff, an output, a sentence."""
    found = explained(
        structs.replace(HOSTILE.tickets[0], branch=FORGED, activity=FORGED, error=FORGED, workspace=FORGED)
    )
    found = structs.replace(
        found,
        sentence=FORGED,
        pending=(FORGED,),
        history=(FORGED,),
        rules=tuple(structs.replace(rule, name=FORGED, text=FORGED) for rule in found.rules),
        budgets=tuple(structs.replace(budget, scope=FORGED) for budget in found.budgets),
    )
    blocks = [
        *sections.overview(found, NOW_MS),
        *sections.cost(found),
        *sections.timeline([structs.replace(TIMELINE.entries[0], text=FORGED)], False),
        *sections.changes(Changes(diff=f"diff --git a/{FORGED} b/x\n+{FORGED}\n?? {FORGED}")),
        *sections.checks([structs.replace(CHECKS.verifications[0], output=FORGED)]),
    ]
    assert all(line.plain.isprintable() for block in blocks for line in seen_lines(block, True))
    assert "[@click=app.quit]here[/]" in text(blocks)
