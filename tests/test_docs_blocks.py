"""Every block of code in the documentation is tried: run, loaded, or read by what will read it; by its language."""

from __future__ import annotations

import configparser
import io
import json
import os
import re
import runpy
import shlex
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from ruamel.yaml import YAML
from typer._click.exceptions import ClickException

from opensymphony import settings, views
from opensymphony.workflow import load
from tests.cli.program import call

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
COMMANDS = dict(runpy.run_path(str(DOCS / "generate_cli.py"))["commands"]())

NOT_RUN = {
    "run": "goes on until it is stopped: tests/live/test_docs.py, and tests/cli/test_run.py without end",
    "status": "needs a running daemon: tests/cli/test_status.py",
    "explain": "needs a running daemon: tests/cli/test_explain.py",
    "approve": "needs a running daemon: tests/cli/test_approve.py",
    "reject": "needs a running daemon: tests/cli/test_reject.py",
    "dashboard": "needs a running daemon: tests/cli/test_dashboard.py",
    "tui": "needs a running daemon and a terminal: tests/cli/test_tui.py",
    "deliveries list": "needs a running daemon: tests/cli/test_deliveries.py",
    "deliveries show": "needs a running daemon: tests/cli/test_deliveries.py",
    "deliveries replay": "needs a running daemon: tests/cli/test_deliveries.py",
    "webhook register": "needs a site: tests/cli/test_webhook.py",
    "webhook list": "needs a site: tests/cli/test_webhook.py",
    "journal export": "needs a journal: tests/cli/test_journal.py",
    "journal replay": "needs a journal: tests/cli/test_journal.py",
    "demo": "installs and takes minutes: tests/live/test_docs.py",
    "doctor --live": "starts the real agent-server: tests/live/test_doctor.py",
    "doctor --model": "asks a model: tests/live/test_doctor.py",
}
"""Commands whose line in a block is only read by the command line itself, and who runs them instead."""
OTHERS = {
    *(
        "cat",
        "cd",
        "cp",
        "curl",
        "export",
        "git",
        "jq",
        "loginctl",
        "mkdir",
        "mv",
        "python3",
        "scp",
        "ssh",
        "systemctl",
    ),
}
"""Programs of others that a reader is told to use."""
RUN_ELSEWHERE = {
    "README.md": "tests/live/test_docs.py",
    "docs/quickstart.md": "tests/live/test_docs.py",
    "docs/operations.md": "tests/daemon/test_restore.py",
}
"""Whose `sh` blocks are run, all of them, and by what."""
PLAIN = {
    "text": "an address, or what is printed",
    "caddyfile": "agrees with our listener: tests/test_docs.py",
    "sshd": "agrees with our listener: tests/test_docs.py",
    "markdown": "a ticket, or what is written on one",
}
MERMAID = r"(stateDiagram-v2|flowchart|graph|sequenceDiagram)\b"


class Block(Struct, frozen=True, kw_only=True):
    """One block, and where it stands."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Read line by line: a fence that is not closed, or that nobody has opened, is noticed."""
    found: list[Block] = []
    opened: tuple[int, str] | None = None
    kept: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if not line.startswith("```"):
            kept.append(line)
        elif opened is None:
            opened, kept = (number, line.removeprefix("```")), []
        else:
            assert line == "```", f"{page}:{number}: a fence inside of a block"
            found.append(Block(page=page, line=opened[0], language=opened[1], text="\n".join(kept) + "\n"))
            opened = None
    assert opened is None, f"{page}: the block of line {opened} has no end"
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def of(*languages: str) -> list[Any]:
    return [pytest.param(block, id=block.place) for block in BLOCKS if block.language in languages]


