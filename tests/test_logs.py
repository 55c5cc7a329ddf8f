"""Logs: two sinks, one line each, context, limits, and no secret."""

import io
import json
import logging
import stat

import pytest

from opensymphony import logs


@pytest.fixture
def written(tmp_path):
    """Set up both sinks; returns what each holds."""
    stream = io.StringIO()
    before = (logging.getLogger().handlers[:], logging.getLogger().level)
    logs.set_up(level="debug", directory=str(tmp_path / "logs"), stream=stream)

    def read():
        file = tmp_path / "logs" / logs.FILE_NAME
        lines = file.read_text().splitlines() if file.exists() else []
        return stream.getvalue(), [json.loads(line) for line in lines]

    yield read
    logs.shut_down()
    logging.getLogger().handlers, level = before
    logging.getLogger().setLevel(level)


def test_a_line_goes_to_both_sinks(written):
    """Text for people, JSON for programs."""
    logs.get_logger("opensymphony.x").info("turn ended", turns=3, title="a b")
    text, (line,) = written()
    assert 'info    turn ended turns=3 title="a b" logger=opensymphony.x\n' in text
    assert (line["event"], line["turns"], line["level"], line["logger"]) == ("turn ended", 3, "info", "opensymphony.x")
    assert line["timestamp"].endswith("Z")


def test_lines_of_libraries_look_the_same(written):
    """Standard logging goes through the same redaction."""
    logs.know_secret("hunter2-library")
    logging.getLogger("some.library").warning("bound %s", "hunter2-library", extra={"password": "x"})
    text, (line,) = written()
    assert "hunter2-library" not in text + str(line)
    assert (line["event"], line["password"], line["logger"]) == ("bound [redacted]", "[redacted]", "some.library")


def test_secrets_are_taken_out_wherever_they_stand(written):
    """In texts, keys' values, nested values and tracebacks."""
    logs.know_secret("hunter2-long")
    log = logs.get_logger("x")
    log.info("with hunter2-long", a=["hunter2-long", {"b": ("hunter2-long",)}], api_key="plain1", n={"token": "plain2"})
    try:
        raise ValueError("hunter2-long")
    except ValueError:
        log.exception("failed")
    text, lines = written()
    everything = text + json.dumps(lines)
    assert not [word for word in ("hunter2-long", "plain1", "plain2") if word in everything]
    assert "Traceback" in lines[1]["exception"]
    assert lines[0]["a"] == ["[redacted]", {"b": ["[redacted]"]}]


def test_counts_of_tokens_are_no_secrets(written):
    """Only the last word of a key decides, and `_env` names a variable."""
    logs.get_logger("x").info("used", prompt_tokens=5, api_key_env="LLM_API_KEY", project_key="PROJ")
    _, (line,) = written()
    assert (line["prompt_tokens"], line["api_key_env"], line["project_key"]) == (5, "LLM_API_KEY", "PROJ")


def test_short_texts_are_not_known_as_secrets():
    """They turn up everywhere."""
    logs.know_secret("a1")
    assert logs.redacted("data1") == "data1"


def test_known_secrets_are_limited():
    """The newest stay."""
    for number in range(logs.SECRETS_MAX + 1):
        logs.know_secret(f"many-secrets-{number:04}")
    assert logs.redacted("many-secrets-0000") == "many-secrets-0000"
    assert logs.redacted(f"many-secrets-{logs.SECRETS_MAX:04}") == "[redacted]"


async def test_every_line_says_what_it_is_about(written):
    """Symphony's V2; tasks started within are about the same."""
    import anyio

    async def child():
        logs.get_logger("x").info("in a child")

    with logs.about(issue_id="1", issue_identifier="PROJ-1", run=2):
        async with anyio.create_task_group() as group:
            group.start_soon(child)
        with logs.about(conversation_id="c"):
            logs.get_logger("x").info("inside")
    logs.get_logger("x").info("outside")
    _, (first, second, third) = written()
    assert (first["issue_id"], first["issue_identifier"], first["run"]) == ("1", "PROJ-1", 2)
    assert (second["issue_id"], second["conversation_id"]) == ("1", "c")
    assert "issue_id" not in third


def test_a_line_stays_one_line(written):
    """Text of others cannot forge lines or colours."""
    logs.get_logger("x").info("a\nb", title="c\r\n\x1b[31m12:00:00 info forged")
    text, lines = written()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert len(lines) == 1


def test_a_value_is_limited(written):
    """A log cannot be filled by one line."""
    deep = current = {}
    for _ in range(50):
        current["a"] = {}
        current = current["a"]
    logs.get_logger("x").info("big", text="x" * 100_000, many=list(range(10_000)), deep=deep)
    _, (line,) = written()
    assert len(line["text"]) == logs.VALUE_CHARS_MAX
    assert len(line["many"]) == logs.ITEMS_MAX
    assert len(json.dumps(line)) < 20_000


