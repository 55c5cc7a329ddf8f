"""Whatever is found becomes nodes that Jira takes where they stand."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from opensymphony.services.jira.nodes import TOP, blocks, children, href_of, walk
from tests.services.jira.test_adf import checked

KINDS = [
    *TOP,
    "text",
    "hardBreak",
    "mention",
    "media",
    "mediaSingle",
    "taskList",
    "taskItem",
    "listItem",
    "tableRow",
    "odd",
    7,
    None,
]
MARKS = st.lists(
    st.sampled_from(
        [{"type": "strong"}, {"type": "code"}, {"type": "link", "attrs": {"href": "javascript:x"}}, {"type": "x"}, 7]
    ),
    max_size=3,
)
LEAF = st.fixed_dictionaries({"type": st.sampled_from(KINDS), "text": st.text(max_size=5), "marks": MARKS})
NODE = st.recursive(
    LEAF,
    lambda inside: st.fixed_dictionaries(
        {
            "type": st.sampled_from(KINDS),
            "attrs": st.dictionaries(
                st.sampled_from(["level", "order", "url", "alt", "title", "state"]),
                st.integers() | st.text(max_size=5),
                max_size=2,
            ),
            "content": st.lists(inside, max_size=3) | st.none(),
        }
    ),
    max_leaves=8,
)


@given(st.lists(NODE, max_size=4))
def test_the_official_schema_takes_whatever_comes_out(nodes: list[dict[str, Any]]) -> None:
    """However it was nested, and whatever else it held."""
    checked({"type": "doc", "version": 1, "content": blocks(nodes, TOP)})


def test_words_of_what_has_no_place_stay() -> None:
    """A person who is mentioned, a picture, a task, a kind that nobody knows."""
    person = {"type": "mention", "attrs": {"id": "x", "text": "@Ada"}}
    picture = {
        "type": "mediaSingle",
        "content": [{"type": "media", "attrs": {"url": "https://example.com/p.png", "alt": "p"}}],
    }
    task = {"type": "taskItem", "attrs": {"state": "DONE"}, "content": [{"type": "text", "text": "t"}]}
    found = blocks(
        [person, picture, {"type": "taskList", "content": [task]}, {"type": "odd", "content": [person]}], TOP
    )
    texts = [node["text"] for one in found for node in walk(one) if "text" in node]
    assert texts == ["@Ada", "p", "[x] t", "@Ada"]
    assert href_of(children(found[1])[0]) == "https://example.com/p.png"


def test_a_deep_document_is_walked_without_recursion() -> None:
    deep: dict[str, Any] = {"type": "text", "text": "x"}
    for _ in range(50_000):
        deep = {"type": "blockquote", "content": [deep]}
    assert sum(1 for _ in walk(deep)) == 50_001
    while children(deep):  # or the interpreter would take it apart by recursion
        [deep] = children(deep)