def typed(block: Block) -> list[list[str]]:
    """The simple commands of a block, each as its words; of a `console` block those behind a prompt."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    else:  # what stands between two lines of ours may be a document of several lines
        lines = [line for line in lines if re.match(r"(\./dev|opensymphony)\b", line)]
    found: list[list[str]] = []
    for line in lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
        lexer.whitespace_split, lexer.commenters = True, "#"
        simple: list[str] = []
        for word in [*lexer, ";"]:
            if not set(word) <= set("|&;"):
                simple.append(word)
            elif simple:
                found.append(simple)
                simple = []
    return [without for words in found if (without := _without_assignments(_without_redirection(words)))]


def _without_redirection(words: list[str]) -> list[str]:
    """Where the shell puts what is printed is no word of the command."""
    return words[: words.index(">")] if ">" in words else words


def _without_assignments(words: list[str]) -> list[str]:
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0], re.DOTALL):
        words = words[1:]
    return words


def ours(words: list[str]) -> tuple[str, list[str]] | None:
    """The command of ours that is called, with its arguments."""
    program = words[0].rpartition("/")[2]
    if program not in ("opensymphony", "dev"):
        return None
    rest = words[1:]
    for length in (2, 1):
        path = " ".join(rest[:length])
        if path in COMMANDS:
            return path, rest[length:]
    return "", rest


def reason_not_to_run(path: str, arguments: list[str]) -> str:
    if path == "run" and "--dry-run" in arguments:
        return ""
    return next((why for name, why in NOT_RUN.items() if _begins(name, path, arguments)), "")


def _begins(name: str, path: str, arguments: list[str]) -> bool:
    """Whether the entry of a table is about this call: by its command, and by an option where it names one."""
    command, _, option = name.partition(" --")
    if command != path:
        return False
    return not option or f"--{option}" in " ".join(arguments)


def test_each_block_says_its_language() -> None:
    """One that is not known is tried by nobody."""
    known = {"sh", "console", "toml", "yaml", "json", "python", "mermaid", "systemd", *PLAIN}
    assert [(block.place, block.language) for block in BLOCKS if block.language not in known] == []
    assert len(BLOCKS) > 35


@pytest.mark.parametrize("block", of("sh"))
def test_each_block_for_a_shell_is_run_by_a_test(block: Block) -> None:
    """Whole, by the test that is named; here only the page counts."""
    runner = RUN_ELSEWHERE[block.page.relative_to(ROOT).as_posix()]
    assert (ROOT / runner).is_file()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of files with a ticket, a home of its own, no network needed, and nothing that belongs to anybody."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith(("LLM_", "JIRA_", "XDG_", "OPENSYMPHONY_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "PROJ-1.md").write_text("---\ntitle: One\nstate: Todo\n---\nDo it.\n")
    (tmp_path / "WORKFLOW.md").write_text(
        "---\ntracker: {kind: files, provider: {path: board}}\nworkspace: {root: work}\n---\nDo {{ issue.title }}.\n"
    )
    (tmp_path / "opensymphony.toml").write_text('[server]\nport = 0\n[store]\ndirectory = "store"\n')
    return tmp_path


@pytest.mark.parametrize("block", of("console", "sh"))
def test_each_command_is_understood_and_run_where_that_can_be(block: Block, project: Path) -> None:
    """By the real command line: every command, option, value and argument. Others' programs are those of a list."""
    for words in typed(block):
        called = ours(words)
        if called is None:
            assert words[0] in OTHERS, f"{block.place}: {words[0]}"
            continue
        path, arguments = called
        if words[0].endswith("dev") and arguments in ([], ["test"], ["check"]) and not path:
            continue
        assert path or arguments in (["--version"], ["--help"]), f"{block.place}: {words}"
        if not path and block.language == "console":
            assert call(*arguments).code == 0
        if path:
            try:
                COMMANDS[path].make_context(path, list(arguments))
            except ClickException as error:
                raise AssertionError(f"{block.place}: {' '.join(words)}: {error.message}") from error
        if block.language == "console" and path and not reason_not_to_run(path, arguments):
            said = call(*path.split(), *(arguments if "-f" not in arguments else []))
            assert said.code in (0, 1), (block.place, words, said)
            assert "Traceback" not in said.err


def test_a_command_with_a_wrong_argument_is_noticed() -> None:
    """The test above can fail."""
    for words in (["explain"], ["run", "--port", "many"], ["stop", "A-1", "--never"]):
        with pytest.raises(ClickException):
            COMMANDS[words[0]].make_context(words[0], words[1:])


def test_the_table_of_what_is_not_run_is_about_what_there_is() -> None:
    """Each reason names a command that stands in a block, and a test that is there."""
    called = [
        found
        for block in BLOCKS
        if block.language in ("sh", "console")
        for words in typed(block)
        if (found := ours(words))
    ]
    for name, why in NOT_RUN.items():
        assert name.partition(" --")[0] in COMMANDS
        for test in re.findall(r"tests/[\w/]+\.py", why):
            assert (ROOT / test).is_file()
    unused = [name for name in NOT_RUN if not any(_begins(name, *one) for one in called)]
    assert unused == []


@pytest.mark.parametrize("block", of("toml"))
def test_each_settings_block_loads(block: Block, tmp_path: Path) -> None:
    (tmp_path / "opensymphony.toml").write_text(block.text)
    _, problems = settings.load_settings(str(tmp_path / "WORKFLOW.md"), environment={"LINEAR_API_KEY": "x"})
    assert problems == ()


BASE = "tracker: {kind: files, provider: {path: board}}\n"
FOREIGN_YAML = {
    "scrape_configs": {"job_name", "authorization", "static_configs"},
    "groups": {"name", "rules"},
}
"""Of Prometheus: what its entries may have here."""
FRONT_MATTER_OF_A_TICKET = {"claim"}


