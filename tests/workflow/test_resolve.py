"""From front matter to policy: defaults, other projects' spellings, and every problem at once."""

import msgspec
import pytest
from msgspec import inspect

from opensymphony.workflow import load
from opensymphony.workflow.policy import Policy
from opensymphony.workflow.prompt import DEFAULT_PROMPT


def number_keys(info=None, prefix=""):
    """Every numeric key of a policy with its lower limit and whether it is whole."""
    for field in (info or inspect.type_info(Policy)).fields:
        type_ = field.type
        if isinstance(type_, inspect.UnionType):
            type_ = next(kind for kind in type_.types if not isinstance(kind, inspect.NoneType))
        if isinstance(type_, inspect.StructType):
            yield from number_keys(type_, f"{prefix}{field.encode_name}.")
        elif isinstance(type_, inspect.IntType | inspect.FloatType):
            yield prefix + field.encode_name, type_.ge, isinstance(type_, inspect.IntType)


NUMBERS = list(number_keys())


def nested(key, value):
    """`a.b: value` as block YAML below the tracker, with the line on which the key stands."""
    parts = key.split(".")
    rows = ["  " * at + f"{part}:" for at, part in enumerate(parts)]
    needed = "\n  url: ." if parts[0] == "repository" else ""
    return "\n".join(rows) + f" {value}{needed}", 2 + len(parts)


def test_only_a_tracker_is_needed(read):
    """Everything else has a default."""
    loaded = read()
    assert loaded.problems == ()
    policy = loaded.policy
    assert policy.tracker.provider == {"path": "/project/board"}
    assert policy.polling.interval_ms == 30_000
    assert policy.workspace.root == "/tmp/symphony_workspaces"
    assert policy.agent.max_concurrent_agents == 4
    assert policy.repository is None
    assert policy.prompt == "Do {{ issue.identifier }}."


def test_a_blank_body_gets_our_own_prompt(read):
    """The prompt in force is visible in the policy."""
    assert read(body="").policy.prompt == DEFAULT_PROMPT


def test_a_policy_survives_json(read):
    """It stands in the journal."""
    policy = read("repository: {url: ../repo}\nagent: {max_concurrent_agents_by_state: {Todo: 1}}").policy
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy


def test_there_are_numeric_keys_to_check():
    """The table of numeric keys is not empty by mistake."""
    assert len(NUMBERS) >= 20


@pytest.mark.parametrize("value", ["abc", "-1", "0", "1.5", "99999999999999999999", "true", "[]"])
@pytest.mark.parametrize(("key", "least", "whole"), NUMBERS)
def test_a_bad_number_is_one_error_that_names_its_key_and_line(read, key, least, whole, value):
    """Symphony's D3."""
    good = {"-1": False, "0": least == 0, "1.5": not whole}.get(value, False)
    front, line = nested(key, value)
    loaded = read(front)
    found = [(problem.severity, problem.key, problem.line) for problem in loaded.problems]
    if good:
        assert found == [] and loaded.policy is not None
    else:
        assert found == [("error", key, line)]
        assert "number" in loaded.problems[0].message
        assert loaded.policy is None


def test_whole_numbers_may_be_quoted(read):
    """As in OpenSymphony."""
    assert read('polling: {interval_ms: " 5000 "}').policy.polling.interval_ms == 5000


@pytest.mark.parametrize("value", ["yes", "1", '"true"', "on"])
def test_booleans_are_only_true_and_false(told, value):
    """`yes` is a text."""
    assert told(f"reporting: {{comment: {value}}}") == [("error", "reporting.comment", 3)]


def test_all_problems_come_at_once_in_the_order_of_the_file(told):
    """Nobody has to correct a file nine times."""
    front = """\
poling: {}
polling: {interval_ms: soon}
workspace: {root: $NOWHERE}
repository: {branch: same}
hooks: [a]
verify: make {{ issue.title }}
server: {port: 70000, host: 0.0.0.0}"""
    assert told(front, body="{{ issue.nope }}\n{{ x | y }}") == [
        ("warning", "poling", 3),
        ("error", "polling.interval_ms", 4),
        ("error", "workspace.root", 5),
        ("error", "repository.url", 6),
        ("error", "hooks", 7),
        ("error", "verify.command", 8),
        ("error", "server.port", 9),
        ("error", "server.host", 9),
        ("error", "prompt", 11),
        ("error", "prompt", 12),
        ("error", "prompt", 12),
    ]


