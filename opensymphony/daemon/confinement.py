"""Which isolation agents, hooks and checks run in: what the policy asks for, what works here, what the host's owner adds."""

from __future__ import annotations

import os
from pathlib import Path

from opensymphony.isolation import Isolation, choose
from opensymphony.settings import Settings
from opensymphony.workflow.policy import Policy


def chosen_isolation(policy: Policy, settings: Settings) -> Isolation:
    """The isolation in force. Raises `ConfigurationError` when the policy asks for one that does not work here. Blocking."""
    return Isolation(
        level=choose(policy.isolation, settings.workflow_path),
        readable=settings.isolation.readable,
        writable=settings.isolation.writable,
        hidden=(str(Path.home()), settings.store_dir, policy.workspace.root),
    )


def is_root() -> bool:
    return os.geteuid() == 0
