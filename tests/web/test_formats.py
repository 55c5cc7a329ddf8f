"""The dashboard's own functions on text and numbers, called in the browser."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page

from tests.web.conftest import Open


async def call(page: Page, module: str, name: str, *arguments: object) -> Any:
    return await page.evaluate(
        "async ([module, name, given]) => (await import(`/assets/${module}.js`))[name](...given)",
        [module, name, list(arguments)],
    )


GIT = """\
diff --git a/old name.py b/new name.py
similarity index 90%
rename from old name.py
rename to new name.py
index 1..2 100644
--- a/old name.py
+++ b/new name.py
@@ -3,3 +3,3 @@ def f():
 same
--- a line that began with two dashes
+++ and one with two plus signs
 last
\\ No newline at end of file
diff --git a/gone b/gone
deleted file mode 100644
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-x
diff --git a/b.bin b/b.bin
Binary files a/b.bin and b/b.bin differ
"""
PLAIN = "--- a/one\n+++ b/one\n@@ -1 +1 @@\n-a\n+b\n--- a/two\n+++ b/two\n@@ -7,0 +8,2 @@\n+c\n+d\n"


async def test_diffs_are_read_as_git_means_them(open_tab: Open) -> None:
    """Lines that look like headers inside a hunk, renames, deletions, files that are not text, diffs without git's own line."""
    page = await open_tab()
    files = await call(page, "diff", "parse", GIT)
    assert [(one["path"], one["added"], one["deleted"]) for one in files] == [
        ("new name.py", 1, 1),
        ("gone", 0, 1),
        ("b.bin", 0, 0),
    ]
    code = [one for one in files[0]["lines"] if one["kind"] not in ("note", "hunk")]
    assert [(one["kind"], one.get("old"), one.get("now"), one["text"]) for one in code] == [
        ("same", 3, 3, "same"),
        ("deleted", 4, None, "-- a line that began with two dashes"),
        ("added", None, 4, "++ and one with two plus signs"),
        ("same", 5, 5, "last"),
    ]
    assert {"kind": "note", "text": "No newline at end of file"} in files[0]["lines"]
    assert files[2]["lines"] == [{"kind": "note", "text": "Binary files a/b.bin and b/b.bin differ"}]
    plain = await call(page, "diff", "parse", PLAIN)
    assert [(one["path"], one["added"], one["deleted"]) for one in plain] == [("one", 1, 1), ("two", 2, 0)]
    assert [one.get("now") for one in plain[1]["lines"]] == [None, 8, 9]
    wrong = await call(
        page,
        "diff",
        "parse",
        PLAIN.replace("--- a/two", "diff --git a/two b/two\n--- a/two").replace("-1 +1", "-1,9 +1,9"),
    )
    assert [(one["path"], one["added"], one["deleted"]) for one in wrong] == [("one", 1, 1), ("two", 2, 0)]
    assert await call(page, "diff", "parse", "") == []
    bare = await call(page, "diff", "parse", "-a\n+b")
    assert [(one["added"], one["deleted"]) for one in bare] == [(1, 1)]


CASES = (
    ("format", "duration", -5, "0s"),
    ("format", "duration", 59_999, "59s"),
    ("format", "duration", 3_600_000, "1h"),
    ("format", "duration", 7_500_000, "2h 5m"),
    ("format", "duration", 90_000_000, "1d 1h"),
    ("format", "short", 999, "999"),
    ("format", "short", 1_000, "1.0k"),
    ("format", "short", 12_400, "12k"),
    ("format", "short", 999_499, "999k"),
    ("format", "short", 999_500, "1.0M"),
    ("format", "money", 0, "0.00"),
    ("format", "money", 1, "<0.01"),
    ("format", "money", 1_234_567_890, "1,234.57"),
    ("format", "clean", "a\x1b[31mb\x1b]0;t\x07c\x00\u202ed\r\ne", "abc\u2400\ufffdd\ne"),
    ("format", "clean", "שלום, naïve 日本 👍🏽", "שלום, naïve 日本 👍🏽"),
    ("format", "line", " a\n\tb  c ", "a b c"),
    ("format", "date", "2026-01-31", "31 Jan"),
    ("dom", "safeUrl", "javascript:alert(1)", None),
    ("dom", "safeUrl", " JAVASCRIPT:alert(1)", None),
    ("dom", "safeUrl", "https://x.example/a b", "https://x.example/a%20b"),
    ("dom", "safeUrl", "//x.example", None),
    ("charts", "steps", 0, [0]),
    ("charts", "steps", 21, [0, 10, 20]),
    ("charts", "steps", 0.3, [0, 0.1, 0.2, 0.3]),
    ("charts", "median", [3, 1, 2, 10], 2.5),
    ("charts", "median", [], None),
)


async def test_numbers_and_texts_are_written_for_people(open_tab: Open) -> None:
    """Limits between units, what a terminal would obey, addresses that are none."""
    page = await open_tab()
    found = [(module, name, given, await call(page, module, name, given)) for module, name, given, _ in CASES]
    assert found == list(CASES)