@pytest.mark.parametrize(
    ("front", "suggestion"),
    [
        ("poling: {}", "polling"),
        ("agent: {max_turn: 1}", "agent.max_turns"),
        ("max_turns: 1", "agent.max_turns"),
        ("interval_ms: 1", "polling.interval_ms"),
    ],
)
def test_an_unknown_key_is_a_warning_with_the_nearest_known_one(read, front, suggestion):
    """A slip of the pen is shown, and stops nothing."""
    loaded = read(front)
    (problem,) = loaded.problems
    assert (problem.severity, problem.code) == ("warning", "unknown_key")
    assert problem.message.endswith(f"did you mean {suggestion}?")
    assert loaded.policy is not None


@pytest.mark.parametrize(("stall", "expected"), [("7000", 7000), ('"7000"', 7000), ("0", 0), ("-1", 0)])
def test_the_stall_time_out_of_codex_counts_where_agent_has_none(read, stall, expected):
    """Symphony's file keeps its meaning."""
    loaded = read(f"codex: {{command: codex app-server, stall_timeout_ms: {stall}}}")
    assert loaded.policy.agent.stall_timeout_ms == expected
    assert [problem.key for problem in loaded.problems] == ["codex.command"]
    both = read(f"codex: {{stall_timeout_ms: {stall}}}\nagent: {{stall_timeout_ms: 1}}")
    assert both.policy.agent.stall_timeout_ms == 1
    assert [problem.code for problem in both.problems] == ["ignored_key"]


def test_state_limits_are_normalised_and_bad_ones_left_out(read):
    """Symphony's W13."""
    loaded = read('agent: {max_concurrent_agents_by_state: {" In Progress ": 1, todo: 0, x: "n", Y: "2", y: 3}}')
    assert loaded.policy.agent.max_concurrent_agents_by_state == {"in progress": 1, "y": 2}
    assert [(problem.severity, problem.code) for problem in loaded.problems] == [("warning", "ignored_value")] * 3


@pytest.mark.parametrize(
    ("tracker", "code", "line"),
    [
        ("", "missing_tracker_kind", 1),
        ("tracker:\n  provider: {path: x}", "missing_tracker_kind", 2),
        ("tracker:\n  kind:", "missing_tracker_kind", 3),
        ("tracker: text", "missing_tracker_kind", 2),
        ("tracker:\n  kind: bogus", "unsupported_tracker_kind", 3),
        ("tracker:\n  kind: linear", "unsupported_tracker_kind", 3),
        ("tracker:\n  kind: files", "missing_files_path", 3),
        ("tracker:\n  kind: files\n  provider: {path: }", "missing_files_path", 4),
        ("tracker:\n  kind: files\n  provider: {path: [a]}", "missing_files_path", 4),
    ],
)
def test_what_is_wrong_with_the_tracker_has_its_own_code(read, tracker, code, line):
    """Symphony's W8, and the one setting that the files tracker cannot do without."""
    (problem,) = read(tracker, tracker=False).problems
    assert (problem.code, problem.severity) == (code, "error")
    assert problem.line == line or (code == "missing_files_path" and problem.line in (line - 1, line))


def test_trackers_of_later_releases_are_told_from_unknown_ones(read):
    """A person learns that waiting helps."""
    assert "not in this release" in read("tracker: {kind: Linear}", tracker=False).problems[0].message
    assert "not known" in read("tracker: {kind: bogus}", tracker=False).problems[0].message


def test_a_file_without_front_matter_says_what_is_missing():
    """The prompt alone is no policy."""
    (problem,) = load("Just do it.", "W.md", {}, "/h", "/p").problems
    assert problem.code == "missing_tracker_kind"
    assert "no front matter" in problem.message


def test_unknown_keys_of_a_provider_are_kept(read):
    """Symphony's W9: the provider is the adapter's."""
    loaded = read("tracker: {kind: FILES, provider: {path: a, x_custom: {y: [1]}}}", tracker=False)
    assert loaded.problems == ()
    assert loaded.policy.tracker.provider == {"path": "/project/a", "x_custom": {"y": [1]}}
    assert loaded.policy.tracker.kind == "files"


def test_legacy_flat_tracker_keys_are_told(read):
    """Symphony's Linear keys mean nothing to files."""
    loaded = read(
        "tracker: {kind: files, provider: {path: a}, endpoint: x, api_key: $K, project_slug: s}", tracker=False
    )
    assert [problem.code for problem in loaded.problems] == ["ignored_key"] * 3
    assert loaded.policy.tracker.provider == {"path": "/project/a"}


