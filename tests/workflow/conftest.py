"""A loader with fixed surroundings."""

import pytest

from opensymphony.workflow import load


@pytest.fixture
def read():
    """Load a front matter (without its fences) and a prompt, below the tracker that every policy needs."""

    def load_text(front="", body="Do {{ issue.identifier }}.", environment=None, tracker=True):
        head = "tracker: {kind: files, provider: {path: board}}\n" if tracker else ""
        text = f"---\n{head}{front}\n---\n{body}\n"
        return load(text, "WORKFLOW.md", environment or {}, "/h/someone", "/project")

    return load_text


@pytest.fixture
def told(read):
    """The problems of a front matter as `(severity, key, line)`."""

    def problems(front, **keywords):
        return [(problem.severity, problem.key, problem.line) for problem in read(front, **keywords).problems]

    return problems
