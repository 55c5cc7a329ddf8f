"""Says at the end how much was simulated."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, and apart: a worker takes two at a time."""
    long = [item for item in items if "days_of_trouble" in item.name]
    others = [item for item in items if item not in long]
    if long and others:
        items[:] = [long[0], others[0], *long[1:], *others[1:]]
