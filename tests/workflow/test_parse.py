"""Taking a WORKFLOW.md apart: what is accepted, what is refused, and on which line."""

import pytest

from opensymphony.schema import Placed
from opensymphony.workflow.parse import FILE_BYTES_MAX, FRONT_MATTER_CHARS_MAX, NOT_A_MAP, PARSE_ERROR, parse


def front_of(yaml):
    """The front matter as plain values."""
    document, problems = parse(f"---\n{yaml}\n---\n", "WORKFLOW.md")
    assert problems == (), problems
    return plain(document.front)


def plain(placed):
    if isinstance(placed.value, dict):
        return {key: plain(child) for key, child in placed.value.items()}
    if isinstance(placed.value, tuple):
        return [plain(child) for child in placed.value]
    return placed.value


def refusal(data):
    """The only problem of a file."""
    document, problems = parse(data, "WORKFLOW.md")
    assert document is None
    (problem,) = problems
    return problem


def test_without_front_matter_everything_is_prompt():
    """A file that does not begin with --- has no front matter."""
    document, problems = parse("Fix it.\n---\nand that\n", "WORKFLOW.md")
    assert problems == ()
    assert not document.has_front_matter
    assert (document.prompt, document.prompt_line) == ("Fix it.\n---\nand that", 1)


def test_a_later_fence_stays_in_the_prompt():
    """Only the first closing --- ends the front matter."""
    document, _ = parse("---\na: 1\n---\n\n\nfirst\n---\nsecond\n", "WORKFLOW.md")
    assert document.prompt == "first\n---\nsecond"
    assert document.prompt_line == 6


@pytest.mark.parametrize(
    "text", ["---\r\na: 1\r\n---\r\nx\r\ny\r\n", "\ufeff---\na: 1\n---\nx\ny", "---\ra: 1\r---\rx\ry"]
)
def test_line_ends_and_a_byte_order_mark_do_not_matter(text):
    """Files of every editor load alike."""
    for data in (text, text.encode()):
        document, problems = parse(data, "WORKFLOW.md")
        assert problems == ()
        assert plain(document.front) == {"a": 1}
        assert (document.prompt, document.prompt_line) == ("x\ny", 4)


@pytest.mark.parametrize("yaml", ["", "# nothing\n", "~"])
def test_empty_front_matter_is_an_empty_map(yaml):
    """Nothing between the fences is allowed."""
    assert front_of(yaml) == {}


def test_yaml_is_1_2():
    """Texts that older YAML took for something else stay texts."""
    yaml = "a: yes\nb: on\nc: 012\nd: 1_000\ne: 2024-01-01\nf: 0x1f\ng: .5\nh: '1'\ni: true\nj: ~\nk: 1:30\nl: !!str 5"
    assert front_of(yaml) == {
        "a": "yes",
        "b": "on",
        "c": 12,
        "d": "1_000",
        "e": "2024-01-01",
        "f": 31,
        "g": 0.5,
        "h": "1",
        "i": True,
        "j": None,
        "k": "1:30",
        "l": "5",
    }


def test_escaped_pairs_are_one_character():
    """JSON spells many characters as two escapes, and JSON is YAML."""
    assert front_of(r'{"a": "\ud83d\ude00"}') == {"a": "\U0001f600"}


def test_every_value_keeps_the_line_of_its_key():
    """Lines are those of the file, fence included."""
    document, _ = parse("---\na: 1\nb:\n  c: |\n    x\n    y\n  d:\n    - e\n---\n", "WORKFLOW.md")
    front = document.front.value
    assert front["a"].line == 2
    assert front["b"].line == 3
    assert front["b"].value["c"] == Placed("x\ny\n", 4)
    assert front["b"].value["d"].value[0].line == 8


def test_a_rare_line_separator_does_not_shift_lines():
    """Lines are counted as editors count them, not as YAML does."""
    document, problems = parse("---\na: 'x\u2028y'\nb: 2\n---\n", "WORKFLOW.md")
    assert problems == ()
    assert document.front.value["b"].line == 3


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("---\na: [\n---\n", 2),
        ("---\na: 1\nb: c: d\n---\n", 3),
        ("---\na:\n\t- b\n---\n", 3),
        ("---\na: 1\nb: \x00\n---\n", 3),
        ("---\na: *nowhere\n---\n", 2),
        ("---\na: &self [*self]\n---\n", 2),
        ("---\na: 1\nb: !thing c\n---\n", 3),
        ("---\na: &x {b: 1}\n<<: *x\n---\n", 3),
        ("---\na: 1\n? [b]\n: c\n---\n", 3),
        ('---\na: 1\nb: "\\ud83d"\n---\n', 3),
        ('---\na: 1\n"\\udc00": 1\n---\n', 3),
        ("---\na: 1\n...\n--- \nb: 2\n---\n", 4),
        ("---\na: 1\n", 1),
        ("--- \na: 1\n---\n", 1),
    ],
)
def test_unreadable_front_matter_is_one_problem_with_its_line(text, line):
    """Whatever is wrong with the YAML, its line is named."""
    problem = refusal(text)
    assert (problem.code, problem.line, problem.severity) == (PARSE_ERROR, line, "error")
    assert "\n" not in problem.message


@pytest.mark.parametrize("yaml", ["- a\n- b", "just text", "5"])
def test_front_matter_that_is_not_a_map_has_its_own_code(yaml):
    """Symphony's W6."""
    problem = refusal(f"---\n{yaml}\n---\n")
    assert (problem.code, problem.line) == (NOT_A_MAP, 2)


def test_all_doubled_keys_are_told_at_once():
    """Each doubled key is a problem of its own, at the second line."""
    document, problems = parse("---\na: 1\nb:\n  c: 1\n  c: 2\na: 3\n---\n", "WORKFLOW.md")
    assert document is None
    assert [(problem.key, problem.line) for problem in problems] == [("b.c", 5), ("a", 6)]
    assert "line 2" in problems[1].message


def test_aliases_are_allowed():
    """An anchor may be used again below it."""
    assert front_of("a: &x [1, 2]\nb: *x") == {"a": [1, 2], "b": [1, 2]}


def test_what_aliases_multiply_is_limited():
    """The billion laughs stay a few."""
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 10)]
    problem = refusal("---\n" + "\n".join(rows) + "\n---\n")
    assert "20000" in problem.message
    assert problem.line == 6


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_depth_is_limited(opening):
    """The scanner's time grows with the square of the depth."""
    problem = refusal("---\n" + opening * 60_000 + "\n---\n")
    assert problem.code == PARSE_ERROR


def test_size_is_limited():
    """Neither a huge file nor a huge front matter is parsed."""
    assert str(FILE_BYTES_MAX) in refusal(b"x" * (FILE_BYTES_MAX + 1)).message
    assert str(FRONT_MATTER_CHARS_MAX) in refusal("---\na: " + "x" * FRONT_MATTER_CHARS_MAX + "\n---\n").message


def test_not_utf_8_is_told_with_its_line():
    """A file in another encoding is refused where it first differs."""
    problem = refusal("---\na: 1\nb: ü\n---\n".encode("latin-1"))
    assert (problem.code, problem.line) == (PARSE_ERROR, 3)
    assert "UTF-8" in problem.message
    assert refusal("a\n\ud800").line == 2
