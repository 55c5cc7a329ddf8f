"""The first WORKFLOW.md of a project: one of the ready policies with the answers of whoever sets it up. Text in, text out.

It is careful at first: a ticket needs a label, and one agent works at a time, until the user says otherwise.
"""

from __future__ import annotations

import json
import re

from msgspec import Struct


class Answers(Struct, frozen=True, kw_only=True):
    """What was asked, or given as flags."""

    tracker: str = "files"
    label: str = "agent"
    """Empty: every ticket of the scope."""
    base: str = "main"
    has_repository: bool = True
    repository_url: str = "."
    """What is cloned and pushed to."""
    code_host: str = ""
    """Empty: branches are pushed, and no pull request is opened."""
    verify: str = ""
    tickets: str = "tickets"
    """Of files: the folder."""
    site: str = ""
    email: str = ""
    project: str = ""
    assigned: bool = True
    """Of Jira: only issues that are assigned to the account of the token."""


def template_of(answers: Answers) -> str:
    """The name of the ready policy to begin from."""
    return f"{answers.tracker}-{answers.code_host}" if answers.code_host else answers.tracker


def bitbucket_address(remote: str) -> str:
    """The address of a repository on Bitbucket Cloud as a token signs in to it; empty for another remote."""
    found = re.fullmatch(
        r"(?:https://(?:[^@/\s]+@)?|ssh://git@|git@)(?:altssh\.)?bitbucket\.org(?::\d+)?[:/]([\w.-]+)/([\w.-]+?)(?:\.git)?/?",
        remote.strip(),
    )
    return f"https://bitbucket.org/{found[1]}/{found[2]}.git" if found else ""


def first_policy(template: str, answers: Answers) -> str:
    """The text of a WORKFLOW.md, from the ready policy that `template_of` names."""
    text = template
    text = _set(text, "max_concurrent_agents", "1")
    text = _set(text, "base", _quoted(answers.base))
    if answers.repository_url != ".":
        text = _set(text, "url", _quoted(answers.repository_url))
    text = _set(text, "required_labels", f"[{_quoted(answers.label.lower())}]" if answers.label else None)
    if answers.verify:
        text = text.replace("# verify:\n#   command: make test\n", f"verify:\n  command: {_quoted(answers.verify)}\n")
        text = text.replace("#   timeout_ms: 600000", "  timeout_ms: 600000")
    if not answers.has_repository:
        text = re.sub(r"(?m)^repository:\n(?:  .*\n)+", _without_repository, text, count=1)
    if answers.tracker == "files":
        return _set(text, "path", _quoted(answers.tickets))
    text = _set(text, "base_url", _quoted(answers.site) if answers.site else None)
    text = _set(text, "email", _quoted(answers.email) if answers.email else None)
    text = _set(text, "project_key", _quoted(answers.project))
    if answers.code_host:
        head, host, rest = text.partition("\ncode_host:")
        text = head + host + _set(rest, "email", _quoted(answers.email) if answers.email else None)
    return _set(text, "assignee", "me" if answers.assigned else None)


def ignore_lines(existing: str) -> str:
    """What is to be added to a `.gitignore`: nothing where it is there already."""
    wanted = (".opensymphony/",)
    missing = [line for line in wanted if line not in existing.splitlines()]
    if not missing:
        return ""
    gap = "" if not existing or existing.endswith("\n") else "\n"
    return gap + "\n".join(missing) + "\n"


EXAMPLE = """\
---
title: An example, which says in one line what is to be done
state: Backlog
labels: [{label}]
---

Say here what is wrong or missing, and how one can see that it is done. Move it to `Todo` to have it worked on.
"""


def _set(text: str, key: str, value: str | None) -> str:
    """Set a key where the ready policy has it, commented out or not; None leaves it commented out."""
    pattern = re.compile(rf"^(?P<indent> *)(?P<off># ?)?{key}:(?P<rest>[^\n]*)$", re.MULTILINE)

    def changed(found: re.Match[str]) -> str:
        note = re.search(r"(?<!\S)# .*$", found["rest"])
        comment = f" {note[0]}" if note is not None else ""
        if value is None:
            return f"{found['indent']}# {key}:{found['rest']}"
        return f"{found['indent']}{key}: {value}{comment}"

    return pattern.sub(changed, text, count=1)


def _quoted(text: str) -> str:
    """As YAML takes it for exactly this text; bare where it is a plain word."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", text) and text.lower() not in ("null", "true", "false")
    return text if plain else json.dumps(text, ensure_ascii=False)


def _without_repository(found: re.Match[str]) -> str:
    commented = "".join(f"# {line}\n" for line in found[0].splitlines())
    return f"# This directory is no git repository: name one, or fill workspaces with hooks.after_create.\n{commented}"
