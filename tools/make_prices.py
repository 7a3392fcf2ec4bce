"""Writes the providers' price tables from genai-prices: `python tools/make_prices.py [YYYY-MM-DD]`.

The date (today without one) chooses among prices that start on a day. Run it after every update of genai-prices.
"""

import datetime
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
from genai_prices import data
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ClauseStartsWith,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    TieredPrices,
)

from sekisho.core.money import rate_from_dollars_per_million
from sekisho.providers.common.prices import PriceRow, PriceTable

PROVIDERS = Path(__file__).parent.parent / "src/sekisho/providers"
_SOURCES = {"bedrock": "aws", "anthropic": "anthropic", "openai": "openai"}
"""The id in genai-prices of each provider folder that has a table."""

_SCOPED = re.compile(r"(?:(global|regional)\.)?(.+)")
_VERSION = re.compile(r"(-v\d+)?(:\d+)?$")
_MINOR = re.compile(r":\d+$")
_EDITION = re.compile(r"-\d{8}$|-\d{4}-\d{2}-\d{2}$|-latest$|@$")
# Of the vendors' models, those that take and give text, by the names that their own API knows; gpt-oss is priced there
# as somebody else's.
_TEXT = re.compile(
    r"claude-(3-[a-z\d-]+|[a-z]+-\d(-\d)?)"
    r"|(gpt|chatgpt|codex|o\d|text-embedding)\b(.*[^-])?|(davinci|babbage)-002"
)
_OTHER = re.compile(
    r".*(audio|image|realtime|transcribe|tts|live|moderation|whisper|gpt-oss|:extended|\.ft-).*|gpt-\d-\d(-.*)?"
)

_FiveRates = tuple[int, int, int, int, int]


def make_table(folder: str, day: datetime.date) -> PriceTable:
    """The prices in force on `day` for a provider's folder."""
    provider = next(provider for provider in data.providers if provider.id == _SOURCES[folder])
    noon = datetime.datetime.combine(day, datetime.time(12), datetime.UTC)
    make_rows = _bedrock_rows if folder == "bedrock" else _vendor_rows
    rows = {(row.model, row.scope): row for model in provider.models for row in make_rows(model, noon)}
    version = f"genai-prices-{importlib.metadata.version('genai-prices')}"
    return PriceTable(version, day.isoformat(), tuple(rows[key] for key in sorted(rows)))


def _bedrock_rows(model: ModelInfo, when: datetime.datetime) -> Iterator[PriceRow]:
    """One model's row, by its id and the scope of its profile; none for one without a price of text."""
    match = _SCOPED.fullmatch(model.id)
    assert match is not None
    scope, name = match.groups()
    if scope is None:
        scope = "any" if model.is_match(f"global.{model.id}") else "regional"
    # The versions of the models that make vectors are different models.
    row = _row((_MINOR if "embed" in name else _VERSION).sub("", name), scope, model.get_prices(when))
    if row is not None:
        yield row


def _vendor_rows(model: ModelInfo, when: datetime.datetime) -> Iterator[PriceRow]:
    """A row for each of a model's names, without the dates of editions where those cost the same."""
    names = {model.id, *_names(model.match)}
    stems = {stem for name in names if _is_text(stem := _EDITION.sub("", name))}
    dated = {name for name in names if _is_text(name) and not model.is_match(_EDITION.sub("", name))}
    for name in sorted(stems & names | {stem for stem in stems if model.is_match(stem)} | dated):
        row = _row(name, "any", model.get_prices(when))
        if row is not None:
            yield row


def _is_text(name: str) -> bool:
    return _TEXT.fullmatch(name) is not None and _OTHER.fullmatch(name) is None


def _names(match: MatchLogic) -> Iterator[str]:
    """The names that a rule takes; those it takes by a pattern are editions of them."""
    if isinstance(match, ClauseOr):
        for clause in match.or_:
            yield from _names(clause)
    elif isinstance(match, ClauseEquals):
        yield match.equals
    elif isinstance(match, ClauseStartsWith):
        yield match.starts_with


def _row(name: str, scope: str, prices: ModelPrice) -> PriceRow | None:
    """One row; None without a price of text. What makes vectors (embeddings) has no output."""
    if prices.input_mtok is None or (prices.output_mtok is None and "embed" not in name):
        return None
    claude = "claude" in name
    tiers = tuple((start, _rates(prices, start, claude=claude)) for start in _starts(prices))
    return PriceRow(name, scope, _rates(prices, None, claude=claude), tiers)


def _starts(prices: ModelPrice) -> list[int]:
    """Where any of the prices of a model changes with the length of the prompt."""

    def found() -> Iterator[int]:
        for price in (prices.input_mtok, prices.output_mtok, prices.cache_read_mtok, prices.cache_write_mtok):
            if isinstance(price, TieredPrices):
                yield from (tier.start for tier in price.tiers)

    return sorted(set(found()))


def _rates(prices: ModelPrice, tier: int | None, *, claude: bool) -> _FiveRates:
    """The rates of one tier, None for the base.

    What genai-prices leaves out: Claude's cache writes cost 1.25 times the input for five minutes and twice the input
    for an hour (Anthropic's price list); the cached input of other models costs what input costs.
    """

    def dollars(price: Decimal | TieredPrices | None) -> Decimal | None:
        if not isinstance(price, TieredPrices):
            return price
        return next((each.price for each in price.tiers if each.start == tier), price.base)

    entry, output = dollars(prices.input_mtok), dollars(prices.output_mtok) or Decimal(0)
    assert entry is not None
    read = dollars(prices.cache_read_mtok)
    write = dollars(prices.cache_write_mtok)
    hour = dollars(prices.cache_write_1h_mtok)
    write = write if write is not None else entry * Decimal("1.25") if claude else entry
    hour = hour if hour is not None else entry * 2 if claude else write
    rate = rate_from_dollars_per_million
    return rate(entry), rate(output), rate(entry if read is None else read), rate(write), rate(hour)


def render(table: PriceTable) -> str:
    """The table as JSON with one line per model, so that a change shows in review."""
    rows = ",\n".join(msgspec.json.encode(row).decode() for row in table.rows)
    return f'{{"version":"{table.version}","as_of":"{table.as_of}","rows":[\n{rows}\n]}}\n'


if __name__ == "__main__":
    arguments = sys.argv[1:]
    today = datetime.datetime.now(datetime.UTC).date()
    for folder in _SOURCES:
        output = PROVIDERS / folder / "prices.json"
        output.write_text(render(make_table(folder, datetime.date.fromisoformat(arguments[0]) if arguments else today)))
        print(f"wrote {output}")
