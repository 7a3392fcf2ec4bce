"""Bedrock as far as roads are concerned: quotas that throttle, prompt caches, prices, and time.

One `Quarter` is one model in one account and region. It counts as Bedrock does: input of all kinds and the most output
are reserved at the start, and at the end input, cache writes and the output times the burndown rate are kept.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct

from sekisho.core.clock import Clock
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price, Rates
from sekisho.core.usage import Usage
from sekisho.providers.aws.errors import NativeError
from sekisho.providers.bedrock.errors import classify

FACTS = ModelFacts(
    family="claude",
    max_input_tokens=200_000,
    max_output_tokens=64_000,
    cache=frozenset(["system", "tools", "messages"]),
    cache_min_tokens=1024,
    burndown=5,
)
_CACHE_SECONDS = 300.0
_ROUND_TRIP = 0.12
"""Seconds until a refusal is there."""
_FIRST_TOKEN = 0.9
_READ_SPEED = 120_000.0
_PREFILL_SPEED = 12_000.0
_OUTPUT_SPEED = 75.0
"""Tokens per second of input from the cache, other input, and output, where a region is neither fast nor slow."""
_TAIL = 12
"""Tokens behind the last cache mark, which are never cached."""

Window = Literal["minute", "bucket"]
"""How a quota refills: all of it with each full minute, or as a bucket, a sixtieth of it each second."""


def price_of(dollars: float) -> Price:
    """A price of this many dollars for a million tokens of input, in the proportions that Claude's prices have."""
    rate = int(dollars * 10**9)
    return Price("simulation", Rates(rate, 5 * rate, rate // 10, rate * 5 // 4, 2 * rate))


class Place(Struct, frozen=True):
    """One account in one region. slowness: 1 for the usual speed. quota: tokens per minute; None for no end of them."""

    account: str
    region: str
    quota: int | None
    price: Price
    slowness: float = 1.0

    @property
    def name(self) -> str:
        return f"{self.account}/{self.region}"


class Prompt(Struct, frozen=True):
    """What is sent: a conversation (`session`) of so many tokens, of which the next call will send all again."""

    session: str
    tokens: int
    output: int
    ceiling: int


class Quarter:
    """The model in one place."""

    def __init__(self, place: Place, clock: Clock, window: Window, on_taken: Callable[[], None]) -> None:
        self.place = place
        self.refused = 0
        self.used_by_minute: dict[int, int] = {}
        self._clock = clock
        self._window = window
        self._on_taken = on_taken
        self._used = 0.0
        self._at = clock.now()
        self._cache: dict[str, tuple[int, float]] = {}

    async def begin(self, prompt: Prompt) -> tuple[float, Usage]:
        """Take a call; returns with its first token. Tells when it was taken, and what it will use.

        Raises UpstreamThrottled, as the provider reads the refusal.
        """
        await asyncio.sleep(_ROUND_TRIP)
        need = prompt.tokens + prompt.ceiling
        if self.place.quota is not None and self.count_used() + need > self.place.quota:
            self.refused += 1
            text = "Too many tokens, please wait before trying again."
            raise classify(NativeError(429, "ThrottlingException", text), self._clock.now(), renewable=False)
        self._used = self.count_used() + need
        self._on_taken()
        began = self._clock.now()
        usage = self._read_cache(prompt)
        fresh = usage.input + usage.cache_write
        seconds = _FIRST_TOKEN + usage.cache_read / _READ_SPEED + fresh / _PREFILL_SPEED
        await asyncio.sleep(seconds * self.place.slowness)
        return began, usage

    async def end(self, prompt: Prompt, usage: Usage, began: float) -> None:
        """Send the rest of the answer, and settle."""
        await asyncio.sleep(prompt.output / _OUTPUT_SPEED * self.place.slowness)
        self._cache[prompt.session] = (prompt.tokens - _TAIL, self._clock.now() + _CACHE_SECONDS)
        kept = usage.input + usage.cache_write + usage.output * FACTS.burndown
        used, more, minute = self.count_used(), kept - prompt.tokens - prompt.ceiling, int(self._clock.now() // 60)
        if self._window == "minute" and int(began // 60) != minute:  # what was reserved is forgotten with its minute
            more = max(0, more)
        self._used = max(0.0, used + more)
        self.used_by_minute[minute] = self.used_by_minute.get(minute, 0) + kept

    def _read_cache(self, prompt: Prompt) -> Usage:
        """What of the prompt lies in the cache here, and is written to it."""
        cached, until = self._cache.get(prompt.session, (0, 0.0))
        whole = prompt.tokens - _TAIL
        read = min(cached, whole) if until > self._clock.now() else 0
        if whole < FACTS.cache_min_tokens:
            return Usage(input=prompt.tokens, output=prompt.output)
        if read:
            self._cache[prompt.session] = (cached, self._clock.now() + _CACHE_SECONDS)
        return Usage(input=_TAIL, output=prompt.output, cache_read=read, cache_write_5m=whole - read)

    def count_used(self) -> float:
        """The tokens that count in the quota now."""
        now = self._clock.now()
        if self._window == "bucket":
            self._used = max(0.0, self._used - (now - self._at) * (self.place.quota or 0) / 60)
        elif int(now // 60) != int(self._at // 60):
            self._used = 0.0
        self._at = now
        return self._used


class Bedrock:
    """The model in all places. most_used: the most that counted in all quotas together at any time."""

    def __init__(self, places: Mapping[str, Place], clock: Clock, window: Window) -> None:
        self.quarters = {name: Quarter(place, clock, window, self._note_use) for name, place in places.items()}
        self.most_used = 0.0

    @property
    def refused(self) -> int:
        """How many calls were throttled."""
        return sum(quarter.refused for quarter in self.quarters.values())

    def _note_use(self) -> None:
        self.most_used = max(self.most_used, sum(quarter.count_used() for quarter in self.quarters.values()))
