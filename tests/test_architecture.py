"""The rules of the structure: what may import what, how long things may be, where tests stand, what the start costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "opensymphony"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MODULE_LINES_MAX, FUNCTION_LINES_MAX = 400, 60

# These lists may only shrink: a test below fails for an entry that is not needed any more.
LONG_MODULES: set[str] = set()
LONG_FUNCTIONS: set[str] = set()
# Sources without a test file of their own at the mirrored path.
WITHOUT_MIRROR = {
    "agents/openhands/server.py",
    "clock.py",
    "errors.py",
    "interfaces/__init__.py",
    "interfaces/code_host.py",
    "interfaces/webhooks.py",
    "workflow/policy/__init__.py",
    "workflow/policy/scalars.py",
}
DRAWERS = {"base", "common", "core", "helper", "helpers", "misc", "util", "utils"}
# Neither reading the help nor a mistyped command may wait for these.
NOT_AT_START = re.compile(
    r"(textual|httpx|prometheus_client|pydantic|starlette|uvicorn|websockets"
    r"|opensymphony\.((services|agents)\..*|tui|api))(\..*)?"
)


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_imports_keep_the_contracts() -> None:
    """Every contract of [tool.importlinter] holds."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_modules_stay_readable() -> None:
    """No module is longer than what one reads in one go; the exceptions are exactly the listed ones."""
    long = {name_of(path) for path in SOURCES if len(path.read_text().splitlines()) > MODULE_LINES_MAX}
    assert long == LONG_MODULES


def test_functions_stay_on_one_screen() -> None:
    """No function is longer than a screen; the exceptions are exactly the listed ones."""
    long = {
        f"{name_of(path)}:{node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX
    }
    assert long == LONG_FUNCTIONS


def test_each_source_has_its_mirror_test() -> None:
    """`a/b.py` is tested by `tests/a/test_b.py`, or in a folder `tests/a/b/`; `__init__.py` with code by `test_init.py`."""
    missing: set[str] = set()
    for path in SOURCES:
        name = name_of(path)
        stem = "init" if path.name == "__init__.py" else path.stem.strip("_")
        folder = ROOT / "tests" / path.parent.relative_to(PACKAGE)
        empty = not any(not isinstance(node, ast.Expr | ast.Assign) for node in ast.parse(path.read_text()).body)
        if not (empty or (folder / f"test_{stem}.py").is_file() or (folder / path.stem).is_dir()):
            missing.add(name)
    allowed = WITHOUT_MIRROR | {"__main__.py", "cli/__init__.py"}
    assert missing <= allowed, f"without a test at the mirrored path: {sorted(missing - allowed)}"
    assert missing >= WITHOUT_MIRROR, f"take off the list, which may only shrink: {sorted(WITHOUT_MIRROR - missing)}"


def test_no_drawers() -> None:
    """A module has a name that says what is in it."""
    assert [
        name_of(path)
        for path in SOURCES
        if DRAWERS & {part.removesuffix(".py") for part in path.relative_to(PACKAGE).parts}
    ] == []


@pytest.mark.parametrize("code", ["import opensymphony.cli", "import opensymphony.cli as c; c.main()"])
def test_the_start_loads_no_heavy_module(code: str) -> None:
    """Neither the import of the command line nor its help loads an interface, a client, a server or an adapter."""
    code = f"""
import sys
sys.argv = ["opensymphony", "--help"]
try:
    {code}
finally:
    print(*sys.modules, sep="\\n", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    loaded = done.stderr.splitlines()
    assert "opensymphony.cli" in loaded
    assert [name for name in loaded if NOT_AT_START.fullmatch(name)] == []


def test_no_index_machine_or_lock_file_in_the_repository() -> None:
    """What is committed names no package index, no path of the machine it was written on, and locks no index in."""
    files = tracked_files()
    assert [path.name for path in files if path.name in {"uv.lock", "poetry.lock", "Pipfile.lock", "pip.conf"}] == []
    index = re.compile(
        r"(--|UV_|PIP_)?(extra-|EXTRA_|default-|DEFAULT_)?index[-_]url\s*=|^\s*--(extra-)?index-url",
        re.IGNORECASE | re.MULTILINE,
    )
    hosts = re.compile(r"https?://(files\.pythonhosted|[\w.-]*pypi|[\w.-]+/simple)\b")
    machine = re.compile(r"(?<![\w.~<>-])/(work|root|Users|home)/\w|/tmp/lab\b")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in files
        if path.resolve() != Path(__file__).resolve() and b"\0" not in path.read_bytes()[:4096]
        for pattern in (index, hosts, machine)
        for match in [pattern.search(path.read_text(errors="replace"))]
        if match
    ]
    assert found == []
