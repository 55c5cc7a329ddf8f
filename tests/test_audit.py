"""The audit of both environments, over a pip-audit that is played by a script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import audit

KNOWS = {"name": "jinja2", "version": "2.10", "vulns": [{"id": "CVE-1"}]}
CLEAN = {"name": "fine", "version": "1.0", "vulns": []}
SKIPPED = {"name": "odd", "skip_reason": "not found"}


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What the source of advisories answers about the probe, and about everything else."""

    def answers(probe: object, others: object) -> None:
        for name, packages in (("probe", probe), ("others", others)):
            text = json.dumps({"dependencies": packages}) if isinstance(packages, list) else str(packages)
            (tmp_path / name).write_text(text)
        program = tmp_path / "pip-audit"
        program.write_text(
            f'#!/bin/sh\ncase "$*" in *--local*|*requirements.txt*) cat {tmp_path}/others ;; *) cat {tmp_path}/probe ;; esac\n'
            "echo 'no route to host' >&2\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        monkeypatch.setattr(audit, "ACCEPTED", tmp_path / "accepted.txt")
        (tmp_path / "accepted.txt").write_text("# a comment\n\n")

    return answers


def test_no_findings_pass(play, capsys: pytest.CaptureFixture[str]) -> None:
    """A source that knows its business and finds nothing lets the check pass."""
    play([KNOWS], [CLEAN])
    assert audit.main() == 0
    assert capsys.readouterr().out.count("0 known vulnerabilities, 0 not accepted") == 2


def test_a_finding_fails_until_it_is_accepted_with_a_reason(
    play, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A known vulnerability fails the check; a line with package, advisory and reason lets it pass and is printed."""
    play([KNOWS], [KNOWS, CLEAN])
    assert audit.main() == 1
    assert "jinja2 2.10: CVE-1: NOT ACCEPTED" in capsys.readouterr().out
    (tmp_path / "accepted.txt").write_text("jinja2 CVE-1 we render no template of a stranger\n")
    assert audit.main() == 0
    assert "we render no template of a stranger" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("probe", "reason"), [([SKIPPED], "does not even know"), ([CLEAN], "does not even know"), ("", "no route to host")]
)
def test_an_answer_that_proves_nothing_is_not_run(
    play, capsys: pytest.CaptureFixture[str], probe: object, reason: str
) -> None:
    """Without a network, or with an index that has no advisories, the audit says that it was not run."""
    play(probe, [CLEAN])
    assert audit.main() == 0
    out = capsys.readouterr().out
    assert out.startswith("audit: not run (")
    assert reason in out


def test_packages_nothing_is_known_about_are_named(play, capsys: pytest.CaptureFixture[str]) -> None:
    """A package that the source skips is not counted as passed."""
    play([KNOWS], [CLEAN, SKIPPED])
    audit.main()
    assert "not run for 1 packages the source does not know: odd" in capsys.readouterr().out
