"""What Claude costs at Anthropic: `prices.json`, which `tools/make_prices.py` writes."""

import re

from sekisho.core.money import Price
from sekisho.providers.common.prices import load_prices

_EDITION = re.compile(r"[-@](\d{8}|latest)")


def find_price(name: str) -> Price | None:
    """The price of a model by its name, with or without the date of an edition; None when it is unknown."""
    prices = load_prices(__package__)
    stem = _EDITION.sub("", name)
    return prices.get((name, "any")) or prices.get((stem, "any"))
