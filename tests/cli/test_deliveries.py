"""The webhooks that came, on the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from opensymphony.api.client import ADDRESS_FILE
from opensymphony.views import DeliveryList
from tests.api.desk import DELIVERIES
from tests.api.test_client import answering
from tests.cli.program import call, write_workflow


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    store = tmp_path / "store"
    store.mkdir()
    write_workflow(tmp_path)
    (tmp_path / "opensymphony.toml").write_text(f'[store]\ndirectory = "{store}"\n')
    monkeypatch.chdir(tmp_path)
    return store


def test_each_is_a_line(store: Path, tmp_path: Path) -> None:
    """What happened, to which ticket, and what became of it; then what was turned away."""
    listed = msgspec.json.encode(DeliveryList(deliveries=DELIVERIES, refused={"signature": 3, "too_large": 1}))
    with answering(200, listed, tmp_path) as (address, _):
        (store / ADDRESS_FILE).write_bytes(msgspec.json.encode(address))
        said = call("deliveries", "list")
        document = json.loads(call("deliveries", "list", "--json").out)
    assert said.out.splitlines() == [
        "     2  2023-11-14T22:13:20Z  -            jira:issue_created; pending",
        (
            "     1  2023-11-14T22:13:20Z  PROJ-1       jira:issue_updated (assignee: nobody -> Agent); "
            "looked: PROJ-1 is in To Do, replayed 1"
        ),
        "turned away: 3 (signature)",
        "turned away: 1 (too large)",
    ]
    assert msgspec.convert(document, DeliveryList).refused == {"signature": 3, "too_large": 1}


def test_nothing_has_come(store: Path, tmp_path: Path) -> None:
    with answering(200, msgspec.json.encode(DeliveryList(deliveries=())), tmp_path) as (address, _):
        (store / ADDRESS_FILE).write_bytes(msgspec.json.encode(address))
        assert call("deliveries", "list").out == "no webhook has come yet\n"


def test_one_is_shown_and_replayed(store: Path, tmp_path: Path) -> None:
    with answering(200, b'{"delivery": {}, "body": {"a": 1}}', tmp_path) as (address, _):
        (store / ADDRESS_FILE).write_bytes(msgspec.json.encode(address))
        assert json.loads(call("deliveries", "show", "1").out)["body"] == {"a": 1}
        assert call("deliveries", "replay", "1").out == "delivery 1 is looked at once more\n"


@pytest.mark.parametrize("command", [("list",), ("show", "7"), ("replay", "7")])
def test_what_cannot_be_done_is_one_line(command: tuple[str, ...], store: Path, tmp_path: Path) -> None:
    """Without a daemon, or where it takes no webhooks."""
    assert call("deliveries", *command).code == 1
    refusal = b'{"error": {"code": "no_webhooks", "message": "no webhooks are taken: set public.port"}}'
    with answering(404, refusal, tmp_path) as (address, _):
        (store / ADDRESS_FILE).write_bytes(msgspec.json.encode(address))
        said = call("deliveries", *command)
    assert (said.code, said.lines) == (1, ["opensymphony: no webhooks are taken: set public.port"])
