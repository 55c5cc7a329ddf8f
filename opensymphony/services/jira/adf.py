"""Markdown to and from Atlassian's document format (ADF).

In: Markdown of ours, in which an agent may be quoted. Out: a document that Jira takes, with nothing in it but text: whatever
looks like HTML stays text, so that nobody mentions people or starts a macro with our account. The other way: a document of
whoever may write tickets, however odd, becomes Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

import marklas

Node = dict[str, Any]

CHARACTERS_MAX = 30_000
"""Jira takes 32,767 in a comment, and does not say what it counts."""
_READ_CHARACTERS_MAX = 100_000
_NODES_MAX = 50_000
_DEPTH_MAX = 40
_ROUNDS_MAX = 6
_FENCE = re.compile(r"^ {0,3}(?P<mark>`{3,}|~{3,})")
_CODE_SPAN = re.compile(r"(?<!`)(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)")
_TAG = re.compile(r"(?<!\\)<(?=[A-Za-z/!?])(?!(?:https?|mailto):)(?!br ?/?>)")
_CONTAINER = re.compile(r"^(?P<lead> {0,12}(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]+)+)(?P<rest>.*)$")
_MARKER = re.compile(r"(?:>|[-*+]|\d{1,9}[.)])[ \t]+")
_HEADING = re.compile(r"#{1,6}[ \t]+(?P<text>.*?)[ \t]*#*$")
_LINK = re.compile(r'<a href="([^"]*)">(.*?)</a>', re.DOTALL)
_MARKS = ("strong", "em", "strike", "code", "link")
_FLOW = ("paragraph", "bulletList", "orderedList", "codeBlock")
_TOP = (*_FLOW, "heading", "blockquote", "rule", "table", "panel", "expand")
_INLINE = ("text", "hardBreak", "mention", "emoji", "inlineCard", "date", "status", "placeholder", "mediaInline")
_URL = re.compile(r"(?:https?://|mailto:)[^\s<>\"]+")


def to_document(markdown: str, *, characters_max: int = CHARACTERS_MAX) -> Node:
    """The document; a text that is too long is cut at a line, and says so."""
    text = markdown.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    kept = text
    while True:
        document = _settled(kept)
        if len(kept) < 200 or length(document) <= characters_max:
            return document
        shorter = kept[: min(len(kept) * 3 // 4, characters_max)]
        kept = f"{shorter.rpartition(chr(10))[0] or shorter}\n\n(shortened)"


def length(document: Node) -> int:
    """Characters as we count them: texts and addresses, and something for each node."""
    return sum(len(str(node.get("text", ""))) + len(_href(node)) + 2 for node in _walk(document))


def folded(title: str, text: str) -> Node:
    """A long text behind a title that opens it."""
    inside: list[Node] = [{"type": "text", "text": text}] if text else []
    block: Node = {"type": "codeBlock", "attrs": {"language": "text"}, "content": inside}
    return {"type": "expand", "attrs": {"title": title}, "content": [block]}


def to_markdown(document: object) -> str:
    """What a document says; empty for one that says nothing, its bare words for one that cannot be understood."""
    if isinstance(document, str):
        return document.strip()[:_READ_CHARACTERS_MAX]
    if not isinstance(document, dict):
        return ""
    try:
        budget = [_NODES_MAX]
        readable: Node = {"type": "doc", "version": 1, "content": list(_readable(cast("Node", document), budget, 0))}
        text = marklas.to_md(readable, plain=True)
    except Exception:  # an odd document must not keep a ticket from being read
        text = " ".join(
            str(node["text"]) for node in _walk(cast("Node", document)) if isinstance(node.get("text"), str)
        )
    return _plain_markdown(text).strip()[:_READ_CHARACTERS_MAX]


def _settled(markdown: str) -> Node:
    """Converted until another conversion there and back changes nothing: what Markdown cannot say so is said otherwise."""
    document = _converted(markdown)
    for _ in range(_ROUNDS_MAX):
        again = _converted(to_markdown(document))
        if again == document:
            break
        document = again
    return document


def _converted(markdown: str) -> Node:
    prepared = _prepared(markdown)
    try:
        found = marklas.to_adf(prepared)
    except RecursionError:
        found = {"content": [{"type": "paragraph", "content": [{"type": "text", "text": markdown.strip() or " "}]}]}
    return {"type": "doc", "version": 1, "content": _blocks(_children(cast("Node", found)), _TOP)}


def _prepared(markdown: str) -> str:
    """Tags lose their power outside of code; what ADF does not have inside of lists and quotes is flattened."""
    lines: list[str] = []
    fence, prose = "", list[str]()

    def end_prose() -> None:
        if prose:
            lines.append(_without_tags("\n".join(prose)))
            prose.clear()

    for line in markdown.split("\n"):
        found = _FENCE.match(line)
        if fence:
            lines.append(line)
            if found is not None and found["mark"].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif found is not None:
            end_prose()
            fence = found["mark"]
            lines.append(line)
        else:
            prose.append(_flattened(line))
    end_prose()
    return "\n".join(lines)


def _flattened(line: str) -> str:
    """A quote inside of a list or of a quote loses its mark, a heading inside of either becomes bold."""
    container = _CONTAINER.match(line)
    if container is None:
        return line
    lead, rest = container["lead"], container["rest"]
    marks = _MARKER.findall(lead)
    within = len(lead) - len(lead.lstrip(" ")) >= 2
    kept = [mark for at, mark in enumerate(marks) if mark.strip() != ">" or (at == 0 and not within)]
    lead = " " * (len(lead) - len(lead.lstrip(" "))) + "".join(kept)
    heading = _HEADING.fullmatch(rest)
    if heading is not None:
        text = heading["text"].strip().strip("*")
        rest = f"**{text}**" if text else ""
    return f"{lead}{rest}"


def _without_tags(text: str) -> str:
    parts: list[str] = []
    position = 0
    for span in _CODE_SPAN.finditer(text):
        parts += [_TAG.sub(r"\\<", text[position : span.start()]), span[0]]
        position = span.end()
    return "".join((*parts, _TAG.sub(r"\\<", text[position:])))


def _blocks(nodes: Iterable[Node], allowed: tuple[str, ...]) -> list[Node]:
    """Blocks of the kinds that are allowed here, made of whatever was found."""
    made: list[Node] = []
    for node in nodes:
        made += _block(node, allowed)
    return made


def _block(node: Node, allowed: tuple[str, ...]) -> list[Node]:
    kind, attrs = str(node.get("type")), _attrs(node)
    if kind == "taskList":
        items = [_item(_task(one), "listItem") for one in _children(node)]
        return [{"type": "bulletList", "content": items}] if items else []
    if kind in ("mediaSingle", "mediaGroup", "media", "blockCard", "embedCard"):
        return [{"type": "paragraph", "content": inline} for inline in [_linked(node)] if inline]
    if kind not in allowed:
        return _blocks(_children(node), allowed) if kind not in _INLINE else _paragraph([node])
    match kind:
        case "paragraph":
            return _paragraph(_children(node))
        case "heading":
            content = _inline(_children(node))
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
            inside = _blocks(_children(node), _FLOW)
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
    items = [_item(one, "listItem") for one in _children(node)]
    if not items:
        return []
    order = attrs.get("order")
    numbered = kind == "orderedList" and isinstance(order, int) and order >= 0
    return [{"type": kind, **({"attrs": {"order": order}} if numbered else {}), "content": items}]


def _item(node: Node, kind: str) -> Node:
    inside = _blocks(_children(node), _FLOW)
    return {"type": kind, "content": inside or [{"type": "paragraph", "content": []}]}


def _task(node: Node) -> Node:
    """An item of a list of tasks, as one of an ordinary list: such need no numbers of their own."""
    done = "[x] " if _attrs(node).get("state") == "DONE" else "[ ] "
    return {"content": [{"type": "paragraph", "content": [{"type": "text", "text": done}, *_children(node)]}]}


def _code(node: Node) -> Node:
    text = "".join(str(one.get("text", "")) for one in _children(node))
    language = _attrs(node).get("language")
    attrs = {"attrs": {"language": language}} if isinstance(language, str) and language else {}
    return {"type": "codeBlock", **attrs, "content": [{"type": "text", "text": text}] if text else []}


def _table(node: Node) -> list[Node]:
    rows: list[Node] = []
    for row in _children(node):
        cells = [
            _item(cell, "tableHeader" if cell.get("type") == "tableHeader" else "tableCell") for cell in _children(row)
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
                made += _spaced(text, _marks(node))
        elif kind == "hardBreak":
            made.append({"type": "hardBreak"})
        elif kind in _INLINE:
            made += _linked(node)
        else:
            made += _inline(_children(node))
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
    return any(mark.get("type") == "code" for mark in _listed(node.get("marks")))


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


def _marks(node: Node) -> list[Node]:
    """Those that are known, each once; code goes with nothing but a link."""
    found: dict[str, Node] = {}
    for mark in _listed(node.get("marks")):
        kind = mark.get("type")
        if kind == "link":
            href = str(_attrs(mark).get("href", ""))
            if _URL.fullmatch(href):
                found["link"] = {"type": "link", "attrs": {"href": href}}
        elif kind in _MARKS:
            found[str(kind)] = {"type": kind}
    if "code" in found:
        return [found[kind] for kind in ("code", "link") if kind in found]
    return [found[kind] for kind in _MARKS if kind in found]


def _linked(node: Node) -> list[Node]:
    """What stands for a picture, a card or a person: its words, as a link where it has an address."""
    attrs = [_attrs(one) for one in _walk(node)]
    url = next((str(one["url"]) for one in attrs if one.get("url")), "")
    words = next((str(one[key]) for one in attrs for key in ("alt", "text", "shortName") if one.get(key)), "") or url
    if not words:
        return []
    return [_text(words, [{"type": "link", "attrs": {"href": url}}] if _URL.fullmatch(url) else [])]


def _readable(node: Node, budget: list[int], depth: int) -> Iterator[Node]:
    """The children of a node as marklas can read them: a kind that it does not know gives way to what is in it."""
    for child in _children(node):
        budget[0] -= 1
        if budget[0] < 0 or depth > _DEPTH_MAX:
            return
        kind = child.get("type")
        if not isinstance(kind, str):
            continue
        kept = {key: value for key, value in child.items() if key in ("type", "text", "attrs", "marks")}
        if kind == "text":
            if isinstance(child.get("text"), str) and child["text"]:
                yield {"type": "text", "text": child["text"], "marks": _marks(child)}
        elif kind in _KNOWN:
            inside = list(_readable(child, budget, depth + 1))
            yield {**kept, "attrs": _attrs(child), **({"content": inside} if "content" in child else {})}
        else:
            yield from _readable(child, budget, depth + 1)


_KNOWN = frozenset(
    (
        *_TOP,
        *_INLINE,
        *("listItem", "tableRow", "tableHeader", "tableCell", "taskList", "taskItem", "decisionList", "decisionItem"),
        *("mediaSingle", "mediaGroup", "media", "caption", "blockCard", "embedCard", "nestedExpand"),
    )
)


def _plain_markdown(text: str) -> str:
    """Without the HTML that stands for what Markdown has, outside of code."""
    parts: list[str] = []
    position = 0
    for span in re.finditer(
        r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)[ \t]*$|(?P<ticks>`+)[^`]+(?P=ticks)", text, re.MULTILINE | re.DOTALL
    ):
        parts += [_without_html(text[position : span.start()]), span[0]]
        position = span.end()
    return "".join((*parts, _without_html(text[position:])))


def _without_html(text: str) -> str:
    text = _LINK.sub(lambda found: found[1] if found[1] == found[2] else f"[{found[2]}](<{found[1]}>)", text)
    text = re.sub(r"(?m)^</?(?:aside|details|figure)>\n*|</?(?:aside|details|figure)>", "", text)
    return re.sub(r"</?summary>", "", text)


def _children(node: Node) -> list[Node]:
    return _listed(node.get("content"))


def _listed(found: object) -> list[Node]:
    if not isinstance(found, list):
        return []
    return [cast("Node", child) for child in cast("list[object]", found) if isinstance(child, dict)]


def _attrs(node: Node) -> Node:
    attrs = node.get("attrs")
    return cast("Node", attrs) if isinstance(attrs, dict) else {}


def _href(node: Node) -> str:
    return "".join(str(_attrs(mark).get("href", "")) for mark in _listed(node.get("marks")))


def _walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, without recursion: documents of others may be deep."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        waiting.extend(reversed(_children(found)))