def test_the_level_is_kept(written, tmp_path):
    """What is less important is not written."""
    stream = io.StringIO()
    logs.set_up(level="warning", stream=stream)
    logs.get_logger("x").info("no")
    logs.get_logger("x").warning("yes")
    logging.getLogger("httpx").info("no")
    assert stream.getvalue().count("\n") == 1


def test_json_on_standard_error(written):
    """For collectors of containers."""
    stream = io.StringIO()
    logs.set_up(form="json", stream=stream)
    logs.get_logger("x").info("yes")
    assert json.loads(stream.getvalue())["event"] == "yes"


def test_files_rotate_and_are_the_owners_only(written, tmp_path, monkeypatch):
    """Bounded, and not for others to read."""
    monkeypatch.setattr(logs, "FILE_BYTES_MAX", 2_000)
    logs.set_up(directory=str(tmp_path / "small"), stream=io.StringIO())
    for number in range(200):
        logs.get_logger("x").info("a line", number=number)
    files = list((tmp_path / "small").iterdir())
    assert len(files) == logs.FILES_MAX
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 and file.stat().st_size <= 2_000 for file in files)


def test_a_file_that_cannot_be_written_is_told_once_and_stops_nothing(written, tmp_path):
    """Symphony's V3."""
    (tmp_path / "blocked").write_text("a file, not a directory")
    stream = io.StringIO()
    logs.set_up(directory=str(tmp_path / "blocked"), stream=stream)
    logs.get_logger("x").info("one")
    logs.get_logger("x").info("two")
    text = stream.getvalue()
    assert text.count("cannot be written") == 1
    assert "one" in text and "two" in text


def test_a_closed_terminal_stops_nothing(written):
    """There is nobody left to tell."""
    stream = io.StringIO()
    logs.set_up(stream=stream)
    stream.close()
    logs.get_logger("x").info("one")


def test_a_full_disk_does_not_spoil_the_end(tmp_path):
    """What cannot be written is told once on the terminal, and closing the sinks raises nothing."""
    (tmp_path / logs.FILE_NAME).symlink_to("/dev/full")
    stream = io.StringIO()
    before = (logging.getLogger().handlers[:], logging.getLogger().level)
    logs.set_up(level="debug", directory=str(tmp_path), stream=stream)
    try:
        logs.get_logger("test").info("one")
        logs.get_logger("test").info("two")
    finally:
        logs.shut_down()
        logging.getLogger().handlers = before[0]
        logging.getLogger().setLevel(before[1])
    assert stream.getvalue().count("cannot be written") == 1


def test_a_secret_that_has_ended_leaves_its_place() -> None:
    """It is not looked for any more, and others are kept for longer."""
    logs.know_secret("first-canary")
    logs.know_secret("second-canary")
    logs.forget_secret("first-canary")
    assert logs.redacted("first-canary second-canary") == "first-canary [redacted]"


def test_a_secret_of_several_lines_is_found_line_by_line() -> None:
    """A diff has signs before its lines, and a folded text has no lines. It counts and is forgotten as one secret."""
    key = "-----BEGIN KEY-----\n  Q2FuYXJ5T25l\nQ2FuYXJ5VHdv\nab\n-----END KEY-----\n"
    logs.know_secret("other-canary")
    logs.know_secret(key)
    try:
        diff = logs.redacted("".join(f"+{line}\n" for line in key.splitlines()))
        folded = logs.redacted(" ".join(key.split()))
        assert not [part for part in ("Q2FuYXJ5T25l", "Q2FuYXJ5VHdv") if part in diff + folded]
        assert "+ab\n" in diff, "too short to be looked for"
        assert logs.redacted(f"x {key}y") == "x [redacted]\ny", "as a whole where it is whole"
    finally:
        logs.forget_secret(key)
        logs.forget_secret("other-canary")
    assert logs.redacted("Q2FuYXJ5T25l") == "Q2FuYXJ5T25l"


def test_lines_of_a_secret_push_no_other_out() -> None:
    """However many there are; those behind the limit are not looked for."""
    lines = [f"canary-line-{number:05}" for number in range(logs.SECRET_LINES_MAX + 1)]
    logs.know_secret("canary-before")
    logs.know_secret("\n".join(lines))
    try:
        assert logs.redacted("canary-before") == logs.redacted(lines[-2]) == "[redacted]"
        assert logs.redacted(lines[-1]) == lines[-1]
    finally:
        logs.forget_secret("\n".join(lines))
        logs.forget_secret("canary-before")
