"""`opensymphony webhook register|list|remove`: tells the tracker where to call us."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from opensymphony.cli import ask, output

if TYPE_CHECKING:
    from opensymphony.interfaces import RegisteredWebhook, Registrar

T = TypeVar("T")

_Json = Annotated[bool, typer.Option("--json", help="As one JSON document.")]
_Service = Annotated[
    str | None,
    typer.Option(
        "--service", metavar="NAME", help="The tracker or the code host of WORKFLOW.md. Left out: the tracker."
    ),
]


def register(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where it is reached: https://hooks.example.com")],
    service: _Service = None,
    workflow: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    json: _Json = False,
) -> None:
    """Let the tracker, or with `--service` the code host, call this address when something happens.

    `/webhook/<service>` is added where it is missing. The secret is that of the settings. Done again, the same webhook is
    brought up to date, or holds for longer.
    """

    async def work(registrar: Registrar, service: str) -> RegisteredWebhook:
        return await registrar.register(_address(url, service))

    found = _with(work, service, workflow, config)
    if json:
        output.document(found)
    else:
        output.data(output.one_line(f"registered: {_line(found)}"))


def list_(
    service: _Service = None,
    workflow: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
    json: _Json = False,
) -> None:
    """Show the webhooks that the tracker, or with `--service` the code host, has: ours and those of others."""

    async def work(registrar: Registrar, service: str) -> tuple[RegisteredWebhook, ...]:
        return await registrar.registered()

    found = _with(work, service, workflow, config)
    if json:
        output.document(found)
        return
    for one in found:
        output.data(output.one_line(_line(one)))
    if not found:
        output.data("there are none")


def remove(
    webhook_id: Annotated[str, typer.Argument(metavar="ID", help="As `webhook list` shows it.")],
    service: _Service = None,
    workflow: ask.WorkflowOption = None,
    config: ask.ConfigOption = None,
) -> None:
    """Take a webhook off the tracker, or with `--service` off the code host."""

    async def work(registrar: Registrar, service: str) -> bool:
        return await registrar.remove(webhook_id)

    if not re.fullmatch(r"[A-Za-z0-9{}-]{1,100}", webhook_id):
        output.fail(f"{webhook_id!r} is no id of a webhook: `opensymphony webhook list` shows them", output.USAGE)
    if not _with(work, service, workflow, config):
        output.fail(f"there is no webhook {webhook_id}", output.FAILED)
    output.data(f"webhook {webhook_id} is removed")


def _with(
    work: Callable[[Registrar, str], Awaitable[T]], service: str | None, workflow: str | None, config: str | None
) -> T:
    """Do it with the tracker, or the code host, of this WORKFLOW.md."""
    import anyio

    from opensymphony.cli import loading
    from opensymphony.clock import Clock
    from opensymphony.daemon.model_access import host_secrets
    from opensymphony.errors import OpenSymphonyError
    from opensymphony.services import open_code_host_registrar, open_registrar

    settings, policy = loading.required(workflow, config_path=config)
    kinds = [policy.tracker.kind, *([policy.code_host.kind] if policy.code_host is not None else [])]
    kind = service or kinds[0]
    if kind not in kinds:
        output.fail(
            f"{kind} is neither the tracker nor the code host of WORKFLOW.md: {' or '.join(kinds)}", output.USAGE
        )

    async def run() -> T:
        secrets = host_secrets(settings)
        if policy.code_host is not None and kind == policy.code_host.kind:
            registrar = open_code_host_registrar(policy.code_host, Clock(), secrets)
        else:
            registrar = open_registrar(policy.tracker, Clock(), secrets)
        if registrar is None:
            output.fail(f"{kind} has no webhooks", output.USAGE)
        try:
            return await work(registrar, kind)
        finally:
            await registrar.close()

    try:
        return anyio.run(run)
    except OpenSymphonyError as error:
        output.fail_with(error)


def _address(url: str, service: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
        output.fail(f"{url} is no address that a tracker calls: write https://hooks.example.com", output.USAGE)
    path = parts.path.rstrip("/")
    return f"https://{parts.netloc}{path if path.endswith(f'/webhook/{service}') else f'{path}/webhook/{service}'}"


def _line(one: RegisteredWebhook) -> str:
    from opensymphony.clock import iso

    off = "" if one.enabled else ", disabled"
    condition = f", where {one.condition}" if one.condition else ""
    until = f", until {iso(one.expires_ms)}" if one.expires_ms is not None else ""
    return f"{one.id:<8} {one.name}: {one.url} ({', '.join(one.events)}){condition}{until}{off}"
