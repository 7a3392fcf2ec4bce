"""How much a caller may still do, for the response headers: OpenAI's names, of the tightest limit."""

from collections.abc import Sequence
from math import ceil

from sekisho.core.caller import Scope
from sekisho.gateway.record import RawHeaders
from sekisho.ledger.rates import RateLimits


def tell_limits(rates: RateLimits, scopes: Sequence[Scope], group: str) -> RawHeaders:
    """The headers of limits per minute; none where there is no limit."""
    headers: RawHeaders = []
    for unit, left in zip((b"requests", b"tokens"), rates.remaining(scopes, group), strict=True):
        if left is not None:
            headers += [
                (b"x-ratelimit-limit-" + unit, b"%d" % left.limit),
                (b"x-ratelimit-remaining-" + unit, b"%d" % left.remaining),
                (b"x-ratelimit-reset-" + unit, b"%ds" % ceil(left.reset)),
            ]
    return headers
