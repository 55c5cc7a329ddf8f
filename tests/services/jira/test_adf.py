"""Markdown becomes documents that Jira takes, and documents of others become Markdown."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opensymphony.services.jira.adf import CHARACTERS_MAX, folded, length, to_document, to_markdown

SCHEMA = Path(__file__).parents[4] / "shared/specs/adf/adf-full.schema.json"


@lru_cache(maxsize=1)
def validator() -> jsonschema_rs.Draft4Validator:
    if not SCHEMA.is_file():
        pytest.skip("the official schema is not at ../shared/specs")
    return jsonschema_rs.Draft4Validator(json.loads(SCHEMA.read_text()))


def checked(document: dict[str, Any]) -> dict[str, Any]:
    """The document, which the official schema takes."""
    errors = [f"{error.instance_path}: {error.message[:200]}" for error in validator().iter_errors(document)]
    assert errors == [], json.dumps(document)[:2000]
    return document


def texts(document: dict[str, Any]) -> str:
    return " ".join(found for found in _texts(document))


def _texts(node: dict[str, Any]) -> list[str]:
    return [node["text"]] if "text" in node else [one for child in node.get("content", []) for one in _texts(child)]


MARKDOWN = """\
**Ready for review**

- branch: `opensymphony/PROJ-1`
- changes: 2 files, *small*
  1. first
  2. second

     ```py
     print("**x**")
     ```

> The agent's own words:
> # A heading
> > nested

| file | lines |
|---|---|
| a | **3** |

---

- [x] done
- [ ] open

[a link](https://example.com/a) and https://bare.example and ![a picture](https://example.com/p.png)

one\\
two <b>bold</b> <span adf="mention" params='{"id":"acc"}'>@somebody</span>
"""


def test_everything_that_we_write_is_valid_and_keeps_its_words() -> None:
    """Lists, tables, code, links; what ADF cannot nest is flattened, not lost."""
    document = checked(to_document(MARKDOWN))
    said = texts(document)
    for words in (
        "Ready for review",
        "opensymphony/PROJ-1",
        'print("**x**")',
        "A heading",
        "nested",
        "second",
        "a picture",
    ):
        assert words in said
    assert "[x] done" in said and "[ ] open" in said
    kinds = [node["type"] for node in document["content"]]
    assert {"bulletList", "blockquote", "table", "rule", "paragraph"} <= set(kinds)


def test_html_of_an_agent_is_text() -> None:
    """It mentions nobody, starts no macro, and is there to be read."""
    document = checked(to_document(MARKDOWN))
    assert "mention" not in json.dumps([node["type"] for node in _nodes(document)])
    assert "<b>bold</b>" in texts(document)
    assert "@somebody" in texts(document)
    assert "adf=" in texts(document)


def _nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(one for child in node.get("content", []) for one in _nodes(child))]


def test_there_and_back_is_the_same() -> None:
    document = to_document(MARKDOWN)
    assert to_document(to_markdown(document)) == document


def test_a_text_that_is_too_long_is_cut() -> None:
    """At a line, and says so; as small as Jira takes it."""
    document = checked(to_document("a line of **some** length\n\n" * 20_000))
    assert length(document) <= CHARACTERS_MAX
    assert texts(document).endswith("(shortened)")
    one_line = checked(to_document("x" * 500_000))
    assert length(one_line) <= CHARACTERS_MAX


def test_a_long_log_is_folded_under_its_title() -> None:
    """The line above names it; a short one stays open, and nothing of either is lost."""
    log = "\n".join(f"line {number}" for number in range(40))
    said = (
        f"The end of it:\n\n````text\n{log}\n````\n\nNot named\n\n````text\n{log}\n````\n\nShort:\n\n````text\nx\n````"
    )
    document = checked(folded(to_document(said)))
    kinds = [(node["type"], node.get("attrs", {}).get("title")) for node in document["content"]]
    assert kinds[:3] == [("expand", "The end of it"), ("paragraph", None), ("expand", "40 lines")]
    assert [kind for kind, _ in kinds[3:]] == ["paragraph", "codeBlock"]
    assert texts(document).count("line 39") == 2 and "Short:" in texts(document)


WORDS = st.text(st.sampled_from("abc *_`~#>-+|[]()<>!&\\/.:1\"'äß\u202e"), min_size=1, max_size=12)
INLINE = st.one_of(
    WORDS,
    WORDS.map(lambda text: f"**{text}**"),
    WORDS.map(lambda text: f"*{text}*"),
    WORDS.map(lambda text: f"`{text}`"),
    WORDS.map(lambda text: f"[{text}](https://example.com/x)"),
    st.sampled_from(["<b>x</b>", "<!-- x -->", "&lt;", "https://a.example", "  \n", "\\\n", "~~gone~~"]),
)
LINE = st.lists(INLINE, min_size=1, max_size=4).map(" ".join)
BLOCK = st.one_of(
    LINE,
    st.tuples(st.integers(1, 7), LINE).map(lambda found: f"{'#' * found[0]} {found[1]}"),
    st.lists(LINE, min_size=1, max_size=3).map(lambda lines: "\n".join(f"- {line}" for line in lines)),
    st.lists(LINE, min_size=1, max_size=3).map(
        lambda lines: "\n".join(f"{at}. {line}" for at, line in enumerate(lines, 3))
    ),
    st.lists(LINE, min_size=1, max_size=3).map(lambda lines: "\n".join(f"> {line}" for line in lines)),
    st.tuples(st.sampled_from(["```", "````text", "~~~py"]), WORDS).map(
        lambda found: f"{found[0]}\n{found[1]}\n{found[0][:4].rstrip('tp')}"
    ),
    st.just("| a | b |\n|---|---|\n| *1* | `2` |"),
    st.just("- a\n  > # h\n\n  1. b\n     - c\n"),
    st.just("- [ ] t\n- [x] u"),
    st.just("---"),
    st.integers(min_value=1, max_value=30).map(lambda lines: f"Log:\n\n```text\n{'x' * 3}{chr(10) * lines}y\n```"),
    st.text(max_size=30),
)
DOCUMENTS = st.lists(BLOCK, max_size=5).map("\n\n".join)


@given(DOCUMENTS)
@example("")
@example("<")
@example("```\nnever ended")
@example("> ")
@example("- \n\n1. ")
@example("| a |\n|---|")
@example("[x](javascript:alert(1))")
@example("[" * 3_000)
@example(">" * 2_000 + " x")
@example("- " * 1_000 + "x")
def test_whatever_is_said_becomes_a_valid_document(markdown: str) -> None:
    """And no kind of node is in it that does something."""
    document = checked(to_document(markdown))
    allowed = {"doc", "text", "hardBreak", "paragraph", "heading", "bulletList", "orderedList", "listItem", "codeBlock"}
    allowed |= {"blockquote", "rule", "table", "tableRow", "tableHeader", "tableCell"}
    assert {node["type"] for node in _nodes(document)} <= allowed


@given(DOCUMENTS)
def test_a_folded_document_is_valid(markdown: str) -> None:
    """Whatever is in it."""
    checked(folded(to_document(markdown)))


@given(DOCUMENTS)
def test_markdown_of_a_document_becomes_that_document_again(markdown: str) -> None:
    """The first conversion decides what is meant; the second changes nothing."""
    once = to_document(markdown)
    assert to_document(to_markdown(once)) == once
