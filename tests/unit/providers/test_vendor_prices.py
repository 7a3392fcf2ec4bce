"""Prices of Anthropic's and OpenAI's models are those of genai-prices to the last nano-dollar."""

import datetime
import importlib.util
import sys
from decimal import ROUND_CEILING, Decimal
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import genai_prices
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.usage import Usage
from sekisho.providers.anthropic.prices import find_price as find_anthropic_price
from sekisho.providers.common.prices import PriceTable
from sekisho.providers.openai.models import find_price as find_openai_price

ROOT = Path(__file__).parents[3]
FINDERS = {"anthropic": find_anthropic_price, "openai": find_openai_price}


def load(folder: str) -> bytes:
    return (files(f"sekisho.providers.{folder}") / "prices.json").read_bytes()


TABLES = {folder: msgspec.json.decode(load(folder), type=PriceTable) for folder in FINDERS}


@pytest.fixture(scope="module")
def make_prices() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_prices", ROOT / "tools/make_prices.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_prices"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("folder", FINDERS)
def test_the_table_is_what_the_tool_writes(make_prices: ModuleType, folder: str) -> None:
    day = datetime.date.fromisoformat(TABLES[folder].as_of)
    assert load(folder).decode() == make_prices.render(make_prices.make_table(folder, day))


NAMES = [(folder, row.model) for folder, table in TABLES.items() for row in table.rows]
_tokens = st.integers(0, 400_000)


@given(named=st.sampled_from(NAMES), entry=_tokens, output=_tokens, read=_tokens, hour=_tokens)
def test_costs_equal_those_of_genai_prices(
    named: tuple[str, str], entry: int, output: int, read: int, hour: int
) -> None:
    folder, model = named
    if folder == "openai":
        hour = 0  # OpenAI's caches are not written by the hour
    if "embed" in model:
        output = read = 0
    price = FINDERS[folder](model)
    assert price is not None
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=entry + read + hour,
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=hour,
            cache_write_1h_tokens=hour,
        ),
        model,
        provider_id=folder,
        genai_request_timestamp=datetime.datetime.fromisoformat(f"{TABLES[folder].as_of}T12:00:00+00:00"),
    )
    exact = Decimal(theirs.total_price) * 10**9
    usage = Usage(input=entry, output=output, cache_read=read, cache_write_1h=hour)
    assert price.cost(usage) == exact.quantize(Decimal(1), ROUND_CEILING)


@pytest.mark.parametrize(
    ("folder", "edition", "model"),
    [
        ("anthropic", "claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("anthropic", "claude-3-7-sonnet-latest", "claude-3-7-sonnet"),
        ("anthropic", "claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("anthropic", "claude-haiku-5-5@20260901", "claude-haiku-5-5"),
        ("openai", "gpt-4o-2024-11-20", "gpt-4o"),
        ("openai", "gpt-6-sol-2026-09-01", "gpt-6-sol"),
        ("openai", "o3-mini-2025-01-31", "o3-mini"),
    ],
)
def test_an_edition_costs_what_the_model_costs(folder: str, edition: str, model: str) -> None:
    assert FINDERS[folder](edition) == FINDERS[folder](model) is not None


def test_an_edition_with_a_price_of_its_own_keeps_it() -> None:
    assert find_openai_price("gpt-4o-2024-05-13") != find_openai_price("gpt-4o")


@pytest.mark.parametrize(
    ("folder", "model"),
    [
        ("anthropic", "claude-opus-5-7"),
        ("anthropic", "claude-opus-55"),
        ("anthropic", "claude"),
        ("openai", "gpt-oss-120b"),
        ("openai", "gpt-4o-realtime-preview"),
        ("openai", "ft:gpt-4o:acme::id"),
        ("openai", "gpt-7"),
    ],
)
def test_an_unknown_price_is_unknown(folder: str, model: str) -> None:
    assert FINDERS[folder](model) is None
