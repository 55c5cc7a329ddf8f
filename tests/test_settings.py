"""Host settings: where they are looked for, which wins, what is refused, and secrets that do not print."""

import os
import sys

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from opensymphony.errors import ConfigurationError
from opensymphony.settings import Overrides, Secret, is_loopback, load_settings, store_name


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home directory of its own."""
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "OPENSYMPHONY_TOOL_DIR", "LLM_MODEL", "LLM_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return place


@pytest.fixture
def project(tmp_path):
    """The directory of a WORKFLOW.md."""
    place = tmp_path / "project"
    place.mkdir()
    return place


def load(project, text=None, **keywords):
    if text is not None:
        (project / "opensymphony.toml").write_text(text)
    return load_settings(str(project / "WORKFLOW.md"), **keywords)


def told(project, text):
    """The problems as `(severity, key, line)`."""
    return [(problem.severity, problem.key, problem.line) for problem in load(project, text)[1]]


def test_without_a_file_everything_has_a_default(project, home):
    """Nothing has to be written for a first run."""
    found, problems = load(project)
    assert problems == ()
    assert (found.host, found.port, found.config_path) == ("127.0.0.1", 2468, None)
    assert found.tool_dir == str(home / ".opensymphony" / "openhands-server")
    assert found.logs_dir == os.path.join(found.store_dir, "logs")
    assert found.store_dir.startswith(str(home))
    assert os.path.basename(found.store_dir).startswith("project-")


def test_the_file_is_looked_for_in_three_places(project, home, tmp_path):
    """The one given, the one beside, the user's: the first counts alone."""
    import platformdirs

    users = platformdirs.user_config_path("opensymphony")
    users.mkdir(parents=True)
    (users / "opensymphony.toml").write_text("[server]\nport = 1")
    assert load(project)[0].port == 1
    assert load(project, "[server]\nport = 2")[0].port == 2
    other = tmp_path / "other.toml"
    other.write_text("[server]\nport = 3")
    assert load(project, config_path=str(other))[0].port == 3


def test_a_given_file_must_be_there(project):
    """A wrong --config is never passed over."""
    _, (problem,) = load(project, config_path="nowhere.toml")
    assert problem.code == "missing_settings_file"


def test_which_value_wins(project, monkeypatch, tmp_path):
    """Command line, environment, file, WORKFLOW.md, default."""
    policy = Overrides(policy_port=4, policy_host="::1")
    assert load(project, overrides=policy)[0].port == 4
    assert load(project, overrides=policy)[0].host == "::1"
    assert load(project, '[server]\nport = 2\nhost = "localhost"', overrides=policy)[0].port == 2
    assert load(project, overrides=policy)[0].host == "localhost"
    assert load(project, overrides=Overrides(port=0, policy_port=4))[0].port == 0
    assert load(project, '[tools]\ndirectory = "t"')[0].tool_dir == str(project / "t")
    monkeypatch.setenv("OPENSYMPHONY_TOOL_DIR", str(tmp_path / "x"))
    assert load(project)[0].tool_dir == str(tmp_path / "x")


def test_paths_are_resolved(project, home):
    """From the file's directory, the home directory, or a variable."""
    text = '[store]\ndirectory = "s"\n[logs]\ndirectory = "~/l"\n[tools]\ndirectory = "$T"'
    found, problems = load(project, text, environment={"T": "/t"})
    assert problems == ()
    assert (found.store_dir, found.logs_dir, found.tool_dir) == (str(project / "s"), str(home / "l"), "/t")


def test_all_problems_come_at_once_with_their_lines(project):
    """Each with file, key and line."""
    text = """\
[server]
port = "many"
host = "0.0.0.0"
hots = 1

[logs]
level = "loud"
[stroe]
directory = "x"
"""
    assert told(project, text) == [
        ("error", "server.port", 2),
        ("error", "server.host", 3),
        ("warning", "server.hots", 4),
        ("error", "logs.level", 7),
        ("warning", "stroe", 8),
    ]
    assert load(project)[1][0].file == str(project / "opensymphony.toml")


@pytest.mark.parametrize(("text", "line"), [("[server\nport = 1", 1), ("a = 1\nb = ", 2), ("a = 1\na = 2", 2)])
def test_bad_toml_is_one_problem_with_its_line(project, text, line):
    """A syntax error hides nothing else."""
    _, (problem,) = load(project, text)
    assert (problem.code, problem.line) == ("settings_parse_error", line)
    assert "\n" not in problem.message


