"""How much a caller may still do, for the response headers: OpenAI's names, of the tightest limit."""

from collections.abc import Sequence
from math import ceil

from sekisho.core.caller import Scope
from sekisho.ledger.rates import RateLimits

RawHeaders = list[tuple[bytes, bytes]]


def tell_limits(rates: RateLimits, scopes: Sequence[Scope], group: str) -> RawHeaders:
    """The headers of limits per minute; none where there is no limit."""
    requests, tokens = rates.remaining(scopes, group)
    headers: RawHeaders = []
    if requests is not None:
        headers += (
            (b"x-ratelimit-limit-requests", b"%d" % requests.limit),
            (b"x-ratelimit-remaining-requests", b"%d" % requests.remaining),
            (b"x-ratelimit-reset-requests", _write_seconds(requests.reset)),
        )
    if tokens is not None:
        headers += (
            (b"x-ratelimit-limit-tokens", b"%d" % tokens.limit),
            (b"x-ratelimit-remaining-tokens", b"%d" % tokens.remaining),
            (b"x-ratelimit-reset-tokens", _write_seconds(tokens.reset)),
        )
    return headers


def _write_seconds(seconds: float) -> bytes:
    return b"%ds" % ceil(seconds) if seconds > 0 else b"0s"
