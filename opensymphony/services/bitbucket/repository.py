"""Which repository on Bitbucket, and how we sign in: the keys of `code_host.provider` for `kind: bitbucket`."""

from __future__ import annotations

from urllib.parse import quote

import msgspec
from msgspec import Struct

from opensymphony.errors import ConfigurationError, Problem
from opensymphony.workflow.policy import CodeHostPolicy

SERVICE = "bitbucket"
SECRET = "bitbucket_token"
"""Its name in opensymphony.toml, [secrets]."""


class Repository(Struct, frozen=True, kw_only=True):
    """As resolved from WORKFLOW.md: no secret, only where one is."""

    workspace: str
    """Slug, or id in braces."""
    repository: str
    """The same."""
    api_url: str = "https://api.bitbucket.org/2.0"
    email: str | None = None
    """Of the account that the API token belongs to; without one the token is an access token, which has no account."""
    token_env: str | None = None
    """The environment variable of the token; None: the usual one."""
    git_user: str | None = None
    """Who git signs in as; None: the name that goes with the kind of token."""

    @property
    def path(self) -> str:
        """Where it is below the API's address."""
        return f"/repositories/{quote(self.workspace, safe='')}/{quote(self.repository, safe='')}"

    @property
    def git_name(self) -> str:
        return self.git_user or ("x-bitbucket-api-token-auth" if self.email else "x-token-auth")

    @property
    def shown_token(self) -> str:
        """Where people find the token."""
        return self.token_env or "BITBUCKET_TOKEN"


def read_repository(policy: CodeHostPolicy) -> Repository:
    """The repository of a resolved policy. Raises `ConfigurationError`."""
    known = {field.name for field in msgspec.structs.fields(Repository)}
    given = {key: value for key, value in policy.provider.items() if key in known and value is not None}
    try:
        return msgspec.convert(given, Repository)
    except msgspec.ValidationError as error:
        problem = Problem(
            file="WORKFLOW.md", key="code_host.provider", message=str(error), code="invalid_code_host_provider"
        )
        raise ConfigurationError([problem]) from error