@pytest.mark.parametrize("form", ["$PLACE", "${PLACE}"])
@pytest.mark.parametrize(
    ("value", "expected"), [("/a/../b", "/b"), ("~/b", "/h/someone/b"), ("b/", "/project/b"), ("~", "/h/someone")]
)
def test_paths_are_expanded(read, form, value, expected):
    """Variables, home and relative paths, in each key that is a path."""
    front = f"workspace: {{root: '{form}'}}\nrepository: {{url: '{form}'}}"
    policy = read(front, environment={"PLACE": value}).policy
    assert (policy.workspace.root, policy.repository.url) == (expected, expected)
    tracker = f"tracker: {{kind: files, provider: {{path: '{form}'}}}}"
    assert read(tracker, tracker=False, environment={"PLACE": value}).policy.tracker.provider["path"] == expected


@pytest.mark.parametrize("url", ["https://example.org/a.git", "git@example.org:a/b.git", "ssh://git@h/a", "file:///a"])
def test_an_address_of_a_repository_is_left_alone(read, url):
    """Only paths are resolved."""
    assert read(f"repository: {{url: '{url}'}}").policy.repository.url == url


@pytest.mark.parametrize(
    "url", ["https://user:secret@h/a", "https://secret@h/a", "ext::sh -c secret", "-usecret", "--upload-pack=secret"]
)
def test_a_repository_address_that_holds_or_runs_something_is_refused(read, url):
    """No credential in the journal, no program in an address; and the message does not repeat it."""
    loaded = read(f"repository: {{url: '{url}'}}")
    if url.startswith("-"):
        assert loaded.policy.repository.url == f"/project/{url}"
    else:
        (problem,) = loaded.problems
        assert (problem.severity, problem.key) == ("error", "repository.url")
        assert "secret" not in str(problem)


@pytest.mark.parametrize("environment", [{}, {"NOPE": ""}])
def test_a_missing_variable_is_named(read, environment):
    """Not set and empty are the same, and are told apart."""
    (problem,) = read("repository: {url: $NOPE}", environment=environment).problems
    assert (problem.code, problem.key, problem.line) == ("missing_environment_variable", "repository.url", 3)
    assert "NOPE" in problem.message
    assert ("is empty" if environment else "is not set") in problem.message


def test_the_value_of_a_variable_is_never_shown(read):
    """It might be a secret that was put into the wrong key."""
    (problem,) = read("polling: {interval_ms: $N}", environment={"N": "hunter2"}).problems
    assert "hunter2" not in str(problem)
    assert "$N" in problem.message


def test_scripts_are_taken_as_written(read):
    """`$NAME` in a script belongs to the shell."""
    loaded = read("hooks: {before_run: $SETUP, after_run: '$A $B'}\nverify: {command: $CHECK}")
    assert loaded.problems == ()
    assert (loaded.policy.hooks.before_run, loaded.policy.verify.command) == ("$SETUP", "$CHECK")


def test_a_credential_in_the_provider_stays_a_name(read):
    """It is neither expanded nor allowed to be written out."""
    tracker = "tracker: {kind: files, provider: {path: a, api_token: %s}}"
    loaded = read(tracker % "$TOKEN", tracker=False, environment={"TOKEN": "hunter2"})
    assert loaded.policy.tracker.provider["api_token"] == "$TOKEN"
    (problem,) = read(tracker % "hunter2", tracker=False).problems
    assert (problem.severity, problem.key) == ("error", "tracker.provider.api_token")
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "not a name"])
def test_no_credential_reaches_the_agent_server_by_its_environment(told, name):
    """`env` is for everything but secrets."""
    assert told(f"openhands: {{local_server: {{env: {{'{name}': x}}}}}}") == [
        ("error", f"openhands.local_server.env.{name}", 3)
    ]


def test_verify_may_be_a_plain_command(read):
    """The short form."""
    assert read("verify: make test").policy.verify.command == "make test"
    assert read("verify: ' '").problems[0].key == "verify.command"


@pytest.mark.parametrize(
    "branch", ["same-for-all", "a b/{{ issue.key }}", "{{ issue.key }}.lock", "-{{ issue.key }}", "{{ x }}"]
)
def test_a_branch_must_be_one_that_git_takes(told, branch):
    """It is tried with a sample ticket; two tickets may not share one."""
    assert told(f"repository: {{url: x, branch: '{branch}'}}") == [("error", "repository.branch", 3)]