def test_unreadable_files_are_problems(project):
    """Other encodings, sizes and depths are told, not raised."""
    file = project / "opensymphony.toml"
    for content in (b"a = '\xff'", b"#" * 300_000, b"a = " + b"[" * 5_000):
        file.write_bytes(content)
        _, (problem,) = load(project)
        assert problem.code == "settings_parse_error"


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text() | st.text(alphabet='[]={}"ab.\n 0secrts'))
def test_any_text_gives_problems_and_never_fails(project, text):
    """The file is written by people."""
    (project / "opensymphony.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    found, problems = load(project)
    assert found.port == 2468 or not problems


def test_a_secret_written_into_the_file_is_refused_and_not_shown(project):
    """It must be a reference."""
    found, problems = load(project, '[secrets]\nllm_api_key = "hunter2"\ngithub_token = { env = "A", file = "b" }')
    assert [(problem.severity, problem.key, problem.line) for problem in problems] == [
        ("error", "secrets.llm_api_key", 2),
        ("error", "secrets.github_token", 3),
    ]
    assert "hunter2" not in str(problems)
    assert "hunter2" not in repr(found)


def test_a_secret_says_where_it_is(project, home):
    """By the file, else by the policy's variable, else by the variable of the founding documents."""
    text = '[secrets]\ngithub_token = "$MINE"\nlinear_api_key = { file = "~/k" }\nodd_thing = { env = "X" }'
    found, problems = load(project, text)
    assert [(problem.severity, problem.key) for problem in problems] == [("warning", "secrets.odd_thing")]
    assert found.secret("github_token") == Secret(env="MINE")
    assert found.secret("linear_api_key") == Secret(file=str(home / "k"))
    assert found.secret("llm_api_key") == Secret(env="LLM_API_KEY")
    assert found.secret("llm_api_key", "OTHER") == Secret(env="OTHER")
    assert found.secret("jira_api_token") == Secret(env="JIRA_API_TOKEN")


async def test_a_secret_is_read_when_it_is_asked_for(tmp_path, monkeypatch):
    """From each kind of place, renewed or not; printing shows only the place."""
    monkeypatch.setenv("MINE", " hunter2\n")
    file = tmp_path / "key"
    file.write_text("hunter2\n")
    command = (sys.executable, "-c", "print('hunter' + '2')")
    for secret in (Secret(env="MINE"), Secret(file=str(file)), Secret(command=command)):
        assert await secret.reveal() == "hunter2"
        assert secret.available()
        assert "hunter2" not in repr(secret) + msgspec.json.encode(secret).decode()
    file.write_text("renewed")
    assert await Secret(file=str(file)).reveal() == "renewed"


@pytest.mark.parametrize(
    "secret",
    [
        Secret(env="NOT_SET_ANYWHERE"),
        Secret(file="/nowhere/key"),
        Secret(command=("/nowhere/program",)),
        Secret(command=(sys.executable, "-c", "print('partly'); raise SystemExit(1)")),
        Secret(),
    ],
)
async def test_a_secret_that_is_not_there_is_an_error(secret):
    """It names the place and nothing else."""
    with pytest.raises(ConfigurationError) as caught:
        await secret.reveal()
    assert caught.value.problems[0].code == "missing_secret"
    assert "partly" not in str(caught.value)


def test_the_store_is_the_same_through_every_link(tmp_path):
    """Two daemons on one WORKFLOW.md must meet; a file that is replaced by its link stays the same."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "WORKFLOW.md").symlink_to("v1.md")
    name = store_name(str(tmp_path / "real" / "WORKFLOW.md"))
    assert store_name(str(tmp_path / "link" / "WORKFLOW.md")) == name
    assert store_name(str(tmp_path / "real" / "OTHER.md")) != name
    (tmp_path / "real" / "WORKFLOW.md").unlink()
    (tmp_path / "real" / "WORKFLOW.md").symlink_to("v2.md")
    assert store_name(str(tmp_path / "real" / "WORKFLOW.md")) == name


def test_only_loopback_is_loopback():
    """The operator's side is for this machine."""
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org", "")))


def test_the_founding_names_are_accepted(project):
    """`LLM_MODEL` and `LLM_BASE_URL` stand in for what the policy does not name."""
    found, _ = load(project, environment={"LLM_MODEL": "m", "LLM_BASE_URL": ""})
    assert (found.llm_model, found.llm_base_url) == ("m", None)
