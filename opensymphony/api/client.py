"""Talks to a running daemon over its operator's listener; every door but `run` comes through here."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import httpx
import msgspec
from msgspec import Struct

from opensymphony.errors import InstanceError
from opensymphony.views import Snapshot

ADDRESS_FILE = "daemon.json"
"""In the store's directory: where its daemon listens."""

T = TypeVar("T")

_TIMEOUT_S = 10


class Address(Struct, frozen=True, kw_only=True):
    """Where a running daemon is found."""

    pid: int
    host: str
    port: int
    token_file: str

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def find_daemon(store_dir: str) -> Address:
    """The daemon of this store. Raises `InstanceError` when none is running."""
    try:
        return msgspec.json.decode((Path(store_dir) / ADDRESS_FILE).read_bytes(), type=Address)
    except (OSError, msgspec.MsgspecError) as error:
        raise InstanceError(
            f"no daemon is running on the store {store_dir}: start one with `opensymphony run`"
        ) from error


def fetch_snapshot(address: Address) -> Snapshot:
    """The daemon's picture right now. Raises `InstanceError` when it does not answer."""
    return _get(address, "/api/v1/snapshot", Snapshot)


def _get(address: Address, path: str, kind: type[T]) -> T:
    try:
        token = Path(address.token_file).read_text()
        answer = httpx.get(
            f"{address.url}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT_S, trust_env=False
        )
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=kind)
    except msgspec.MsgspecError as error:
        raise InstanceError(
            f"what answers at {address.url} is no daemon of this release ({error}): it may be another program, or an "
            "older daemon; see its log"
        ) from error
    except (OSError, httpx.HTTPError) as error:
        said = " ".join(str(error).split())
        raise InstanceError(
            f"the daemon at {address.url} does not answer ({said}): it may have just ended; see its log"
        ) from error
