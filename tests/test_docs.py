"""The documentation says what the code does: every key has its heading and its default, every example loads."""

import json
import re
import runpy
import tomllib
from pathlib import Path

import msgspec
import pytest
from msgspec import NODEFAULT, inspect

from opensymphony import settings
from opensymphony.api.public import build_public_app
from opensymphony.schema import key_paths
from opensymphony.workflow import keys, load
from opensymphony.workflow.policy import Policy

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
CLI = runpy.run_path(str(DOCS / "generate_cli.py"))
COMMANDS = dict(CLI["commands"]())
OPTIONS = {path: CLI["options"](command) for path, command in COMMANDS.items()}
LATER: set[str] = set()
"""Spoken of as not there yet."""


def section_of(page, key):
    """The text below the heading of a key, up to the next heading."""
    found = re.search(rf"^#+ `{re.escape(key)}`\n(.*?)(?=^#|\Z)", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    return found[1] if found else None


def defaults(info, prefix=""):
    """Every leaf key of a Struct with its default, as the documentation writes it."""
    for field in info.fields:
        type_ = field.type
        if isinstance(type_, inspect.UnionType):
            type_ = next(kind for kind in type_.types if not isinstance(kind, inspect.NoneType))
        if isinstance(type_, inspect.StructType):
            yield from defaults(type_, f"{prefix}{field.encode_name}.")
            continue
        value = field.default_factory() if field.default_factory is not NODEFAULT else field.default
        if value is NODEFAULT:
            yield prefix + field.encode_name, "Required."
        elif value is None:
            yield prefix + field.encode_name, "Default: none."
        else:
            yield prefix + field.encode_name, f"Default: `{json.dumps(msgspec.to_builtins(value))}`."


@pytest.mark.parametrize("key", [key for key in key_paths(Policy) if key != "prompt"])
def test_each_policy_key_has_its_heading(key):
    """Whoever reads a key in a WORKFLOW.md finds it in docs/workflow.md."""
    assert section_of("workflow.md", key)


def test_documented_policy_defaults_are_the_real_ones():
    """A default is documented as it is."""
    documented = [(key, text) for key, text in defaults(inspect.type_info(Policy)) if key != "prompt"]
    wrong = [key for key, text in documented if text not in section_of("workflow.md", key)]
    assert documented and not wrong


@pytest.mark.parametrize("key", key_paths(settings._File))
def test_each_setting_has_its_heading(key):
    """Whoever reads a key in an opensymphony.toml finds it in docs/settings.md."""
    assert section_of("settings.md", key)


def test_documented_settings_defaults_are_the_real_ones():
    """A default is documented as it is."""
    documented = [(key, text) for key, text in defaults(inspect.type_info(settings._File)) if key != "secrets"]
    wrong = [key for key, text in documented if text not in section_of("settings.md", key)]
    assert documented and not wrong


def test_each_key_of_others_is_in_the_table_of_compatibility():
    """What is accepted, ignored or removed is said in one table."""
    table = (DOCS / "workflow.md").read_text().partition("# Compatibility")[2]
    assert not [key for key in keys.documented() if f"`{key}`" not in table]


def test_each_variable_of_a_secret_is_documented():
    """Every secret and its environment variable stand in docs/settings.md."""
    page = (DOCS / "settings.md").read_text()
    for name, variable in settings.SECRET_VARIABLES.items():
        assert re.search(rf"^\| `{name}` \| `{variable}`", page, re.MULTILINE), name
    assert not [name for name in settings.LATER_VARIABLES if f"`{name}`" not in page]


def yaml_examples():
    """Every front matter that stands in the documentation."""
    pages = sorted(DOCS.rglob("*.md"))
    blocks = [
        (page, block) for page in pages for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.M | re.S)
    ]
    return [
        pytest.param(block, id=f"{page.name}-{at}")
        for at, (page, block) in enumerate(blocks)
        if block.startswith("---")
    ]


@pytest.mark.parametrize("example", yaml_examples())
def test_each_workflow_in_the_documentation_loads(example):
    """An example that is copied works, without a warning."""
    loaded = load(example, "WORKFLOW.md", {}, "/h/someone", "/project")
    assert loaded.problems == ()
    assert loaded.policy is not None


def test_each_settings_example_in_the_documentation_loads(tmp_path):
    """An example that is copied works, without a warning."""
    blocks = re.findall(r"^```toml\n(.*?)^```", (DOCS / "settings.md").read_text(), re.M | re.S)
    assert blocks
    for block in blocks:
        (tmp_path / "opensymphony.toml").write_text(block)
        _, problems = settings.load_settings(str(tmp_path / "WORKFLOW.md"), environment={"LINEAR_API_KEY": "x"})
        assert problems == ()


