"""Look up known vulnerabilities of both environments: the project's, and the pinned agent-server's.

A finding fails unless `audit_accepted.txt` names it with a reason. Where the advisories cannot be reached, or the index
answers without having any, the audit is reported as not run: an empty answer is no proof of anything.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent
SERVER = TESTS.parent / "tools" / "openhands-server" / "requirements.txt"
ACCEPTED = TESTS / "audit_accepted.txt"
FROM_FILE = ["--disable-pip", "--no-deps", "-r"]
KNOWN_BAD = "jinja2==2.10"
"""Has advisories since 2019: a source that knows none of them knows nothing."""


class NotRun(Exception):
    """Raised with the reason when no answer could be had."""


def ask(*arguments: str) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Findings as (package, version, advisory), and the packages nothing is known about."""
    command = ["pip-audit", "--progress-spinner", "off", "--timeout", "15", "--format", "json", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    except subprocess.TimeoutExpired:
        raise NotRun("no answer within 240 s") from None
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        lines = done.stderr.strip().splitlines()
        raise NotRun(lines[-1][:200] if lines else f"pip-audit ended with {done.returncode}") from None
    findings = [(p["name"], p["version"], v["id"]) for p in packages for v in p.get("vulns", ())]
    return sorted(set(findings)), [p["name"] for p in packages if "skip_reason" in p]


def accepted() -> dict[tuple[str, str], str]:
    """(package, advisory) to the reason why we live with it."""
    lines = (line.split(None, 2) for line in ACCEPTED.read_text().splitlines() if line[:1] not in ("", "#"))
    return {(package, advisory): reason for package, advisory, reason in lines}


def audit(name: str, *arguments: str) -> bool:
    """Print what is known about one environment; False when it must not stay so."""
    findings, unknown = ask(*arguments)
    reasons = accepted()
    for package, version, advisory in findings:
        print(f"audit: {name}: {package} {version}: {advisory}: {reasons.get((package, advisory), 'NOT ACCEPTED')}")
    if unknown:
        print(f"audit: {name}: not run for {len(unknown)} packages the source does not know: {', '.join(unknown)}")
    bad = [finding for finding in findings if (finding[0], finding[2]) not in reasons]
    print(f"audit: {name}: {len(findings)} known vulnerabilities, {len(bad)} not accepted in tests/audit_accepted.txt")
    return not bad


def main() -> int:
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as probe:
            probe.write(KNOWN_BAD)
            probe.flush()
            if not ask(*FROM_FILE, probe.name)[0]:
                raise NotRun(f"the source of advisories that is reachable here does not even know those of {KNOWN_BAD}")
        good = [audit("project", "--local", "--skip-editable"), audit("agent-server", *FROM_FILE, str(SERVER))]
    except NotRun as reason:
        print(f"audit: not run ({reason})")
        return 0
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
