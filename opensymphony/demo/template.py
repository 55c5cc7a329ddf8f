"""The demo's small repository, as text: path in the repository -> content.

Plain Python from 3.8 on, tested with `python3 -m unittest`, so that nothing has to be installed. Each ticket has one test
module that fails here on purpose (`tests/test_demo_<n>.py`); every other test passes.
"""

from __future__ import annotations

_README = """\
# textkit

Small text functions, for the demo of OpenSymphony. Tests: `python3 -m unittest`.

The tests in `tests/test_demo_*.py` belong to the tickets in `../board/`; they fail until their ticket is done.
"""

_SLUGS = '''\
"""Names for web addresses."""


def slugify(title):
    """Return the title in a form that fits into a web address."""
    return title.strip().lower().replace(" ", "-")
'''

_DURATIONS = '''\
"""Durations as people write them."""

_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text):
    """Return the seconds in a duration such as "90s" or "45m"; ValueError for anything else."""
    unit = text[-1:]
    if unit not in _SECONDS or not text[:-1].isdigit():
        raise ValueError("not a duration: %r" % text)
    return int(text[:-1]) * _SECONDS[unit]
'''

_MONEY = '''\
"""Amounts of money."""


def format_cents(cents):
    """Return an amount with two places: 1999 is "19.99"."""
    return "%d.%02d" % (cents // 100, cents % 100)
'''

_HEADINGS = '''\
"""Headings for plain text."""


def underline(title, mark="="):
    """Return the title with a line of the same length below it."""
    return title + "\\n" + mark * len(title)
'''

_TEST_SLUGS = """\
import unittest

from textkit.slugs import slugify


class Slugs(unittest.TestCase):
    def test_spaces_become_hyphens(self):
        self.assertEqual(slugify("Plain words"), "plain-words")
"""

_TEST_DURATIONS = """\
import unittest

from textkit.durations import parse_duration


class Durations(unittest.TestCase):
    def test_one_unit(self):
        self.assertEqual(parse_duration("90s"), 90)
        self.assertEqual(parse_duration("45m"), 2700)
"""

_TEST_MONEY = """\
import unittest

from textkit.money import format_cents


class Money(unittest.TestCase):
    def test_two_places(self):
        self.assertEqual(format_cents(1999), "19.99")
        self.assertEqual(format_cents(5), "0.05")
"""

_TEST_HEADINGS = """\
import unittest

from textkit.headings import underline


class Headings(unittest.TestCase):
    def test_line_is_as_long_as_the_title(self):
        self.assertEqual(underline("News"), "News\\n====")
        self.assertEqual(underline("ab", "-"), "ab\\n--")
"""

_TEST_DEMO_1 = '''\
"""DEMO-1: slugs without punctuation."""

import unittest

from textkit.slugs import slugify


class SlugsWithoutPunctuation(unittest.TestCase):
    def test_punctuation_is_left_out(self):
        self.assertEqual(slugify("Hello, World!"), "hello-world")

    def test_hyphens_never_double_and_never_stand_at_an_end(self):
        self.assertEqual(slugify("  Rock & Roll -- live! "), "rock-roll-live")

    def test_nothing_but_punctuation_is_empty(self):
        self.assertEqual(slugify("?!"), "")
'''

_TEST_DEMO_2 = '''\
"""DEMO-2: durations with several units."""

import unittest

from textkit.durations import parse_duration


class DurationsWithSeveralUnits(unittest.TestCase):
    def test_hours_minutes_and_seconds_add_up(self):
        self.assertEqual(parse_duration("1h30m"), 5400)
        self.assertEqual(parse_duration("2h0m5s"), 7205)

    def test_one_unit_works_as_before(self):
        self.assertEqual(parse_duration("90s"), 90)

    def test_anything_else_is_refused(self):
        for text in ("", "soon", "1h30", "30m1h", "1h 30m", "h"):
            with self.subTest(text=text), self.assertRaises(ValueError):
                parse_duration(text)
'''

_TEST_DEMO_3 = '''\
"""DEMO-3: negative amounts."""

import unittest

from textkit.money import format_cents


class NegativeAmounts(unittest.TestCase):
    def test_sign_stands_in_front(self):
        self.assertEqual(format_cents(-195), "-1.95")
        self.assertEqual(format_cents(-5), "-0.05")

    def test_zero_has_no_sign(self):
        self.assertEqual(format_cents(0), "0.00")
'''

_TEST_DEMO_4 = '''\
"""DEMO-4: one slug for each title."""

import unittest

from textkit.listing import unique_slugs


class OneSlugForEachTitle(unittest.TestCase):
    def test_the_second_of_two_gets_a_number(self):
        self.assertEqual(unique_slugs(["News", "About us", "news"]), ["news", "about-us", "news-2"])

    def test_a_number_that_is_taken_is_passed_over(self):
        self.assertEqual(unique_slugs(["news", "news 2", "news"]), ["news", "news-2", "news-3"])
'''

FILES: dict[str, str] = {
    ".gitignore": "__pycache__/\n",
    "README.md": _README,
    "textkit/__init__.py": '"""Small text functions."""\n',
    "textkit/slugs.py": _SLUGS,
    "textkit/durations.py": _DURATIONS,
    "textkit/money.py": _MONEY,
    "textkit/headings.py": _HEADINGS,
    "tests/__init__.py": "",
    "tests/test_slugs.py": _TEST_SLUGS,
    "tests/test_durations.py": _TEST_DURATIONS,
    "tests/test_money.py": _TEST_MONEY,
    "tests/test_headings.py": _TEST_HEADINGS,
    "tests/test_demo_1.py": _TEST_DEMO_1,
    "tests/test_demo_2.py": _TEST_DEMO_2,
    "tests/test_demo_3.py": _TEST_DEMO_3,
    "tests/test_demo_4.py": _TEST_DEMO_4,
}
