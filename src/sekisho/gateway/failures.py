"""The failures of one call's attempts, and which of them to tell the client."""

from sekisho.core.errors import (
    InternalError,
    SekishoError,
    UpstreamMisconfigured,
    UpstreamThrottled,
    UpstreamUnavailable,
)


class Failures:
    """Gathers failures; the most telling is the one that best says what the client should do next.

    Waiting helps after a throttle, so it comes first; then what may pass by itself; then what the request itself got
    wrong; a misconfigured target last, since the client can do nothing about it.
    """

    def __init__(self) -> None:
        self._all: list[SekishoError] = []

    def add(self, error: SekishoError) -> None:
        """One more."""
        self._all.append(error)

    def most_telling(self) -> SekishoError:
        """The error to show; among equals the first."""
        if not self._all:
            return InternalError("No deployment could be tried for this model.", status=503)
        return min(self._all, key=_rank)


def _rank(error: SekishoError) -> int:
    if isinstance(error, UpstreamThrottled):
        return 0
    if isinstance(error, UpstreamUnavailable):
        return 1
    return 3 if isinstance(error, UpstreamMisconfigured) else 2
