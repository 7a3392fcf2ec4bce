from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.money import Price, Rates, Tier
from sekisho.core.usage import Usage
from sekisho.ledger.asks import Ask, join_prices

rates = st.builds(Rates, *[st.integers(0, 10**12)] * 5)
prices = st.builds(
    Price,
    st.just("test"),
    rates,
    st.lists(st.builds(Tier, st.integers(1, 10_000), rates), max_size=3, unique_by=lambda tier: tier.above).map(
        lambda tiers: tuple(sorted(tiers, key=lambda tier: tier.above))
    ),
)
counts = st.integers(0, 20_000)


@given(st.lists(prices, min_size=1, max_size=4), st.builds(Usage, counts, counts, counts, counts, counts))
def test_a_joined_price_pays_for_every_one_of_them(each: list[Price], usage: Usage) -> None:
    joined = join_prices(each)
    assert joined.cost(usage) >= max(price.cost(usage) for price in each)


@given(prices, st.sampled_from(["no", "5m", "1h"]), counts, counts)
def test_the_worst_is_that_all_of_the_input_is_written_to_the_cache(
    price: Price, caches: Literal["no", "5m", "1h"], tokens: int, output: int
) -> None:
    ways = [Usage(input=tokens, output=output)]
    if caches != "no":
        written = {"5m": Usage(output=output, cache_write_5m=tokens), "1h": Usage(output=output, cache_write_1h=tokens)}
        ways.append(written[caches])
    ask = Ask(input=tokens, output=0, ceiling=0, caches=caches, price=price)
    assert ask.cost(output) == max(price.cost(usage) for usage in ways)


def test_equal_prices_are_one() -> None:
    price = Price("v1", Rates(1, 2, 3, 4, 5))
    assert join_prices([price, Price("v1", Rates(1, 2, 3, 4, 5))]) == price


@given(
    prices,
    st.builds(lambda given, output, ceiling: Ask(input=given, output=output, ceiling=ceiling), counts, counts, counts),
    st.integers(0, 10**12),
)
def test_what_fits_never_costs_more_than_there_is(price: Price, ask: Ask, reach: int) -> None:
    ask = Ask(input=ask.input, output=ask.output, ceiling=ask.ceiling, price=price)
    ceiling = ask.fit(reach)
    if ceiling is None:
        assert ask.cost(ask.least_output) > reach
    else:
        assert ask.least_output <= ceiling <= ask.ceiling
        assert ask.cost(ceiling) <= reach
