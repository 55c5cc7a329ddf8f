"""Reading Structs out of placed values."""

from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct

from opensymphony.schema import (
    Placed,
    Reader,
    Surroundings,
    absolute_path,
    is_path,
    key_paths,
    looks_secret,
    shown,
    variable_in,
)

AROUND = Surroundings(environment={"SET": "7", "EMPTY": "", "YES": "true"}, home="/h/me", directory="/base")


class Inner(Struct, frozen=True, kw_only=True):
    number: Annotated[int, Meta(ge=1, le=9)] = 3
    place: Annotated[str, Meta(extra={"as": "path"})] | None = None


class Outer(Struct, frozen=True, kw_only=True):
    name: str
    inner: Inner = Inner()
    other: Inner | None = None
    flag: bool = False
    choice: Literal["a", "b"] = "a"
    items: tuple[str, ...] = ()


def placed(value, line=1):
    """Plain values, each key on a line of its own."""
    if isinstance(value, dict):
        return Placed({key: placed(child, line + at + 1) for at, (key, child) in enumerate(value.items())}, line)
    if isinstance(value, list):
        return Placed(tuple(placed(child, line) for child in value), line)
    return Placed(value, line)


def read(value):
    """The Struct and the keys of the problems."""
    reader = Reader("f", AROUND)
    return reader.read(Outer, placed(value)), [problem.key for problem in reader.problems]


def test_good_values_become_a_struct():
    """Variables, paths and defaults included."""
    found, problems = read({"name": "$SET", "inner": {"number": "$SET", "place": "x"}, "flag": "$YES", "items": ["a"]})
    assert problems == []
    assert found == Outer(name="7", inner=Inner(number=7, place="/base/x"), flag=True, items=("a",))


def test_what_is_wrong_has_its_default_so_that_the_rest_is_still_checked():
    """One error does not hide the next."""
    found, problems = read(
        {"name": "n", "inner": {"number": 10}, "flag": "yes", "choice": "c", "items": ["a", 1], "x": 1}
    )
    assert problems == ["inner.number", "flag", "choice", "items[1]", "x"]
    assert found == Outer(name="n")


def test_a_missing_required_key_leaves_no_struct():
    """There is nothing to stand in for it."""
    assert read({}) == (None, ["name"])
    assert read({"name": "$EMPTY"}) == (None, ["name"])
    assert read({"name": "n", "other": "text"}) == (Outer(name="n"), ["other"])


def test_failed_knows_what_is_below():
    """So that what follows from an error is not told as another one."""
    reader = Reader("f", AROUND)
    reader.read(Outer, placed({"name": "n", "inner": {"number": 0}, "items": [1]}))
    assert reader.failed("inner") and reader.failed("inner.number") and reader.failed("items")
    assert not reader.failed("inner.place") and not reader.failed("name", "inne")


@pytest.mark.parametrize("text", ["$A", "${A}", " $A "])
def test_a_variable_is_a_whole_value(text):
    """Nothing is replaced inside of a text."""
    assert variable_in(text) == "A"


@pytest.mark.parametrize("text", ["a$A", "$A b", "$1", "${A", "$", "$A$B", "${A}/x"])
def test_a_text_that_holds_a_dollar_is_no_variable(text):
    """It is taken as it is."""
    assert variable_in(text) is None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("~", "/h/me"),
        ("~/a/../b", "/h/me/b"),
        ("a//b/", "/base/a/b"),
        ("../..", "/"),
        ("//x", "/x"),
        ("~~", None),
        ("~joe", None),
    ],
)
def test_paths_are_made_absolute_without_looking(text, path):
    """Another user's home is refused: it would need a look."""
    if path is None:
        with pytest.raises(ValueError, match="home"):
            absolute_path(text, AROUND)
    else:
        assert absolute_path(text, AROUND) == path


def test_what_is_not_utf_8_text_is_refused():
    """The environment can hold any bytes; a policy stands in the journal, which cannot."""
    odd = Surroundings(environment={"NAME": "a\udcff"}, home="/h/\udcff", directory="/base")
    reader = Reader("f.yaml", odd)
    reader.read(Outer, placed({"name": "$NAME"}))
    assert "environment variable NAME is not UTF-8 text" in reader.problems[0].message
    with pytest.raises(ValueError, match="not UTF-8 text"):
        absolute_path("~/x", odd)


def test_a_path_is_told_from_an_address_as_git_does():
    """No scheme, and no `host:` before the first slash."""
    assert all(map(is_path, ("a", "a/b", "/a", "~/a", "./a:b", "a/b:c")))
    assert not any(map(is_path, ("https://a", "host:a", "git@host:a/b", "ext::sh")))


def test_what_looks_like_a_secret():
    """The last word decides."""
    assert all(map(looks_secret, ("api_key", "LLM_API_KEY", "x.token", "db_password", "session_key", "authorization")))
    assert not any(map(looks_secret, ("project_key", "prompt_tokens", "api_key_env", "monkey", "token_count")))


def test_a_value_in_a_message_is_short():
    """And on one line."""
    assert shown("a\n" * 100) == '"' + "a\\n" * 19 + 'a…"'
    assert [shown(value) for value in (None, True, 1, {}, ())] == ["nothing", "true", "1", "a section", "a list"]


def test_every_key_has_its_path():
    """Sections before what is in them, optional ones too."""
    assert key_paths(Outer)[:4] == ["name", "inner", "inner.number", "inner.place"]
    assert "other.number" in key_paths(Outer)
