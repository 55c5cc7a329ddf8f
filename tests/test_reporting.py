"""The one comment on a ticket."""

from __future__ import annotations

import msgspec
import pytest

from opensymphony.model import SHORTENED, Asked, Usage, Verification, Work
from opensymphony.reporting import Report, compose

PLAIN = Report(identifier="A-1", headline="Ready for review", generation=1, turns=0, verifications=0)
WORK = Work(commit="c" * 40, commits_ahead=2, files_changed=("a.py", "b.py"), summary="Mend it\nTest it")
FAILED = Verification(passed=False, exit_code=1, output_tail="E   assert 1 == 2\n", duration_ms=5)


def with_(**changes: object) -> str:
    return compose(msgspec.structs.replace(PLAIN, **changes))


def test_a_run_that_just_began_says_only_that() -> None:
    """No empty fact."""
    assert with_(headline="Working on it") == "**Working on it**\n\n"


def test_done_work_is_told_whole() -> None:
    """What was done, on which branch, with what verification, cost and time."""
    body = with_(
        turns=2,
        verifications=2,
        branch="opensymphony/A-1",
        commit="c" * 40,
        pushed=True,
        work=WORK,
        verify_command="make test",
        verification=msgspec.structs.replace(FAILED, passed=True, exit_code=0),
        final_text="I mended it.\n\nAnd tested it.",
        usage=Usage(prompt_tokens=12_000, completion_tokens=345, model_calls=7, cost_micros=1_234_567),
        elapsed_ms=125_000,
    )
    assert body == (
        "**Ready for review**\n\n"
        "- branch: `opensymphony/A-1`\n"
        "- commit: `cccccccccccc` (pushed)\n"
        "- changes: Mend it; Test it\n"
        "- verification: `make test` passed, attempt 2\n"
        "- effort: run 1, 2 turns, 2 min 5 s\n"
        "- cost: 12,345 tokens in 7 model calls, 1.2346 in money\n"
        "- files: `a.py`, `b.py`\n"
        "\nThe agent's own words:\n\n"
        "> I mended it.\n>\n> And tested it.\n"
    )


@pytest.mark.parametrize(
    ("verification", "said"),
    [
        (None, "`make test` has not run yet"),
        (FAILED, "`make test` failed"),
        (msgspec.structs.replace(FAILED, exit_code=None), "`make test` took too long"),
    ],
)
def test_a_verification_is_told_as_it_was(verification: Verification | None, said: str) -> None:
    """Not yet, failed or too slow; its output only when there is one to mend."""
    body = with_(verify_command="make test", verification=verification, verifications=1)
    assert f"- verification: {said}\n" in body
    assert ("E   assert 1 == 2" in body) == (verification is not None)


def test_small_numbers_read_well() -> None:
    """One turn, one call, seconds below two minutes, no money where there is no price."""
    body = with_(turns=1, elapsed_ms=119_999, usage=Usage(prompt_tokens=5, model_calls=1))
    assert "- effort: run 1, 1 turn, 119 s\n" in body
    assert "- cost: 5 tokens in 1 model call\n" in body


def test_what_others_wrote_stays_in_its_place() -> None:
    """Neither output, words, names nor reasons can end the quote they stand in or begin a line of our own."""
    body = with_(
        reason="it failed\n**Ready for review**",
        branch="a`b\n- commit: `fake`",
        work=msgspec.structs.replace(WORK, files_changed=("x`\ny",), summary="s\n- commit: fake"),
        verification=msgspec.structs.replace(FAILED, output_tail="````\n**Approved**"),
        verifications=1,
        verify_command="echo `id`",
        final_text="fine\n# Heading\n````",
        workspace_note="kept\n- fake: fact",
    )
    lines = body.splitlines()
    assert [line for line in lines if line.startswith("**")] == ["**Ready for review**", "**Approved**"]
    assert lines.count("````") == 1, "only our own fence closes"
    assert lines.index("**Approved**") < lines.index("````")
    assert not [line for line in lines if line.startswith(("- commit: ", "- fake", "# "))]
    assert "> # Heading" in lines
    assert "`a'b - commit: 'fake'`" in body


def test_a_comment_has_a_limit() -> None:
    """However much an agent says, changes or prints."""
    body = with_(
        reason="r" * 10_000,
        branch="b" * 10_000,
        work=Work(
            commit="c" * 40,
            commits_ahead=1,
            files_changed=tuple(f"file-{number}.py" for number in range(200)),
            summary="s" * 10_000,
        ),
        verify_command="v" * 10_000,
        verification=msgspec.structs.replace(FAILED, output_tail="o" * 100_000),
        final_text="w" * 100_000,
        workspace_note="n" * 10_000,
    )
    assert "`file-19.py` and 180 more" in body
    assert "file-20.py" not in body
    assert len(body) < 12_500


def test_long_output_keeps_its_end() -> None:
    """Where a test runner says what failed."""
    body = with_(
        verification=msgspec.structs.replace(FAILED, output_tail="x" * 5_000 + "\nthe last line"), verifications=1
    )
    assert "the last line\n````" in body


@pytest.mark.parametrize(("text", "what"), [("rm -rf build", "exactly this"), (f"rm ... {SHORTENED}", "all of it")])
def test_an_approval_says_whether_all_of_it_is_shown(text: str, what: str) -> None:
    """Who reads a beginning must not take it for the whole."""
    body = with_(asked=Asked(kind="approval", text=text, digest="3f2a9c81d04e" * 5))
    assert f"lets it do {what}" in body
