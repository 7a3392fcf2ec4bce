"""What is known of OpenAI's models: facts (`models.toml`) and prices (`prices.json`, by `tools/make_prices.py`)."""

import re

from sekisho.core.model import ModelFacts
from sekisho.core.money import Price
from sekisho.providers.common.models import find_fields, load_table, make_facts
from sekisho.providers.common.prices import load_prices

_FINE_TUNED = re.compile(r"ft:([^:]+).*")
_EDITION = re.compile(r"-\d{4}-\d{2}-\d{2}$|-latest$", re.ASCII)


def find_facts(name: str) -> ModelFacts:
    """The facts of a model by its name; the defaults for a model that is not OpenAI's."""
    return make_facts(find_fields(load_table(__package__, "models.toml"), _FINE_TUNED.sub(r"\1", name)))


def find_price(name: str) -> Price | None:
    """OpenAI's price of a model by its name, with or without the date of an edition; None when it is unknown.

    A fine-tuned model has a price of its own, which is not known here.
    """
    prices = load_prices(__package__)
    return prices.get((name, "any")) or prices.get((_EDITION.sub("", name), "any"))
