"""What can go wrong, as one tree.

    OpenSymphonyError
    ├── ConfigurationError      a file of the user is wrong: every problem at once, each with file, key and line
    ├── ServiceError            a tracker, code host or chat did not do what was asked
    │   ├── Unreachable         no connection, a time-out, a 5xx: worth another try
    │   ├── Refused             credentials or permissions: a person has to act
    │   ├── NotFound            the thing is gone or was never visible to us
    │   ├── RateLimited         come back later, perhaps after `retry_after_ms`
    │   └── BadAnswer           the service answered what its contract does not allow
    ├── AgentServerError        the agent-server could not be started, reached or understood
    ├── WorkspaceError          a directory, a hook or git failed
    ├── StoreError              the journal cannot be read or written
    │   └── StoreUnwritable     there is no room to write, for now: the same write may succeed later
    ├── InstanceError           another daemon already owns this store, workspace root or port
    └── InstallationError       the pinned agent-server environment is missing, damaged or cannot be made

Exceptions stop at `daemon/executor.py`, which turns them into an event; an outcome that is expected is a value, never an
exception. The text of each is one line for a person: cause, place, what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

ErrorClass = Literal["retry", "person", "final", "server"]
"""What helps after a failure: another try (`retry`), an answer from a person (`person`), or nothing (`final`); `server`: the
agent-server was given up, which is no ticket's fault."""


class OpenSymphonyError(Exception):
    """Root of everything we raise on purpose; `str()` is one line for a person."""

    error_class: ErrorClass = "retry"


class Problem(Struct, frozen=True, kw_only=True):
    """One thing wrong in one place of a file that a person wrote."""

    file: str
    message: str
    key: str | None = None
    line: int | None = None
    severity: Literal["error", "warning"] = "error"
    code: str | None = None
    """Stable name for programs, such as `workflow_parse_error`."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line is not None else self.file
        key = f" {self.key}:" if self.key else ""
        return f"{place}:{key} {self.message}"


class ConfigurationError(OpenSymphonyError):
    """Raised with every problem found, not with the first."""

    error_class = "person"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class ServiceError(OpenSymphonyError):
    """Raised when a service did not do what was asked."""

    def __init__(self, service: str, message: str, *, retry_after_ms: int | None = None) -> None:
        self.service = service
        self.retry_after_ms = retry_after_ms
        super().__init__(f"{service}: {message}")


class Unreachable(ServiceError):
    """Raised on a refused connection, a time-out or a 5xx answer."""


class Refused(ServiceError):
    """Raised when credentials or permissions do not suffice."""

    error_class = "person"


class NotFound(ServiceError):
    """Raised when the thing asked for does not exist or is not visible."""

    error_class = "final"


class RateLimited(ServiceError):
    """Raised when the service asks to come back later."""


class BadAnswer(ServiceError):
    """Raised when an answer breaks the service's own contract."""


class AgentServerError(OpenSymphonyError):
    """Raised when the agent-server cannot be started, reached or understood."""


class WorkspaceError(OpenSymphonyError):
    """Raised when a directory, a hook or git failed."""

    def __init__(self, message: str, *, error_class: ErrorClass = "retry") -> None:
        self.error_class = error_class
        super().__init__(message)


class StoreError(OpenSymphonyError):
    """Raised when the journal cannot be read or written."""

    error_class = "final"


class StoreUnwritable(StoreError):
    """Raised when a write failed for want of space or because of the disk; nothing of it was written."""


class InstanceError(OpenSymphonyError):
    """Raised when another daemon already owns this store, workspace root or port."""

    error_class = "person"


class InstallationError(OpenSymphonyError):
    """Raised when the agent-server's environment is missing, damaged or cannot be made."""

    error_class = "person"