@pytest.mark.parametrize("base", ["a b", "-x", "a..b", "HEAD"])
def test_a_base_must_be_a_branch(told, base):
    """It reaches git's command line."""
    assert told(f"repository: {{url: x, base: '{base}'}}") == [("error", "repository.base", 3)]


@pytest.mark.parametrize(
    ("front", "key"),
    [
        ("reporting: {transitions: {started: Elsewhere}}", "reporting.transitions.started"),
        ("reporting: {transitions: {succeeded: todo}}", "reporting.transitions.succeeded"),
        ("reporting: {transitions: {needs_attention: Todo}}", "reporting.transitions.needs_attention"),
    ],
)
def test_transitions_that_would_loop_are_refused(told, front, key):
    """A ticket that is done must not start again."""
    assert told(front) == [("error", key, 3)]


def test_states_must_make_sense(read):
    """Nothing active is a warning, both active and terminal an error."""
    tracker = "tracker: {kind: files, provider: {path: a}, %s}"
    empty = read(tracker % "active_states: []", tracker=False)
    assert [problem.code for problem in empty.problems] == ["no_active_states"]
    both = read(tracker % "active_states: [Done]", tracker=False)
    assert [problem.key for problem in both.problems] == ["tracker.terminal_states[0]"]
    blank = read(tracker % "active_states: [' ']", tracker=False)
    assert [problem.key for problem in blank.problems] == ["tracker.active_states[0]"]


def test_required_labels_are_normalised(read):
    """Symphony's O3; a blank label matches nothing and is told."""
    tracker = "tracker: {kind: files, provider: {path: a}, required_labels: [%s]}"
    assert read(tracker % "' Agent ', agent, B", tracker=False).policy.tracker.required_labels == ("agent", "b")
    blank = read(tracker % "''", tracker=False)
    assert blank.policy.tracker.required_labels == ("",)
    assert [problem.code for problem in blank.problems] == ["blank_label"]


def test_a_prompt_in_the_front_matter_is_told(told):
    """It stands below."""
    assert ("error", "prompt", 3) in told("prompt: Do it.")


def test_a_key_without_a_value_has_its_default(read):
    """As in Symphony."""
    loaded = read("agent:\npolling:\n  interval_ms:\n")
    assert loaded.problems == ()
    assert loaded.policy.polling.interval_ms == 30_000


@pytest.mark.parametrize(
    ("front", "key"),
    [
        ("polling: {min_interval_ms: 30001}", "polling.min_interval_ms"),
        ("polling: {max_interval_ms: 29999}", "polling.max_interval_ms"),
        ("polling: {interval_ms: 5, max_interval_ms: 4}", "polling.max_interval_ms"),
    ],
)
def test_bounds_of_polls_have_to_enclose_the_interval(told, front, key):
    """Also the interval that nobody wrote; the same number three times is one fixed pace."""
    assert told(front) == [("error", key, 3)]
    assert told("polling: {interval_ms: 5, min_interval_ms: 5, max_interval_ms: 5}") == []


def test_settings_of_the_model_are_those_the_server_knows(read):
    """What the agent-server would ignore in silence is an error with the name that was meant; numbers and flags stay such."""

    def options(written):
        return read("openhands: {conversation: {agent: {llm: {options: " + written + "}}}}")

    assert options(
        "{reasoning_effort: high, temperature: 0.5, drop_params: true}"
    ).policy.openhands.conversation.agent.llm.options == {
        "reasoning_effort": "high",
        "temperature": 0.5,
        "drop_params": True,
    }
    [problem] = options("{reasoning_efort: high}").problems
    assert problem.key == "openhands.conversation.agent.llm.options.reasoning_efort"
    assert "did you mean reasoning_effort?" in problem.message
    assert "must be one value" in options("{temperature: [1]}").problems[0].message
    [secret, *_] = options("{api_key: canary}").problems
    assert secret.severity == "error"
    assert "canary" not in str(secret)


def test_default_tools_are_those_the_server_has(read):
    """A name that it does not know is an error; an agent without `finish` is a warning."""
    key = "openhands.conversation.agent.include_default_tools"
    loaded = read("openhands: {conversation: {agent: {include_default_tools: [ThinkTool]}}}")
    assert loaded.policy.openhands.conversation.agent.include_default_tools == ("ThinkTool",)
    assert [(one.key, one.severity) for one in loaded.problems] == [(key, "warning")]
    [problem] = read("openhands: {conversation: {agent: {include_default_tools: [FinishTool, finish]}}}").problems
    assert (problem.key, problem.severity) == (key, "error")
