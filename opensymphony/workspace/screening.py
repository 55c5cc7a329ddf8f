"""Looks through what is about to be pushed: secrets, conflict markers, protected paths, large files, foreign names.

In: the mirror, the base and the commit, and what the policy asks for. Out: objections, one line each, which name their places.
Everything that a push would publish is looked at, also what a later commit takes back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from opensymphony.logs import redacted
from opensymphony.model import Objection
from opensymphony.workflow.policy import RepositoryPolicy
from opensymphony.workspace.git import OUTPUT_BYTES_MAX, Git, plain
from opensymphony.workspace.mirror import Mirror

OBJECTIONS_MAX = 20
_SECRETS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----"),
    "an access key of AWS": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})"),
    "a token of GitLab": re.compile(r"\bgl(?:pat|ptt|dt|rt)-[A-Za-z0-9_-]{20,}"),
    "a token of Atlassian": re.compile(r"\bAT(?:ATT3|CTT3|BB)[A-Za-z0-9_=-]{20,}"),
    "a token of Slack": re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    "a key of a model's provider": re.compile(r"\bsk-(?:ant-|proj-|or-)?[A-Za-z0-9_-]{32,}"),
    "a key of Google": re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b"),
    "a token of a package index": re.compile(r"\b(?:pypi-[A-Za-z0-9_-]{50,}|npm_[A-Za-z0-9]{36})"),
}
"""Of such a form that hardly anything else looks like it: what is found here was meant to be a secret."""
_MARKER = re.compile(r"(?:<{7}|>{7}|\|{7}) |={7}$")
_OUR_SECRET = "one of the daemon's own secrets"


async def screen(git: Git, mirror: Mirror, base: str, commit: str, policy: RepositoryPolicy) -> tuple[Objection, ...]:
    """What is against pushing this commit on top of this base."""
    found = [
        *await _in_history(git, mirror, base, commit),
        *await _in_files(git, mirror, base, commit, policy),
        *await _in_sizes(git, mirror, base, commit, policy),
        *await _in_commits(git, mirror, base, commit, policy),
    ]
    found.sort(key=lambda one: one.kind != "secret")  # never among those that are left out
    return tuple(dict.fromkeys(found))[:OBJECTIONS_MAX]


async def _in_history(git: Git, mirror: Mirror, base: str, commit: str) -> list[Objection]:
    """In every line that any of the new commits adds, and in what they say of themselves."""
    options = [
        "-p",
        "--cc",
        "--unified=0",
        "--format=",
        "--no-ext-diff",
        "--no-textconv",
        "--no-show-signature",
        "--no-renames",
    ]
    range_ = ["--end-of-options", commit, f"^{base}"]
    # As text, since a file with one odd byte would not be shown at all; where large binary files are too much, without them.
    answer = await git.run(["log", *options, "--text", *range_], git_dir=mirror.path)
    if _is_cut(answer.output):
        answer = await git.run(["log", *options, *range_], git_dir=mirror.path)
    messages = await git.run(["log", "--format=%h%n%B%x00", "--no-show-signature", *range_], git_dir=mirror.path)
    if _is_cut(answer.output) or _is_cut(messages.output):
        text = f"the changes are larger than {OUTPUT_BYTES_MAX // 1_048_576} MiB, too much to be looked through"
        return [Objection(kind="size", text=text)]
    return [*_in_messages(messages.output), *_in_lines(answer.output)]


def _is_cut(output: str) -> bool:
    return len(output.encode()) >= OUTPUT_BYTES_MAX


def _in_messages(listed: str) -> Iterator[Objection]:
    for described in listed.split("\0"):
        name, _, message = described.strip("\n").partition("\n")
        for what in _secrets_in(message):
            yield Objection(kind="secret", text=f"the message of commit {name} holds {what}")


def _secrets_in(text: str) -> Iterator[str]:
    for what, form in _SECRETS.items():
        if form.search(text):
            yield f"what looks like {what}"
    if redacted(text) != text:
        yield _OUR_SECRET


def _in_lines(patch: str) -> Iterator[Objection]:
    path, line, markers = "", 0, set[str]()
    columns = 0  # before each line of a hunk, one for each parent; 0 outside, where alone a line can be a heading
    for text in patch.split("\n"):
        if text.startswith("diff "):
            columns = 0
            markers.clear()
        elif text.startswith("@@"):
            columns = len(text) - len(text.lstrip("@")) - 1
            numbers = re.search(r"\+(\d+)", text)
            line = int(numbers[1]) - 1 if numbers is not None else 0
        elif not columns:
            path = plain(text[4:].removeprefix("b/")) if text.startswith("+++ ") else path
        elif text and not {"-", "\\"} & set(text[:columns]):
            line += 1
            added = text[columns:]
            if "+" not in text[:columns]:
                continue
            for what in _secrets_in(added):
                yield Objection(kind="secret", text=f"{path}:{line} holds {what}")
            if _MARKER.match(added):
                markers.add(added[:1])
                if {"<", ">"} <= markers:
                    yield Objection(kind="conflict", text=f"{path} holds conflict markers")
                    markers.clear()


async def _in_files(git: Git, mirror: Mirror, base: str, commit: str, policy: RepositoryPolicy) -> list[Objection]:
    """Which files are changed in the end."""
    merge_base = await git.ask(["merge-base", "--end-of-options", base, commit], git_dir=mirror.path)
    since = merge_base.output.strip() if merge_base.exit_code == 0 else base
    options = ["-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--no-ext-diff", "--no-textconv"]
    answer = await git.run(["diff-tree", *options, "--end-of-options", since, commit], git_dir=mirror.path)
    parts = answer.output.split("\0")
    found: list[Objection] = []
    for described, path in zip(parts[::2], parts[1::2], strict=False):
        is_entry = len(described.split()) >= 5
        if is_entry and any(fnmatchcase(path, pattern) for pattern in policy.protected_paths):
            found.append(Objection(kind="protected", text=f"{plain(path)} is protected (repository.protected_paths)"))
    return found


async def _in_sizes(git: Git, mirror: Mirror, base: str, commit: str, policy: RepositoryPolicy) -> list[Objection]:
    """How large the files of all new commits are: one that a later commit removes is pushed all the same."""
    if not policy.max_file_bytes:
        return []
    listed = await git.run(["rev-list", "--objects", "--end-of-options", commit, f"^{base}"], git_dir=mirror.path)
    paths = {name: path for name, _, path in (line.partition(" ") for line in listed.output.split("\n")) if path}
    if not paths:
        return []
    wanted = "".join(f"{name}\n" for name in paths)
    sizes = await git.run(["cat-file", "--batch-check"], git_dir=mirror.path, stdin=wanted)
    found: list[Objection] = []
    for name, kind, size in (fields for fields in map(str.split, sizes.lines) if len(fields) == 3):
        if kind == "blob" and int(size) > policy.max_file_bytes and name in paths:
            text = f"{plain(paths[name])} has {int(size):,} bytes, more than repository.max_file_bytes"
            found.append(Objection(kind="size", text=text))
    return found


async def _in_commits(git: Git, mirror: Mirror, base: str, commit: str, policy: RepositoryPolicy) -> list[Objection]:
    """Whose names the new commits bear, and whether they are signed off."""
    if policy.author is None and not policy.sign_off:
        return []
    form = "%h%x1f%an <%ae>%x1f%cn <%ce>%x1f%(trailers:key=Signed-off-by,valueonly,separator=%x2c)%x1e"
    options = [f"--format={form}", "--no-show-signature", "--max-count=500"]
    answer = await git.run(["log", *options, "--end-of-options", commit, f"^{base}"], git_dir=mirror.path)
    found: list[Objection] = []
    for described in filter(str.strip, answer.output.split("\x1e")):
        name, author, committer, trailers = (*described.strip().split("\x1f"), "", "", "")[:4]
        if policy.author is not None and not author == committer == policy.author:
            text = f"commit {name} is by {plain(author)} and not by {policy.author} (repository.author)"
            found.append(Objection(kind="author", text=text))
        if policy.sign_off and author not in trailers:
            text = f"commit {name} has no line Signed-off-by: {plain(author)} (repository.sign_off)"
            found.append(Objection(kind="author", text=text))
    return found
