from decimal import Decimal
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.money import (
    Price,
    Rates,
    Tier,
    dollars_from_nano,
    nano_from_dollars,
    rate_from_dollars_per_million,
    rate_from_dollars_per_token,
)
from sekisho.core.usage import Usage

counts = st.integers(0, 10**7)
usages = st.builds(Usage, input=counts, output=counts, cache_read=counts, cache_write_5m=counts, cache_write_1h=counts)
rates = st.builds(Rates, *([st.integers(0, 10**11)] * 5))


@given(usages, rates)
def test_a_cost_is_the_exact_sum_rounded_up_once(usage: Usage, at: Rates) -> None:
    exact = sum(
        Decimal(count) * rate / 10**6
        for count, rate in (
            (usage.input, at.input),
            (usage.output, at.output),
            (usage.cache_read, at.cache_read),
            (usage.cache_write_5m, at.cache_write_5m),
            (usage.cache_write_1h, at.cache_write_1h),
        )
    )
    assert Price(version="v", base=at).cost(usage) == ceil(exact)


@given(st.integers(0, 10**15))
def test_dollars_shown_are_read_back_as_the_same_amount(nano: int) -> None:
    assert nano_from_dollars(dollars_from_nano(nano)) == nano


def test_prices_of_configurations_and_lists_are_exact() -> None:
    assert rate_from_dollars_per_token(3e-06) == rate_from_dollars_per_million(3) == 3 * 10**9
    assert rate_from_dollars_per_million("0.00875") == 8_750_000
    assert nano_from_dollars(0.1) == 10**8


def test_a_tier_applies_to_the_whole_call_once_the_prompt_is_longer() -> None:
    cheap, dear = Rates(100, 500, 10, 125, 200), Rates(500, 2500, 50, 625, 1000)
    price = Price(version="v", base=cheap, tiers=(Tier(above=1000, rates=dear),))
    assert price.rates_for(1000) is cheap
    assert price.rates_for(1001) is dear
    assert price.cost(Usage(input=500, cache_read=501, output=10**6)) == ceil((500 * 500 + 501 * 50) / 10**6 + 2500)
