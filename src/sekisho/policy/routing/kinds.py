"""What kind of failure an error is, in the words of LiteLLM's policies for retries and for rest."""

from typing import Literal

from sekisho.config.snapshot import PerFailure
from sekisho.core.errors import (
    CallerError,
    SekishoError,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamThrottled,
    UpstreamUnavailable,
)

FailureKind = Literal["bad_request", "authentication", "timeout", "rate_limit", "content_policy", "internal"]

_GATEWAY_TIMEOUT = 504


def name_kind(error: SekishoError) -> FailureKind:
    """The field of `PerFailure` that speaks of the error."""
    if isinstance(error, UpstreamThrottled):
        return "rate_limit"
    if isinstance(error, UpstreamMisconfigured):
        return "authentication"
    if isinstance(error, UpstreamRejected):
        return "content_policy" if error.reason == "content_policy" else "bad_request"
    if isinstance(error, CallerError):
        return "bad_request"
    timed_out = isinstance(error, UpstreamUnavailable) and error.status == _GATEWAY_TIMEOUT
    return "timeout" if timed_out else "internal"


def find_number(policy: PerFailure, error: SekishoError) -> int | None:
    """What the policy says of such an error; None where it says nothing."""
    number: int | None = getattr(policy, name_kind(error))
    return number