@pytest.mark.parametrize("block", of("yaml"))
def test_each_yaml_block_is_a_policy_or_a_part_of_one(block: Block) -> None:
    """Loaded without a word of complaint, with a tracker put in front of a part; Prometheus' own are checked by their keys."""
    if block.text.startswith("---"):
        text = block.text
    else:
        tree = YAML(typ="safe").load(block.text)
        top = next(iter(tree))
        if top in FRONT_MATTER_OF_A_TICKET:
            return
        if top in FOREIGN_YAML:
            assert all(set(entry) <= FOREIGN_YAML[top] for entry in tree[top])
            return
        text = f"---\n{'' if 'tracker' in tree else BASE}{block.text}---\nDo it.\n"
    loaded = load(text, "WORKFLOW.md", {"JIRA_OAUTH_CLIENT_ID": "x"}, "/h/someone", "/project")
    assert (loaded.policy is not None, loaded.problems) == (True, ())


def read_json(text: str) -> None:
    """Raises when it is none, or claims to be a snapshot and is not."""
    tree = json.loads(text)
    if isinstance(tree, dict) and {"sequence", "tickets"} <= set(tree):
        msgspec.convert(tree, views.Snapshot)


def test_each_json_block_is_readable_and_an_answer_of_ours_where_it_says_so() -> None:
    for block in BLOCKS:
        if block.language == "json":
            read_json(block.text)
    for wrong in ("{", '{"sequence": 1, "tickets": 7}'):
        with pytest.raises((ValueError, msgspec.ValidationError)):
            read_json(wrong)


def test_each_python_block_runs(project: Path) -> None:
    for block in BLOCKS:
        if block.language == "python":
            exec(compile(block.text, block.place, "exec"), {"__name__": "documentation"})


@pytest.mark.parametrize("block", of("mermaid"))
def test_each_diagram_begins_as_one(block: Block) -> None:
    assert re.match(MERMAID, block.text.strip())
    assert block.text.count("{") == block.text.count("}")


UNIT = {
    "Unit": {"Description", "After", "Wants"},
    "Service": {
        *("WorkingDirectory", "EnvironmentFile", "ExecStart", "Restart", "RestartSec", "RestartPreventExitStatus"),
        *("TimeoutStopSec", "KillMode", "UMask"),
    },
    "Install": {"WantedBy"},
}


@pytest.mark.parametrize("block", of("systemd"))
def test_each_unit_has_sections_and_keys_of_systemd(block: Block) -> None:
    """And what it starts is a command that exists."""
    unit = configparser.RawConfigParser(strict=True, delimiters=("=",), interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_file(io.StringIO(block.text))
    assert set(unit.sections()) == set(UNIT)
    assert [(section, key) for section in unit.sections() for key in unit[section] if key not in UNIT[section]] == []
    words = shlex.split(unit["Service"]["ExecStart"])
    called = ours(words)
    assert called is None or called[0] == "run"
    assert words[0].startswith(("/", "%h/"))


def test_every_alert_has_its_section() -> None:
    """Who is woken by one finds what to do, and nothing is explained that rings never."""
    page = (DOCS / "operations.md").read_text()
    [rules] = [block for block in BLOCKS if block.language == "yaml" and block.text.startswith("groups:")]
    alerts = [rule["alert"] for group in YAML(typ="safe").load(rules.text)["groups"] for rule in group["rules"]]
    sections = re.findall(r"^#### (\w+)\n\n(.+?)(?=\n#|\Z)", page, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in sections] == alerts
    assert [name for name, text in sections if len(text) < 100] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_page_has_one_title_and_pictures_have_words(page: Path) -> None:
    """As whoever makes a site of them, or reads them aloud, needs it."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^# .+", text, re.MULTILINE)
    assert len(titles) == 1 and text.startswith(titles[0])
    for words, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text):
        assert len(words) > 20, f"{page}: {target} says nothing to who cannot see it"
        assert (page.parent / target).is_file()


def test_pictures_can_be_read_in_the_dark_and_aloud() -> None:
    """Each drawing has a title, a description, and colours for both themes; nothing in it comes from elsewhere."""
    for path in (DOCS / "images").glob("*.svg"):
        assert not re.search(r"(href|src)=|url\(http|<script|@import", path.read_text())
        if path.name.startswith("tui-"):
            continue  # a screen as it is; the text around it says what is on it
        drawing = ElementTree.parse(path).getroot()
        space = {"svg": "http://www.w3.org/2000/svg"}
        for name in ("title", "desc"):
            found = drawing.find(f"svg:{name}", space)
            assert found is not None and found.text
        text = path.read_text()
        assert "prefers-color-scheme: dark" in text
