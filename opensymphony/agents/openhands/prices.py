"""What a model costs and takes at most, by the price list that the installed agent-server itself reckons with.

In: a tool directory and a model's name. Out: `ModelPrices`, or None when the list does not know the model. The list is
a data file of litellm's; it is read, never imported, and an odd entry in it costs only itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

FILE_BYTES_MAX = 64 * 1024 * 1024
"""Of the list: twenty times what it has today."""

_FILE = "model_prices_and_context_window_backup.json"
_EXAMPLE = "sample_spec"
_PRICE_MAX = 1.0
"""Of one token. Dearer is a slip in the list."""
_TOKENS_MAX = 1_000_000_000
_MICROS = 1_000_000
_OTHER_TIERS = re.compile(r"_(batches|flex|priority|ultrafast|balanced|decisions)$")
"""Prices of ways to ask that nobody here uses."""
_INPUT = re.compile(r"(input_cost_per_token|cache_creation_input_token_cost|cache_read_input_token_cost)(_above_\w+)?")
_OUTPUT = re.compile(r"output_cost_per_(reasoning_)?token(_above_\w+)?")
_FAMILIES = ("vertex_ai", "fireworks_ai", "bedrock")
"""Providers with several names in the list that begin alike."""


class ModelPrices(Struct, frozen=True, kw_only=True):
    """The most that a token of one model costs, in micro-units of money, and how many tokens one call takes at most."""

    name: str
    """As the list has it."""
    input_cost_per_token_micros: float | None = None
    """The dearest of reading, reading from and writing to the cache, at whatever length. None: the list does not say."""
    output_cost_per_token_micros: float | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None


def list_path(tool_dir: Path) -> Path | None:
    """The price list of the installed agent-server; None when there is none."""
    found = sorted((tool_dir / "current").glob(f"lib/python3*/site-packages/litellm/{_FILE}"))
    return found[0] if found else None


def find(tool_dir: Path, model: str) -> ModelPrices | None:
    """Look a model up as litellm does, with and without its provider. Blocking, a few hundredths of a second."""
    path = list_path(tool_dir)
    return find_in(path, model) if path is not None else None


def find_in(path: Path, model: str) -> ModelPrices | None:
    """The same in one list. A list that cannot be read knows no model."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            return None
        entries = msgspec.json.decode(path.read_bytes(), type=dict[str, Raw])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    entries.pop(_EXAMPLE, None)
    for name, provider in _names(model):
        entry = _entry(entries.get(name))
        if entry is not None and _is_of(entry, provider):
            return _prices(name, entry)
    return None


def _names(model: str) -> Iterator[tuple[str, str | None]]:
    """Names to look under, each with the provider that its entry has to be of. A proxy passes on to another provider."""
    yield model, None
    while (plain := model.removeprefix("litellm_proxy/").removeprefix("openhands/")) != model:
        model = plain
        yield model, None
    provider, slash, rest = model.partition("/")
    if slash:
        yield rest, provider


def _entry(raw: Raw | None) -> Mapping[str, Any] | None:
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_of(entry: Mapping[str, Any], provider: str | None) -> bool:
    """Whether the entry is that provider's: another may have a model of the same name at another price."""
    named = entry.get("litellm_provider")
    if provider is None or named is None or named == provider:
        return True
    return isinstance(named, str) and any(named.startswith(one) and provider.startswith(one) for one in _FAMILIES)


def _prices(name: str, entry: Mapping[str, Any]) -> ModelPrices:
    parts: list[Mapping[str, Any]] = [entry]
    tiers: object = entry.get("tiered_pricing")
    if isinstance(tiers, list):
        parts += [cast("dict[str, Any]", tier) for tier in cast("list[object]", tiers) if isinstance(tier, dict)]
    priced = [
        any(_price(part.get(key)) is not None for part in parts)
        for key in ("input_cost_per_token", "output_cost_per_token")
    ]
    return ModelPrices(
        name=name,
        input_cost_per_token_micros=_dearest(parts, _INPUT) if priced[0] else None,
        output_cost_per_token_micros=_dearest(parts, _OUTPUT) if priced[1] else None,
        max_input_tokens=_tokens(entry.get("max_input_tokens")),
        max_output_tokens=_tokens(entry.get("max_output_tokens"), entry.get("max_tokens")),
    )


def _dearest(parts: list[Mapping[str, Any]], wanted: re.Pattern[str]) -> float | None:
    found = [
        _price(price)
        for part in parts
        for key, price in part.items()
        if wanted.fullmatch(key) and not _OTHER_TIERS.search(key)
    ]
    prices = [price for price in found if price is not None]
    return round(max(prices) * _MICROS, 9) if prices else None


def _price(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= _PRICE_MAX else None


def _tokens(*values: object) -> int | None:
    """The first that is a number of tokens."""
    for value in values:
        if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= _TOKENS_MAX:
            return int(value)
    return None
