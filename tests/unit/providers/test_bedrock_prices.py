"""Prices are those of genai-prices to the last nano-dollar, and ours where that has a gap."""

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

from sekisho.core.errors import ConfigError
from sekisho.core.money import Price, Rates
from sekisho.core.usage import Usage
from sekisho.providers.bedrock.address import parse_model
from sekisho.providers.bedrock.prices import find_price
from sekisho.providers.common.prices import PriceTable, configured_price

ROOT = Path(__file__).parents[3]
GENERATED = (files("sekisho.providers.bedrock") / "prices.json").read_bytes()
TABLE = msgspec.json.decode(GENERATED, type=PriceTable)
NOON = datetime.datetime.fromisoformat(f"{TABLE.as_of}T12:00:00+00:00")

MODELS = (
    "global.anthropic.claude-opus-5-5",
    "us.anthropic.claude-opus-5-5",
    "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "anthropic.claude-opus-4-5-20251101-v1:0",
    "anthropic.claude-opus-5",
    "global.anthropic.claude-haiku-5-5",
    "jp.anthropic.claude-haiku-5-5",
    "us.anthropic.claude-fable-5-2",
    "global.anthropic.claude-sonnet-4-6",
    "us.amazon.nova-pro-v1:0",
    "us.amazon.nova-micro-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "us.meta.llama4-maverick-17b-instruct-v1:0",
    "mistral.mistral-7b-instruct-v0:2",
    "openai.gpt-oss-120b-1:0",
    "us.openai.gpt-5.6-sol",
    "global.openai.gpt-6-astra",
    "qwen.qwen3-coder-480b-a35b-v1:0",
    "nvidia.nemotron-nano-9b-v2",
)


def price_of(model: str, region: str | None = None) -> Price | None:
    parsed = parse_model(model)
    return find_price(parsed.core, parsed.scope, region)


@pytest.fixture(scope="module")
def make_prices() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_prices", ROOT / "tools/make_prices.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_prices"] = module
    spec.loader.exec_module(module)
    return module


def test_the_table_is_what_the_tool_writes(make_prices: ModuleType) -> None:
    day = datetime.date.fromisoformat(TABLE.as_of)
    assert GENERATED.decode() == make_prices.render(make_prices.make_table("bedrock", day))


_tokens = st.integers(0, 400_000)


@given(model=st.sampled_from(MODELS), entry=_tokens, output=_tokens, read=_tokens, short=_tokens, hour=_tokens)
def test_costs_equal_those_of_genai_prices(
    model: str, entry: int, output: int, read: int, short: int, hour: int
) -> None:
    if "claude" not in model:
        short = hour = 0  # genai-prices says what a write costs only for some of the others
    usage = Usage(input=entry, output=output, cache_read=read, cache_write_5m=short, cache_write_1h=hour)
    price = price_of(model)
    assert price is not None
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=usage.prompt,
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=short + hour,
            cache_write_1h_tokens=hour,
        ),
        model,
        provider_id="aws",
        genai_request_timestamp=NOON,
    )
    exact = Decimal(theirs.total_price) * 10**9
    assert price.cost(usage) == exact.quantize(Decimal(1), ROUND_CEILING)
    assert price.version == TABLE.version == "genai-prices-0.2.3"


