"""Markdown to and from Atlassian's document format (ADF).

In: Markdown of ours, in which an agent may be quoted. Out: a document that Jira takes, with nothing in it but text: whatever
looks like HTML stays text, so that nobody mentions people or starts a macro with our account. The other way: a document of
whoever may write tickets, however odd, becomes Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import marklas

from opensymphony.services.jira.nodes import INLINE, TOP, Node, attrs_of, blocks, children, href_of, marks_of, walk

CHARACTERS_MAX = 30_000
"""Jira takes 32,767 in a comment, and does not say what it counts."""
_READ_CHARACTERS_MAX = 100_000
_NODES_MAX = 50_000
_DEPTH_MAX = 40
_ROUNDS_MAX = 6
_OPEN_LINES_MAX = 12
"""A log that is longer is folded."""
_FENCE = re.compile(r"^ {0,3}(?P<mark>`{3,}|~{3,})")
_CODE_SPAN = re.compile(r"(?<!`)(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)")
_TAG = re.compile(r"(?<!\\)<(?=[A-Za-z/!?])(?!(?:https?|mailto):)(?!br ?/?>)")
_CONTAINER = re.compile(r"^(?P<lead> {0,12}(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]+)+)(?P<rest>.*)$")
_MARKER = re.compile(r"(?:>|[-*+]|\d{1,9}[.)])[ \t]+")
_HEADING = re.compile(r"#{1,6}[ \t]+(?P<text>.*?)[ \t]*#*$")
_LINK = re.compile(r'<a href="([^"]*)">(.*?)</a>', re.DOTALL)


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
    return sum(len(str(node.get("text", ""))) + len(href_of(node)) + 2 for node in walk(document))


def folded(document: Node) -> Node:
    """The document with each long log behind a title that opens it: the line above it, if that ends in a colon."""
    shown: list[Node] = []
    for node in children(document):
        text = "".join(str(part.get("text", "")) for part in walk(node))
        if node.get("type") != "codeBlock" or text.count("\n") < _OPEN_LINES_MAX:
            shown.append(node)
            continue
        above = "".join(str(part.get("text", "")) for part in walk(shown[-1])) if shown else ""
        titled = above.endswith(":") and "\n" not in above and shown[-1].get("type") == "paragraph"
        if titled:
            shown.pop()
        title = above.removesuffix(":") if titled else f"{text.count(chr(10)) + 1} lines"
        shown.append({"type": "expand", "attrs": {"title": title}, "content": [node]})
    return {**document, "content": shown}


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
        text = " ".join(str(node["text"]) for node in walk(cast("Node", document)) if isinstance(node.get("text"), str))
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
    return {"type": "doc", "version": 1, "content": blocks(children(cast("Node", found)), TOP)}


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


def _readable(node: Node, budget: list[int], depth: int) -> Iterator[Node]:
    """The children of a node as marklas can read them: a kind that it does not know gives way to what is in it."""
    for child in children(node):
        budget[0] -= 1
        if budget[0] < 0 or depth > _DEPTH_MAX:
            return
        kind = child.get("type")
        if not isinstance(kind, str):
            continue
        kept = {key: value for key, value in child.items() if key in ("type", "text", "attrs", "marks")}
        if kind == "text":
            if isinstance(child.get("text"), str) and child["text"]:
                yield {"type": "text", "text": child["text"], "marks": marks_of(child)}
        elif kind in _KNOWN:
            inside = list(_readable(child, budget, depth + 1))
            yield {**kept, "attrs": attrs_of(child), **({"content": inside} if "content" in child else {})}
        else:
            yield from _readable(child, budget, depth + 1)


_KNOWN = frozenset(
    (
        *TOP,
        *INLINE,
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
