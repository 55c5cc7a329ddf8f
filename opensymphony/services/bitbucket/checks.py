"""What was found out about a commit: its statuses, and what a failed pipeline has printed.

Anything can report a status; only Bitbucket's own Pipelines let us read their logs. A status that is theirs names its pipeline
by the number at the end of its address.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

from opensymphony.errors import NotFound, Refused
from opensymphony.http import Answer
from opensymphony.logs import get_logger
from opensymphony.model import CheckState, CommitCheck, encodable
from opensymphony.services.bitbucket.client import PAGE_MAX, BitbucketClient, is_below
from opensymphony.services.bitbucket.pull_requests import to_ms
from opensymphony.workflow.policy import is_loopback

LOG_BYTES_MAX = 64 * 1024
_STEPS_MAX = 4
_PAGES_MAX = 4
_TEXT_CHARS_MAX = 500
_STATE: dict[str, CheckState] = {"SUCCESSFUL": "passed", "INPROGRESS": "pending"}
_RESULTS = re.compile(r"/pipelines/(?:results/|home#!/results/)(\d{1,12})")
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

log = get_logger(__name__)


class _Status(Struct, frozen=True, kw_only=True):
    key: str
    state: str
    name: str | None = None
    url: str | None = None
    description: str | None = None
    updated_on: str | None = None

    def view(self) -> CommitCheck:
        said = _short(self.description)
        if self.state == "STOPPED":
            said = f"stopped: {said}" if said else "stopped"
        return CommitCheck(
            key=encodable(self.key),
            name=_short(self.name) or encodable(self.key),
            state=_STATE.get(self.state, "failed"),
            url=_short(self.url),
            description=said,
            updated_ms=to_ms(self.updated_on),
        )


class _Commit(Struct, frozen=True, kw_only=True):
    hash: str = ""


class _State(Struct, frozen=True, kw_only=True):
    name: str = ""
    result: dict[str, Any] | None = None

    @property
    def has_failed(self) -> bool:
        return (self.result or {}).get("name") in ("FAILED", "ERROR", "STOPPED", "EXPIRED")


class _Pipeline(Struct, frozen=True, kw_only=True):
    uuid: str
    build_number: int = 0
    state: _State = _State()


class _Step(Struct, frozen=True, kw_only=True):
    uuid: str
    name: str | None = None
    state: _State = _State()


_UNKNOWN = CommitCheck(key="unknown", name="checks that cannot be read", state="pending")
"""Of a commit that is not known (yet), and for what is behind the end of a list that is too long."""


async def read_checks(client: BitbucketClient, commit: str) -> tuple[CommitCheck, ...]:
    """The statuses of a commit, the latest of each key. What cannot be known is a check that has not ended."""
    path = f"/commit/{commit}/statuses"
    try:
        listed = await client.listed(path, _Status, name="read statuses", pages_max=_PAGES_MAX)
    except NotFound:
        return (_UNKNOWN,)
    latest: dict[str, CommitCheck] = {}
    for one in sorted((status.view() for status in listed), key=lambda check: check.updated_ms):
        latest[one.key] = one
    if len(listed) >= _PAGES_MAX * PAGE_MAX:
        latest[_UNKNOWN.key] = _UNKNOWN
    return tuple(latest[key] for key in sorted(latest))


async def read_log(client: BitbucketClient, commit: str, check: CommitCheck) -> str:
    """The end of what the failed steps of a check's pipeline have printed; empty when it has none, or we may not read it."""
    try:
        pipeline = await _pipeline(client, commit, check)
        if pipeline is None:
            return ""
        path = f"/pipelines/{_escaped(pipeline.uuid)}/steps"
        steps = await client.listed(path, _Step, name="read steps", pages_max=1)
        failed = [step for step in steps if step.state.has_failed][-_STEPS_MAX:]
        parts = [(step, await _step_log(client, path, step, LOG_BYTES_MAX // len(failed))) for step in failed]
    except (NotFound, Refused) as error:
        log.warning("the log of a check cannot be read", check=check.name, error=str(error))
        return ""
    texts = [f"{step.name or 'step'}:\n{text}" if len(parts) > 1 else text for step, text in parts if text]
    return "\n\n".join(texts)[-LOG_BYTES_MAX:]


async def _pipeline(client: BitbucketClient, commit: str, check: CommitCheck) -> _Pipeline | None:
    """The pipeline that a status is about, by its number."""
    found = _RESULTS.search(check.url)
    if found is None:
        return None
    name = "read pipelines"
    whole = (await client.call("GET", f"/commit/{commit}", name=name)).value(_Commit).hash
    params = {"target.commit.hash": whole, "sort": "-created_on"}
    listed = await client.listed("/pipelines", _Pipeline, name=name, params=params, pages_max=_PAGES_MAX)
    return next((one for one in listed if one.build_number == int(found[1])), None)


async def _step_log(client: BitbucketClient, path: str, step: _Step, most: int) -> str:
    """A log that was put away is fetched from where it is now, which may be another service: nothing of ours is shown there."""
    name, headers = "read a log", {"Range": f"bytes=-{most}", "Accept": "*/*"}
    answer = await client.call(
        "GET",
        f"{path}/{_escaped(step.uuid)}/log",
        name=name,
        headers=headers,
        expected=(302, 307, 404, 416),
        tail_bytes=most,
    )
    if answer.status in (302, 307):
        answer = await _elsewhere(client, answer, name, headers, most)
    return plain(answer.body.decode(errors="replace")) if answer.status in (200, 206) else ""


async def _elsewhere(client: BitbucketClient, answer: Answer, name: str, headers: dict[str, str], most: int) -> Answer:
    api = client.repository.api_url
    url = urljoin(f"{api}/", answer.headers.get("Location", ""))
    place = urlsplit(url)
    local = is_loopback(place.hostname or "") and is_loopback(urlsplit(api).hostname or "")
    if place.scheme != "https" and not local:
        return answer
    if is_below(url, api):
        return await client.follow(url, name=name, headers=headers, tail_bytes=most)
    return await client.fetch_elsewhere(url, name=name, headers=headers, tail_bytes=most)


def plain(text: str) -> str:
    """What a terminal would show in the end: no colours, no control characters, of a line written over itself the last."""
    text = _ESCAPE.sub("", text.replace("\r\n", "\n"))
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _CONTROL.sub("", "\n".join(lines)).strip("\n")


def _escaped(uuid: str) -> str:
    return re.sub(r"[^A-Za-z0-9{}-]", "", uuid).replace("{", "%7B").replace("}", "%7D")


def _short(text: str | None) -> str:
    return " ".join(encodable(text or "").split())[:_TEXT_CHARS_MAX]