@pytest.mark.parametrize(
    ("model", "region", "entry", "output"),
    [
        ("global.anthropic.claude-opus-5-5", None, "4", "20"),
        ("apac.anthropic.claude-opus-5-5", None, "4.4", "22"),
        ("us-gov.anthropic.claude-opus-5-5", None, "4.8", "24"),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", None, "3.6", "18"),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", "us-gov-west-1", "1.2", "6"),
        ("amazon.nova-pro-v1:0", "us-gov-west-1", "0.96", "3.84"),
        ("meta.llama3-8b-instruct-v1:0", "us-gov-west-1", "0.3", "0.6"),
        ("eu.amazon.nova-lite-v1:0", None, "0.078", "0.312"),
        ("us.amazon.nova-lite-v1:0", None, "0.06", "0.24"),
        ("deepseek.v3.2", "us-east-1", "0.62", "1.85"),
        ("us.anthropic.claude-mythos-preview", None, "27.5", "137.5"),
        ("amazon.titan-embed-text-v1", None, "0.1", "0"),
        ("amazon.titan-embed-text-v2:0", None, "0.02", "0"),
        ("amazon.titan-embed-g1-text-02", None, "0.1", "0"),
        ("cohere.embed-multilingual-v3", None, "0.1", "0"),
        ("us.cohere.embed-v4:0", None, "0.12", "0"),
        ("arn:aws:bedrock:us-west-2::foundation-model/amazon.nova-pro-v1:0", None, "0.8", "3.2"),
        ("arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.anthropic.claude-opus-5", None, "5.5", "27.5"),
    ],
)
def test_gaps_are_closed(model: str, region: str | None, entry: str, output: str) -> None:
    price = price_of(model, region)
    assert price is not None
    assert (Decimal(price.base.input), Decimal(price.base.output)) == (Decimal(entry) * 10**9, Decimal(output) * 10**9)


def test_writes_that_are_not_listed_follow_anthropics_rule() -> None:
    price = price_of("us.anthropic.claude-sonnet-4-20250514-v1:0")
    assert price is not None
    assert price.base == Rates(3 * 10**9, 15 * 10**9, 3 * 10**8, 375 * 10**7, 6 * 10**9)


def test_a_long_prompt_to_haiku_costs_five_times_as_much_from_the_next_token_on() -> None:
    price = price_of("us-gov.anthropic.claude-haiku-5-5")
    assert price is not None
    assert price.cost(Usage(input=100_000)) == 12_000_000
    assert price.cost(Usage(input=100_001)) == 60_000_600


@pytest.mark.parametrize(
    "model",
    [
        "anthropic.claude-opus-5-7",
        "anthropic.claude-opus-55",
        "global.meta.llama9-70b-instruct-v1:0",
        "global.anthropic.claude-opus-4-1-20250805-v1:0",
        "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc",
        "bedrock/imported",
    ],
)
def test_an_unknown_price_is_unknown(model: str) -> None:
    assert price_of(model) is None


def test_the_configuration_sets_prices() -> None:
    listed = price_of("us.anthropic.claude-opus-5-5")
    assert listed is not None
    assert configured_price(listed, {}, {}, "x") is listed
    model_info: dict[str, object] = {"input_cost_per_token": 1, "output_cost_per_token": "0.0000025"}
    own = configured_price(listed, {"input_cost_per_token": 3e-7}, model_info, "x")
    assert own is not None
    assert (own.version, own.base.input, own.base.output) == ("config", 300_000_000, 2_500_000_000)
    assert own.base.cache_read == listed.base.cache_read


def test_the_configuration_prices_an_unknown_model() -> None:
    free = configured_price(None, {"input_cost_per_token": 0, "output_cost_per_token": 0.0}, {}, "x")
    assert free == Price("config", Rates(0, 0, 0, 0, 0))
    full = {
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 2e-6,
        "cache_read_input_token_cost": 1e-7,
        "cache_creation_input_token_cost": 1.25e-6,
        "cache_creation_input_token_cost_above_1hr": 2e-6,
    }
    price = configured_price(None, {}, full, "x")
    assert price == Price("config", Rates(10**9, 2 * 10**9, 10**8, 125 * 10**7, 2 * 10**9))


def test_a_model_that_makes_vectors_needs_no_price_of_output() -> None:
    price = configured_price(None, {"input_cost_per_token": 1e-7}, {"mode": "embedding"}, "x")
    assert price == Price("config", Rates(10**8, 0, 10**8, 10**8, 10**8))


@pytest.mark.parametrize(
    "params",
    [
        {"input_cost_per_token": 1e-6},
        {"input_cost_per_token": -1e-6, "output_cost_per_token": 1e-6},
        {"input_cost_per_token": "cheap", "output_cost_per_token": 1e-6},
        {"input_cost_per_token": float("nan"), "output_cost_per_token": 1e-6},
        {"input_cost_per_token": True, "output_cost_per_token": 1e-6},
    ],
)
def test_half_a_price_or_nonsense_is_refused_by_place(params: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml:9: .*cost_per_token"):
        configured_price(None, params, {}, "config.yaml:9")
