"""The text of the demo's repository."""

import ast

from opensymphony.demo.template import FILES


def test_every_python_file_is_python_of_the_oldest_version_promised() -> None:
    """Whatever Python a newcomer has, the demo's tests run."""
    sources = {path: text for path, text in FILES.items() if path.endswith(".py")}
    assert len([path for path in sources if path.startswith("tests/test_demo_")]) == 4
    for path, text in sources.items():
        ast.parse(text, filename=path, feature_version=(3, 8))
