"""Which repository, and how we sign in."""

from __future__ import annotations

import pytest

from opensymphony.clock import Clock
from opensymphony.errors import ConfigurationError
from opensymphony.services import Secrets, open_code_host
from opensymphony.services.bitbucket.repository import read_repository
from opensymphony.workflow.policy import CodeHostPolicy


def policy(**provider: object) -> CodeHostPolicy:
    return CodeHostPolicy(kind="bitbucket", provider={"workspace": "acme", "repository": "app", **provider})


def test_who_git_is_goes_with_the_token() -> None:
    """The documented names; another one where it is given."""
    assert read_repository(policy(email="a@x")).git_name == "x-bitbucket-api-token-auth"
    assert read_repository(policy()).git_name == "x-token-auth"
    assert read_repository(policy(git_user="ada")).git_name == "ada"


def test_ids_in_braces_are_escaped_in_paths() -> None:
    found = read_repository(policy(workspace="{0}", repository="a b/c"))
    assert found.path == "/repositories/%7B0%7D/a%20b%2Fc"


def test_what_is_no_repository_is_a_line() -> None:
    """For a policy that did not come from a file."""
    with pytest.raises(ConfigurationError, match=r"code_host\.provider"):
        read_repository(CodeHostPolicy(kind="bitbucket", provider={"workspace": 1}))


async def test_the_secret_is_read_by_its_name_or_variable() -> None:
    """As WORKFLOW.md names it; git gets the same."""
    asked: list[tuple[str, str | None]] = []

    async def read_secret(name: str, variable: str | None) -> str:
        asked.append((name, variable))
        return "s"

    host = open_code_host(policy(token_env="MINE", email="a@x"), Clock(), Secrets(read=read_secret))
    assert await host.git_login() == ("x-bitbucket-api-token-auth", "s")
    assert asked == [("bitbucket_token", "MINE")]
    await host.close()


def test_an_unknown_host_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no code host is called 'svn'; this release has: bitbucket"):
        open_code_host(CodeHostPolicy(kind="svn"), Clock())
