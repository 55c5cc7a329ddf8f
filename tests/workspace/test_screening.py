"""What must not be pushed is found, wherever the agent has put it, and named without being shown."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from opensymphony import logs
from opensymphony.model import Work
from opensymphony.workspace.manager import WorkspaceManager
from opensymphony.workspace.screening import OBJECTIONS_MAX
from tests.workspace.conftest import commit, git, prepare

KEY = "-----BEGIN OPENSSH " + "PRIVATE KEY-----"
TOKENS = [
    ("a private key", KEY),
    ("a private key", "-----BEGIN " + "PRIVATE KEY-----"),
    ("an access key of AWS", "aws = 'AKIA" + "ABCDEFGHIJKLMNOP'"),
    ("a token of GitHub", "ghp_" + "a1B2" * 9),
    ("a token of GitLab", "glpat-" + "a1B2c3D4e5F6g7H8i9J0"),
    ("a token of Atlassian", "ATATT3" + "xFfGF0abcdefghijkl_mnop=4F"),
    ("a token of Slack", "xoxb-" + "123456789012-abc"),
    ("a key of a model's provider", "sk-ant-" + "a1B2" * 10),
]


def using(manager: WorkspaceManager, **repository: object) -> None:
    policy = manager.policy
    assert policy.repository is not None
    manager.use(msgspec.structs.replace(policy, repository=msgspec.structs.replace(policy.repository, **repository)))


def told(work: Work) -> list[tuple[str, str]]:
    return [(one.kind, one.text) for one in work.objections]


@pytest.mark.parametrize(("what", "text"), TOKENS)
async def test_a_secret_is_found_and_never_shown(manager: WorkspaceManager, what: str, text: str) -> None:
    """By its form; the objection names the place."""
    workspace = await prepare(manager)
    commit(workspace.path, "src/config.py", f"first\nvalue = {text}\n", person=False)
    work = await manager.collect(workspace)
    assert told(work) == [("secret", f"src/config.py:2 holds what looks like {what}")]
    assert text not in str(work)


async def test_a_secret_that_a_later_commit_takes_back_is_found_too(manager: WorkspaceManager) -> None:
    """A push would publish it all the same. So is one that only a merge has brought in."""
    workspace = await prepare(manager)
    commit(workspace.path, "a", KEY, person=False)
    commit(workspace.path, "a", "clean", person=False)
    assert [kind for kind, _ in told(await manager.collect(workspace))] == ["secret"]


async def test_a_secret_hidden_in_a_merge_is_found(manager: WorkspaceManager) -> None:
    """What the merge itself changes is looked at, too."""
    workspace = await prepare(manager)
    here = Path(workspace.path)
    git(here, "checkout", "-q", "-b", "side")
    commit(here, "b", "side\n", person=False)
    git(here, "checkout", "-q", workspace.branch or "")
    commit(here, "a", "ours\n", person=False)
    git(here, "merge", "-q", "--no-commit", "side")
    (here / "c").write_text(f"{KEY}\n")
    git(here, "add", "-A")
    git(here, "commit", "-q", "-m", "merge")
    assert [kind for kind, _ in told(await manager.collect(workspace))] == ["secret"]


async def test_the_daemon_s_own_secrets_are_known_by_heart(manager: WorkspaceManager) -> None:
    """Whatever form they have."""
    logs.know_secret("correct-horse-battery")
    workspace = await prepare(manager)
    commit(workspace.path, "a", "x = correct-horse-battery\n", person=False)
    assert told(await manager.collect(workspace)) == [("secret", "a:1 holds one of the daemon's own secrets")]


async def test_conflict_markers_are_found_and_headings_are_none(manager: WorkspaceManager) -> None:
    """Both ends of one have to be there: a line of equals signs is a heading."""
    workspace = await prepare(manager)
    commit(workspace.path, "README.md", "Title\n=======\n\n>>>>>>> quoted\n", person=False)
    assert told(await manager.collect(workspace)) == []
    commit(workspace.path, "a.py", "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> main\n", person=False)
    assert told(await manager.collect(workspace)) == [("conflict", "a.py holds conflict markers")]


async def test_protected_paths_may_not_be_touched(manager: WorkspaceManager) -> None:
    """Neither changed nor removed; patterns are those of a shell."""
    using(manager, protected_paths=(".github/*", "README"))
    workspace = await prepare(manager)
    commit(workspace.path, ".github/workflows/ci.yml", "x", person=False)
    git(workspace.path, "rm", "-q", "README")
    commit(workspace.path, "fine.py", "x", person=False)
    found = told(await manager.collect(workspace))
    assert [text.partition(" ")[0] for _, text in found] == [".github/workflows/ci.yml", "README"]
    assert {kind for kind, _ in found} == {"protected"}


async def test_large_files_are_not_pushed(manager: WorkspaceManager) -> None:
    """With their size; 0 lets everything through."""
    using(manager, max_file_bytes=1_000)
    workspace = await prepare(manager)
    commit(workspace.path, "big.bin", "x" * 1_001, person=False)
    commit(workspace.path, "small.bin", "x" * 1_000, person=False)
    assert told(await manager.collect(workspace)) == [
        ("size", "big.bin has 1,001 bytes, more than repository.max_file_bytes")
    ]
    using(manager, max_file_bytes=0)
    assert told(await manager.collect(workspace)) == []


async def test_what_is_too_much_to_be_looked_through_is_for_a_person(manager: WorkspaceManager) -> None:
    """Rather than pushed unseen."""
    using(manager, max_file_bytes=0)
    workspace = await prepare(manager)
    commit(workspace.path, "log", "y" * 79 + "\n", person=False)
    (Path(workspace.path) / "log").write_text(("x" * 99 + "\n") * 50_000)
    git(workspace.path, "commit", "-q", "-a", "-m", "much")
    [(kind, text)] = told(await manager.collect(workspace))
    assert kind == "size" and "too much to be looked through" in text


async def test_commits_bear_the_name_that_the_policy_gives(manager: WorkspaceManager) -> None:
    """Who commits as somebody else is found out, and so is a missing line of sign-off."""
    using(manager, author="Bot <bot@example.com>", sign_off=True)
    workspace = await prepare(manager)
    commit(workspace.path, "a", "1", "one\n\nSigned-off-by: Bot <bot@example.com>", person=False)
    assert told(await manager.collect(workspace)) == []
    commit(workspace.path, "b", "2", "two", person=True)
    found = told(await manager.collect(workspace))
    assert [kind for kind, _ in found] == ["author", "author"]
    assert "is by P <p@x> and not by Bot <bot@example.com>" in found[0][1]
    assert "Signed-off-by: P <p@x>" in found[1][1]


async def test_configuration_and_attributes_of_the_agent_s_change_nothing(manager: WorkspaceManager) -> None:
    """Neither a textconv, an external diff nor an attribute hides a file from us, or runs."""
    workspace = await prepare(manager)
    here = Path(workspace.path)
    ran = here.parent / "ran"
    git(here, "config", "diff.hide.textconv", f"touch {ran}; true")
    git(here, "config", "diff.external", f"touch {ran}")
    (here / ".gitattributes").write_text("* diff=hide\nsecret binary\n")
    commit(here, "a", f"{KEY}\n", person=False)
    assert ("secret", "a:1 holds what looks like a private key") in told(await manager.collect(workspace))
    assert not ran.exists()


@pytest.mark.parametrize("before", ["", "++ ", "+ ", "@@ ", "\0 ", "diff "])
async def test_no_beginning_of_a_line_hides_what_follows(manager: WorkspaceManager, before: str) -> None:
    """Also one that looks like a heading of the patch, and one that makes the file a binary one."""
    workspace = await prepare(manager)
    commit(workspace.path, "a", f"{before}{KEY}\n", person=False)
    assert told(await manager.collect(workspace)) == [("secret", "a:1 holds what looks like a private key")]


@pytest.mark.parametrize(("sides", "before"), [(1, "+ "), (2, " ")])
async def test_a_merge_hides_nothing_behind_its_marks(manager: WorkspaceManager, sides: int, before: str) -> None:
    """It has a mark for each parent in front of a line."""
    workspace = await prepare(manager)
    here, names = Path(workspace.path), [f"side{number}" for number in range(sides)]
    for name in names:
        git(here, "checkout", "-q", "-b", name, workspace.branch or "")
        commit(here, name, "side\n", person=False)
    git(here, "checkout", "-q", workspace.branch or "")
    commit(here, "a", "ours\n", person=False)
    git(here, "merge", "-q", "--no-commit", *names)
    (here / "c").write_text(f"first\n{before}{KEY}\n")
    git(here, "add", "-A")
    git(here, "commit", "-q", "-m", "merge")
    assert told(await manager.collect(workspace)) == [("secret", "c:2 holds what looks like a private key")]


async def test_a_secret_in_the_message_of_a_commit_is_found(manager: WorkspaceManager) -> None:
    """And shown to nobody, though subjects of commits are."""
    workspace = await prepare(manager)
    commit(workspace.path, "a", "x\n", person=False)
    git(workspace.path, "commit", "-q", "--amend", "-m", f"Use {KEY}")
    work = await manager.collect(workspace)
    [(kind, text)] = told(work)
    assert kind == "secret" and text.startswith("the message of commit ")
    assert KEY not in str(work)


async def test_a_large_file_that_a_later_commit_removes_is_found(manager: WorkspaceManager) -> None:
    """A push would publish it all the same."""
    using(manager, max_file_bytes=1_000)
    workspace = await prepare(manager)
    commit(workspace.path, "big.txt", "x\n" * 1_000, person=False)
    git(workspace.path, "rm", "-q", "big.txt")
    git(workspace.path, "commit", "-q", "-m", "remove it")
    assert [kind for kind, _ in told(await manager.collect(workspace))] == ["size"]


async def test_a_secret_is_never_left_out_of_a_long_list(manager: WorkspaceManager) -> None:
    """A person is told of it, however much else there is to mend."""
    workspace = await prepare(manager)
    commit(workspace.path, "z", KEY, person=False)
    for number in range(OBJECTIONS_MAX):
        commit(workspace.path, f"a{number}", "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> main\n", person=False)
    found = told(await manager.collect(workspace))
    assert found[0][0] == "secret" and len(found) == OBJECTIONS_MAX


async def test_large_binary_files_hinder_nobody(manager: WorkspaceManager) -> None:
    """What is too much to be looked through is left to the limit of a file's size; text beside it is looked at."""
    workspace = await prepare(manager)
    Path(workspace.path, "movie").write_bytes(b"\0movie\n" * 800_000)
    commit(workspace.path, "a", KEY, person=False)
    assert [kind for kind, _ in told(await manager.collect(workspace))] == ["secret"]
