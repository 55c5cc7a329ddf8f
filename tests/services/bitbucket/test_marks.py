"""The lines by which our own words are known."""

from __future__ import annotations

from opensymphony.services.bitbucket.marks import carries, mark, signed, unsigned, without_mentions


def test_a_signed_text_carries_its_marker_and_no_other() -> None:
    """And is the same text again without it."""
    text = signed("done\n", "status")
    assert text == "done\n\n[//]: # (opensymphony:status)"
    assert carries(text, "status") and carries(f"{text}\n", "status")
    assert not carries(text, "statu") and not carries("done", "status")
    assert unsigned(text) == "done"


def test_a_line_within_the_text_counts_for_nothing() -> None:
    """An agent that writes such a line names no other comment than its own."""
    text = signed(f"x\n\n{mark('other')}", "status")
    assert carries(text, "status") and not carries(text, "other")


def test_a_marker_stays_one_line() -> None:
    """Whatever it is made of."""
    assert mark("a)\n[x]: b") == "[//]: # (opensymphony:a---x-:-b)"


def test_nobody_is_mentioned() -> None:
    """`@{account}` tells an account; a name with an @ does not."""
    assert "@{" not in without_mentions("see @{557058:1} and @ada")
    assert without_mentions("see @ada") == "see @ada"
