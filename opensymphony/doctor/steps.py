"""Checks that build on each other: each has a name, a time limit and a remedy, and after one that failed no other is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import msgspec
from msgspec import Struct

from opensymphony.errors import OpenSymphonyError
from opensymphony.logs import redacted
from opensymphony.views import Check

Report = Callable[[Check], None]
_TEXT_MAX = 4_000
"""Characters of a detail and of a remedy."""


class StepFailed(OpenSymphonyError):
    """Raised by a step that saw what should not be; `fix` says what helps there."""

    def __init__(self, detail: str, fix: str = "") -> None:
        self.fix = fix
        super().__init__(detail)


class Found(Struct, frozen=True, kw_only=True):
    """What a step that went well has to tell."""

    detail: str
    figures: dict[str, int] = {}
    warn: str = ""
    """What to do about it nevertheless: then it is a warning."""


class Steps:
    """Collects the checks, and tells each as soon as it is known."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.checks: list[Check] = []
        self.failed = ""
        """The first step that failed; empty while all is well."""

    async def take(
        self, name: str, work: Callable[[], Awaitable[Found]], *, limit_ms: int, fix: str, always: bool = False
    ) -> bool:
        """Whether it went well. `always`: also after another one has failed."""
        if self.failed and not always:
            self.skip(name, f"not tried, since {self.failed} failed")
            return False
        began = anyio.current_time()
        try:
            with anyio.fail_after(limit_ms / 1000):
                found = await work()
        except TimeoutError:
            check = Check(name=name, status="fail", detail=f"not done within {limit_ms // 1000} s", fix=fix)
        except StepFailed as error:
            check = Check(name=name, status="fail", detail=str(error), fix=error.fix or fix)
        except OpenSymphonyError as error:
            check = Check(name=name, status="fail", detail=str(error), fix=fix)
        except OSError as error:
            detail = f"{error.filename or 'a file'}: {error.strerror}"
            check = Check(name=name, status="fail", detail=detail, fix=fix)
        except Exception as error:  # a mistake of ours: what has been started is cleared up nevertheless
            check = Check(name=name, status="fail", detail=f"{type(error).__name__}: {error}", fix=fix)
        else:
            check = Check(
                name=name,
                status="warn" if found.warn else "pass",
                detail=found.detail,
                fix=found.warn,
                figures={**found.figures, "duration_ms": round((anyio.current_time() - began) * 1000)},
            )
        self._add(check)
        return check.status != "fail"

    def skip(self, name: str, why: str) -> None:
        """Say that something is not tried, and why."""
        self._add(Check(name=name, status="skip", detail=why))

    def _add(self, check: Check) -> None:
        # What a provider or a server says may hold the key; cut first, half of it would not be recognized.
        detail, fix = redacted(check.detail)[:_TEXT_MAX], redacted(check.fix)[:_TEXT_MAX]
        check = msgspec.structs.replace(check, detail=detail, fix=fix)
        if check.status == "fail" and not self.failed:
            self.failed = check.name
        self.checks.append(check)
        self._report(check)
