"""Writes the Bedrock price table from genai-prices: `python tools/make_prices.py [YYYY-MM-DD]`.

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
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from sekisho.core.money import rate_from_dollars_per_million
from sekisho.providers.bedrock.prices import PriceRow, PriceTable

OUTPUT = Path(__file__).parent.parent / "src/sekisho/providers/bedrock/prices.json"
_SCOPED = re.compile(r"(?:(global|regional)\.)?(.+)")
_VERSION = re.compile(r"(-v\d+)?(:\d+)?$")

_FiveRates = tuple[int, int, int, int, int]


def make_table(day: datetime.date) -> PriceTable:
    """The prices in force on `day`."""
    provider = next(provider for provider in data.providers if provider.id == "aws")
    noon = datetime.datetime.combine(day, datetime.time(12), datetime.UTC)
    rows = [row for model in provider.models if (row := _row(model, noon)) is not None]
    version = f"genai-prices-{importlib.metadata.version('genai-prices')}"
    return PriceTable(version, day.isoformat(), tuple(sorted(rows, key=lambda row: (row.model, row.scope))))


def _row(model: ModelInfo, when: datetime.datetime) -> PriceRow | None:
    """One model's row; None for one without a price of text in and text out (embeddings)."""
    prices = model.get_prices(when)
    if prices.input_mtok is None or prices.output_mtok is None:
        return None
    match = _SCOPED.fullmatch(model.id)
    assert match is not None
    scope, name = match.groups()
    if scope is None:
        scope = "any" if model.is_match(f"global.{model.id}") else "regional"
    claude = "claude" in name
    tiers = tuple((start, _rates(prices, start, claude=claude)) for start in _starts(prices))
    return PriceRow(_VERSION.sub("", name), scope, _rates(prices, None, claude=claude), tiers)


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

    entry, output = dollars(prices.input_mtok), dollars(prices.output_mtok)
    assert entry is not None
    assert output is not None
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
    OUTPUT.write_text(render(make_table(datetime.date.fromisoformat(arguments[0]) if arguments else today)))
    print(f"wrote {OUTPUT}")