def test_the_recipe_of_a_tunnel_agrees_with_itself_and_with_the_listener():
    """All blocks have one port, one name and the listener's own address; the proxy lets through what is answered."""
    section = (DOCS / "operations.md").read_text().partition("\n## Webhooks\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    code = "".join(block for _, block in blocks)
    public = tomllib.loads(next(block for kind, block in blocks if kind == "toml"))["public"]
    listens = f"{settings.PublicSettings().host}:{public['port']}"
    assert re.findall(r"-R (\S+) ", code) == [f"{listens}:{listens}"] * 2
    assert re.findall(r"reverse_proxy (\S+)", code) == [listens]
    assert re.findall(r'permitlisten="(\S+)"', code) == [listens]
    assert {f"https://{name}" for name in re.findall(r"hooks\.[\w.-]+", code)} == {public["url"]}
    assert re.findall(r"handle (\S+) \{", code) == ["/webhook/*"]
    assert [route.path for route in build_public_app(None).routes] == ["/webhook/{service}"]
    for words in re.findall(r"ssh (-N .*)", code):
        assert {"ExitOnForwardFailure=yes", "ServerAliveInterval=15", "ServerAliveCountMax=3"} <= set(words.split())


def anchors(page):
    """The anchors of a page's headings, as they are made for links: in lower case, without marks, joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_link_between_documents_resolves(page):
    """A link leads to a file that is there, and to a heading that it has."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        if not place.is_file() or (anchor and anchor not in anchors(place)):
            broken.append(target)
    assert broken == []


def test_each_page_is_in_the_index():
    """Whoever starts at docs/index.md finds every page."""
    linked = {(DOCS / name).resolve() for name in re.findall(r"\]\(([^)#\s]+)\)", (DOCS / "index.md").read_text())}
    assert [page for page in DOCS.rglob("*.md") if page.name != "index.md" and page.resolve() not in linked] == []


def test_the_reference_of_commands_is_the_commands_own():
    """docs/cli.md is what `python docs/generate_cli.py` writes, with a heading for each command."""
    page = (DOCS / "cli.md").read_text()
    assert page == CLI["page"](), "run python docs/generate_cli.py"
    assert [path for path in COMMANDS if f"\n## `{path}`\n" not in page] == []


def test_the_reference_of_the_interface_is_the_document_that_is_served():
    """docs/api.md is what `python docs/generate_api.py` writes, with a heading for each operation and each shape."""
    script = runpy.run_path(str(DOCS / "generate_api.py"))
    page = (DOCS / "api.md").read_text()
    assert page == script["page"](), "run python docs/generate_api.py"
    about = script["document"]()
    operations = [f"{method.upper()} {path}" for path, methods in about["paths"].items() for method in methods]
    assert [one for one in (*operations, *about["components"]["schemas"]) if f"\n### `{one}`\n" not in page] == []


def test_the_tables_of_the_machine_are_those_of_the_scheduler():
    """docs/architecture.md has what `python docs/generate_machine.py` writes."""
    script = runpy.run_path(str(DOCS / "generate_machine.py"))
    between = (DOCS / "architecture.md").read_text().partition(script["BEGIN"])[2].partition(script["END"])[0]
    assert between == script["generated"](), "run python docs/generate_machine.py"


def test_what_is_said_of_other_systems_is_what_tests_show():
    """docs/parity.md is what `python docs/generate_parity.py` writes."""
    script = runpy.run_path(str(DOCS / "generate_parity.py"))
    assert (DOCS / "parity.md").read_text() == script["page"](), "run python docs/generate_parity.py"


def code_of(page):
    """Every line of code in a page: of blocks, and between backticks."""
    text = page.read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    (.+)$", text, re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()] + indented + re.findall(r"`([^`\n]+)`", text)


def unknown_in(line):
    """What a line of code calls of ours that does not exist."""
    for called in re.findall(r"(?:^|[\s/])(?:opensymphony|dev) ([a-z][^;|&`]*)", line):
        words = called.split()
        path = next((path for path in (" ".join(words[:2]), words[0]) if path in COMMANDS), None)
        if path is None:
            if words[0] not in {"test", "check", "config", *LATER}:
                yield words[0]
            continue
        yield from (word for word in words if word.startswith("--") and word not in OPTIONS[path] | {"--version"})
    if re.fullmatch(r"--[a-z][a-z-]*( [A-Z]+)?", line) and line.split()[0] not in set().union(*OPTIONS.values()):
        yield line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_command_and_option_that_is_named_exists(page):
    """Nobody is told to type what there is not."""
    assert [(line, name) for line in code_of(page) for name in unknown_in(line)] == []


def test_a_command_that_does_not_exist_is_noticed():
    """The check above can fail."""
    assert list(unknown_in("opensymphony frobnicate --now")) == ["frobnicate"]
    assert list(unknown_in("$ opensymphony run --never")) == ["--never"]
    assert list(unknown_in("./dev demo --keep DIR")) == []
