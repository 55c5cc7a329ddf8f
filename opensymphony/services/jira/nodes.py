"""Nodes of Atlassian's document format: what we write is made of a few kinds, each where Jira takes it.

In: nodes that a converter made, or that somebody else wrote. Out: nodes of the kinds that are allowed in a place, with every
word of what was found; what has no place gives way to what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

Node = dict[str, Any]

_MARKS = ("strong", "em", "strike", "code", "link")
_FLOW = ("paragraph", "bulletList", "orderedList", "codeBlock")
TOP = (*_FLOW, "heading", "blockquote", "rule", "table", "panel", "expand")
INLINE = ("text", "hardBreak", "mention", "emoji", "inlineCard", "date", "status", "placeholder", "mediaInline")
_URL = re.compile(r"(?:https?://|mailto:)[^\s<>\"]+")


def blocks(nodes: Iterable[Node], allowed: tuple[str, ...]) -> list[Node]:
    """Blocks of the kinds that are allowed here, made of whatever was found."""
    made: list[Node] = []
    for node in nodes:
        made += _block(node, allowed)
    return made


def _block(node: Node, allowed: tuple[str, ...]) -> list[Node]:
    kind, attrs = str(node.get("type")), attrs_of(node)
    if kind == "taskList":
        items = [_item(_task(one), "listItem") for one in children(node)]
        return [{"type": "bulletList", "content": items}] if items else []
    if kind in ("mediaSingle", "mediaGroup", "media", "blockCard", "embedCard"):
        return [{"type": "paragraph", "content": inline} for inline in [_linked(node)] if inline]
    if kind not in allowed:
        return blocks(children(node), allowed) if kind not in INLINE else _paragraph([node])
    match kind:
        case "paragraph":
            return _paragraph(children(node))
        case "heading":
            content = _inline(children(node))
            level = attrs.get("level")
            level = level if isinstance(level, int) and 1 <= level <= 6 else 6
            return [{"type": "heading", "attrs": {"level": level}, "content": content}] if content else []
        case "codeBlock":
            return [_code(node)]
        case "rule":
            return [{"type": "rule"}]
        case "bulletList" | "orderedList":
            return _list(node, kind, attrs)
        case "blockquote" | "panel" | "expand":
            inside = blocks(children(node), _FLOW)
            kept = {"panelType": attrs.get("panelType", "info")} if kind == "panel" else {}
            kept |= {"title": str(attrs.get("title", ""))} if kind == "expand" else {}
            made: Node = {"type": kind, **({"attrs": kept} if kept else {}), "content": inside}
            return [made] if inside else []
        case _:
            return _table(node)


def _paragraph(nodes: Iterable[Node]) -> list[Node]:
    content = _inline(nodes)
    return [{"type": "paragraph", "content": content}] if content else []


def _list(node: Node, kind: str, attrs: Node) -> list[Node]:
    items = [_item(one, "listItem") for one in children(node)]
    if not items:
        return []
    order = attrs.get("order")
    numbered = kind == "orderedList" and isinstance(order, int) and order >= 0
    return [{"type": kind, **({"attrs": {"order": order}} if numbered else {}), "content": items}]


def _item(node: Node, kind: str) -> Node:
    inside = blocks(children(node), _FLOW)
    return {"type": kind, "content": inside or [{"type": "paragraph", "content": []}]}


def _task(node: Node) -> Node:
    """An item of a list of tasks, as one of an ordinary list: such need no numbers of their own."""
    done = "[x] " if attrs_of(node).get("state") == "DONE" else "[ ] "
    return {"content": [{"type": "paragraph", "content": [{"type": "text", "text": done}, *children(node)]}]}


def _code(node: Node) -> Node:
    text = "".join(str(one.get("text", "")) for one in children(node))
    language = attrs_of(node).get("language")
    attrs = {"attrs": {"language": language}} if isinstance(language, str) and language else {}
    return {"type": "codeBlock", **attrs, "content": [{"type": "text", "text": text}] if text else []}


def _table(node: Node) -> list[Node]:
    rows: list[Node] = []
    for row in children(node):
        cells = [
            _item(cell, "tableHeader" if cell.get("type") == "tableHeader" else "tableCell") for cell in children(row)
        ]
        if cells:
            rows.append({"type": "tableRow", "content": cells})
    return [{"type": "table", "content": rows}] if rows else []


def _inline(nodes: Iterable[Node]) -> list[Node]:
    made: list[Node] = []
    for node in nodes:
        kind = node.get("type")
        if kind == "text":
            text = node.get("text")
            if isinstance(text, str) and text:
                made += _spaced(text, marks_of(node))
        elif kind == "hardBreak":
            made.append({"type": "hardBreak"})
        elif kind in INLINE:
            made += _linked(node)
        else:
            made += _inline(children(node))
    return _trimmed(made)


def _trimmed(nodes: list[Node]) -> list[Node]:
    """Texts of the same kind become one; blanks at both ends and around line breaks go, as Markdown has none there."""
    joined: list[Node] = []
    for node in nodes:
        before = joined[-1] if joined else {"type": "hardBreak"}
        if node["type"] == "hardBreak":
            _strip_end(joined)
            if not joined or joined[-1]["type"] == "hardBreak":
                continue
        elif before["type"] == "hardBreak" and not _is_code(node):
            node = {**node, "text": node["text"].lstrip()}
        if node.get("text") == "":
            continue
        if node["type"] == "text" == before["type"] and node.get("marks") == before.get("marks"):
            joined[-1] = {**before, "text": before["text"] + node["text"]}
        else:
            joined.append(node)
    _strip_end(joined)
    while joined and joined[-1]["type"] == "hardBreak":
        joined.pop()
        _strip_end(joined)
    return joined


def _strip_end(nodes: list[Node]) -> None:
    while nodes and nodes[-1]["type"] == "text" and not _is_code(nodes[-1]):
        text = nodes[-1]["text"].rstrip()
        if text:
            nodes[-1] = {**nodes[-1], "text": text}
            return
        nodes.pop()


def _is_code(node: Node) -> bool:
    return any(mark.get("type") == "code" for mark in listed(node.get("marks")))


def _spaced(text: str, marks: list[Node]) -> list[Node]:
    """The text with its marks, and blanks at its ends without: Markdown cannot mark those."""
    if not marks or any(mark["type"] == "code" for mark in marks):
        return [_text(text, marks)]
    core = text.strip()
    start = len(text) - len(text.lstrip())
    ends: list[Node] = []
    parts = ((text[:start], ends), (core, marks), (text[start + len(core) :], ends)) if core else ((text, ends),)
    return [_text(part, kept) for part, kept in parts if part]


def _text(text: str, marks: list[Node]) -> Node:
    return {"type": "text", "text": text, **({"marks": marks} if marks else {})}


def marks_of(node: Node) -> list[Node]:
    """Those that are known, each once; code goes with nothing but a link."""
    found: dict[str, Node] = {}
    for mark in listed(node.get("marks")):
        kind = mark.get("type")
        if kind == "link":
            href = str(attrs_of(mark).get("href", ""))
            if _URL.fullmatch(href):
                found["link"] = {"type": "link", "attrs": {"href": href}}
        elif kind in _MARKS:
            found[str(kind)] = {"type": kind}
    if "code" in found:
        return [found[kind] for kind in ("code", "link") if kind in found]
    return [found[kind] for kind in _MARKS if kind in found]


def _linked(node: Node) -> list[Node]:
    """What stands for a picture, a card or a person: its words, as a link where it has an address."""
    attrs = [attrs_of(one) for one in walk(node)]
    url = next((str(one["url"]) for one in attrs if one.get("url")), "")
    words = next((str(one[key]) for one in attrs for key in ("alt", "text", "shortName") if one.get(key)), "") or url
    if not words:
        return []
    return [_text(words, [{"type": "link", "attrs": {"href": url}}] if _URL.fullmatch(url) else [])]


def children(node: Node) -> list[Node]:
    return listed(node.get("content"))


def listed(found: object) -> list[Node]:
    if not isinstance(found, list):
        return []
    return [cast("Node", child) for child in cast("list[object]", found) if isinstance(child, dict)]


def attrs_of(node: Node) -> Node:
    attrs = node.get("attrs")
    return cast("Node", attrs) if isinstance(attrs, dict) else {}


def href_of(node: Node) -> str:
    return "".join(str(attrs_of(mark).get("href", "")) for mark in listed(node.get("marks")))


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, without recursion: documents of others may be deep."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        waiting.extend(reversed(children(found)))
