"""Webhooks that end by themselves are renewed in time; nothing that goes wrong here keeps the daemon from anything.

In: the tracker's policy and the address where others reach us. Out: a line in the log when somebody has to do something.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from opensymphony.clock import Clock, iso
from opensymphony.errors import OpenSymphonyError
from opensymphony.logs import get_logger
from opensymphony.services import Secrets, open_registrar
from opensymphony.workflow.policy import TrackerPolicy

_DAY_S = 86_400.0
_AGAIN_S = 3_600.0

log = get_logger(__name__)


class WebhookRenewal:
    """Those of one address, in which the path of the service stands."""

    def __init__(
        self,
        policy: TrackerPolicy,
        url: str,
        secrets: Secrets,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """`sleep` takes seconds; a test passes its own."""
        self._policy = policy
        self._url = url
        self._secrets = secrets
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Look now and once a day, until cancelled; where webhooks do not end, once."""
        while (pause_s := await self.look()) is not None:
            await self._sleep(pause_s)

    async def look(self) -> float | None:
        """Renew what ends soon. Returns when to look again, in seconds; None: never."""
        try:
            return await self._renew()
        except OpenSymphonyError as error:
            log.warning("webhooks could not be renewed; it is tried again in an hour", url=self._url, error=str(error))
        except Exception:
            log.exception("webhooks could not be renewed; it is tried again in an hour", url=self._url)
        return _AGAIN_S

    async def _renew(self) -> float | None:
        registrar = open_registrar(self._policy, self._clock, self._secrets)
        if registrar is None:
            return None
        try:
            renewal = await registrar.renew(self._url)
        finally:
            await registrar.close()
        if renewal is None:
            return None
        until = iso(renewal.expires_ms) if renewal.expires_ms is not None else "unknown"
        if not renewal.found:
            command = f"opensymphony webhook register {self._url.removesuffix(f'/webhook/{self._policy.kind}')}"
            log.warning("no webhook is registered for our address: run what is said here", command=command)
        elif renewal.renewed:
            log.info("webhooks are renewed", url=self._url, webhooks=renewal.renewed, until=until)
        else:
            log.debug("webhooks hold for longer", url=self._url, webhooks=renewal.found, until=until)
        return _DAY_S
