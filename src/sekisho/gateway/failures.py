"""The failures of one call's attempts, and which of them to tell the client."""

from sekisho.core.errors import (
    SekishoError,
    UpstreamMisconfigured,
    UpstreamThrottled,
    UpstreamUnavailable,
)

_BUSY_SECONDS = 1.0


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

    def prefer(self, error: SekishoError) -> None:
        """One more, which says more than others of its kind."""
        self._all.insert(0, error)

    def most_telling(self) -> SekishoError:
        """The error to show; among equals the first."""
        if not self._all:
            message = "The rate limit of parallel requests is reached at every deployment of this model. Try again."
            return UpstreamThrottled(message, verdict="never", native="busy", retry_after=_BUSY_SECONDS)
        return min(self._all, key=_rank)


def _rank(error: SekishoError) -> int:
    if isinstance(error, UpstreamThrottled):
        return 0
    if isinstance(error, UpstreamUnavailable):
        return 1
    return 3 if isinstance(error, UpstreamMisconfigured) else 2
