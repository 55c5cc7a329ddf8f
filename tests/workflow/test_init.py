"""The loader as a whole: no text makes it fail, and lines are right."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensymphony.schema import key_paths
from opensymphony.workflow import load
from opensymphony.workflow.policy import Policy

ROOT = Path(__file__).resolve().parents[2]
YAMLISH = st.text(alphabet="abk:-[]{}#&*!|>'\"%@`,? \n\t0159.~<=$", max_size=80)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just("$HOME")
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
KEYS = st.sampled_from([*key_paths(Policy), "codex.stall_timeout_ms", "openhands.mcp", "tracker.api_key", "worker"])


def loaded(text):
    """Load, and check what holds for every file."""
    result = load(text, "WORKFLOW.md", {"HOME": "/h"}, "/h", "/p")
    errors = [problem for problem in result.problems if problem.severity == "error"]
    assert (result.policy is None) == bool(errors)
    lines = (
        (text.decode("utf-8", "replace") if isinstance(text, bytes) else text).replace("\r\n", "\n").replace("\r", "\n")
    )
    for problem in result.problems:
        assert problem.line is None or 1 <= problem.line <= lines.count("\n") + 1
        assert "\n" not in problem.message
    return result


@given(st.text() | st.binary())
def test_any_text_gives_problems_and_never_fails(text):
    """The loader is fed by editors."""
    loaded(text)


@given(YAMLISH, st.text(max_size=30))
def test_any_front_matter_gives_problems_and_never_fails(front, body):
    """YAML has many corners."""
    loaded(f"---\n{front}\n---\n{body}")


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_value_of_any_key_gives_problems_and_never_fails(values):
    """Each key copes with each type."""
    import io

    from ruamel.yaml import YAML

    tree = {"tracker": {"kind": "files", "provider": {"path": "a"}}}
    for path, value in values.items():
        section = tree
        *parents, last = path.split(".")
        for parent in parents:
            section = section.setdefault(parent, {}) if isinstance(section.get(parent, {}), dict) else {}
        section[last] = value
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump(tree, out)
    loaded(f"---\n{out.getvalue()}---\nprompt")


@given(st.integers(0, 30), st.sampled_from(["\n", "\r\n", "\r"]))
def test_the_line_of_a_problem_is_that_of_the_editor(above, end):
    """Whatever stands above it."""
    rows = [
        "---",
        "tracker: {kind: files, provider: {path: a}}",
        *["# 'x"] * above,
        "agent:",
        "  max_turns: many",
        "---",
        "x",
    ]
    (problem,) = loaded(end.join(rows)).problems
    assert (problem.key, problem.line) == ("agent.max_turns", above + 4)


@pytest.mark.parametrize("blank", [0, 1, 5])
def test_the_line_of_a_problem_in_the_prompt_is_that_of_the_file(blank):
    """Blank lines above the prompt count."""
    text = "---\ntracker: {kind: files, provider: {path: a}}\n---\n" + "\n" * blank + "one\n{{ two }}\n"
    (problem,) = loaded(text).problems
    assert (problem.key, problem.line) == ("prompt", 5 + blank)


@pytest.mark.parametrize("path", sorted((ROOT / "workflows").glob("*/WORKFLOW.md")), ids=lambda path: path.parent.name)
def test_each_ready_policy_loads(path: Path) -> None:
    """As it is, with nothing but the site's address around it, and without a word to say about it."""
    environment = {"JIRA_URL": "https://acme.atlassian.net", "JIRA_USER_EMAIL": "agent@example.com"}
    loaded = load(path.read_text(), "WORKFLOW.md", environment, "/h/someone", "/project")
    assert loaded.problems == ()
    assert loaded.policy is not None
    kinds = [loaded.policy.tracker.kind, *([loaded.policy.code_host.kind] if loaded.policy.code_host else [])]
    assert kinds == path.parent.name.split("-")
