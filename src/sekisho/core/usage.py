"""Tokens of one call, by kind."""

from operator import add

from msgspec import Struct
from msgspec.structs import astuple


class Usage(Struct, frozen=True):
    """Token counts of one call. The kinds of input do not overlap; `reasoning` is a part of `output`."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*map(add, astuple(self), astuple(other)))

    @property
    def prompt(self) -> int:
        """All input tokens, cached or not: OpenAI's `prompt_tokens`."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def cache_write(self) -> int:
        """Tokens written to a prompt cache, of any lifetime."""
        return self.cache_write_5m + self.cache_write_1h

    @property
    def total(self) -> int:
        """All tokens in and out."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h + self.output
