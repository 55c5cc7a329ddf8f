"""The roles of a webhook: how a service tells us that something happened, and how it is told where to call us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct


class BadDelivery(Exception):
    """Raised for the body of a webhook that is none; the text says why."""


class Delivery(Struct, frozen=True, kw_only=True):
    """One call of a webhook, as far as it is of use: a hint to look at a ticket, never a fact about it."""

    service: str
    id: str
    """The same at every try of its sender; empty where there is none."""
    event: str
    ticket_id: str = ""
    ticket: str = ""
    """As people write it."""
    branch: str = ""
    """Of the pull request, or the commit, that it is about; for the webhooks of a code host."""
    author: str = ""
    """Id of the account that did it."""
    at_ms: int = 0
    """When it happened, by the sender's clock; 0: it does not say."""
    changes: str = ""
    """What happened, in words."""


class Webhook(Protocol):
    """How a service tells us that something happened."""

    @property
    def secret_name(self) -> str:
        """Under which name its secret is found."""
        ...

    def is_genuine(self, secret: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the raw body comes from who knows the secret; constant in time. Names of headers are in lower case."""
        ...

    def sign(self, secret: str, body: bytes) -> dict[str, str]:
        """The headers with which the service would send this body; for trying whether calls arrive."""
        ...

    def read(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """What it says. Raises `BadDelivery`."""
        ...


class RegisteredWebhook(Struct, frozen=True, kw_only=True):
    """A webhook as its service has it."""

    id: str
    name: str
    url: str
    events: tuple[str, ...] = ()
    condition: str = ""
    """Which tickets it is about, in the service's own language."""
    enabled: bool = True
    expires_ms: int | None = None
    """When it ends unless it is renewed; None: never."""


class Renewal(Struct, frozen=True, kw_only=True):
    """What became of the webhooks with one address that end by themselves."""

    found: int
    renewed: int = 0
    expires_ms: int | None = None
    """When the first of them ends now."""


class Registrar(Protocol):
    """Tells a service where to call us. Every method may raise a `ServiceError`."""

    async def registered(self) -> tuple[RegisteredWebhook, ...]:
        """Every webhook that the service has, also those of others."""
        ...

    async def register(self, url: str) -> RegisteredWebhook:
        """Make one, or bring the one with this address up to date."""
        ...

    async def remove(self, webhook_id: str) -> bool:
        """Take one off; False for one that is not there."""
        ...

    async def renew(self, url: str) -> Renewal | None:
        """Let those with this address that end soon hold for longer; None where webhooks do not end."""
        ...

    async def close(self) -> None:
        """Give back every connection."""
        ...
