"""Errors in OpenAI's and Anthropic's shape, `{"error": {"type": …, "message": …}}`, and what they mean.

Sources: the "Errors" and "Rate limits" pages of both APIs' documentation. Azure and the compatible servers (vLLM,
Ollama) answer in OpenAI's shape with words of their own, which is why the status decides where no word is known.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from sekisho.core.errors import UpstreamError, UpstreamUnavailable, Verdict
from sekisho.core.wire import WireFault
from sekisho.providers.common.failures import misconfigured, rejected, throttled

_MAX_TEXT = 2000
_LONGEST_WAIT = 3600.0
_OVERLOADED_SECONDS = 10.0
"""Seconds a target that is overloaded, but told no time, is left alone."""

_UNPAID = frozenset(
    {
        "billing_error",
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_balance",
        "insufficient_funds",
        "insufficient_quota",
    }
)
_THROTTLED = frozenset({"RateLimitReached", "rate_limit_error", "rate_limit_exceeded", "too_many_requests"})
_OVERLOADED = frozenset({"engine_overloaded", "overloaded", "overloaded_error", "server_overloaded", "slow_down"})
_REFUSED = frozenset(
    {
        "access_denied",
        "account_deactivated",
        "authentication_error",
        "invalid_api_key",
        "invalid_authentication",
        "invalid_organization",
        "permission_denied",
        "permission_error",
        "unsupported_country_region_territory",
    }
)
_NO_MODEL = frozenset({"DeploymentNotFound", "NotFoundError", "model_not_found", "not_found_error"})
_CALLERS_FAULT = frozenset(
    {
        "BadRequestError",
        "content_filter",
        "content_policy_violation",
        "context_length_exceeded",
        "invalid_image",
        "invalid_prompt",
        "invalid_request_error",
        "invalid_value",
        "request_too_large",
        "string_above_max_length",
        "unsupported_parameter",
        "unsupported_value",
    }
)
_TIMED_OUT = frozenset({"timeout", "timeout_error"})
_REJECTIONS = frozenset({400, 405, 409, 411, 413, 415, 422})
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|[smhd])", re.ASCII)


class Reply(msgspec.Struct, frozen=True):
    """An error as it came. `status` is 0 for one inside a stream; `words` are its type and its code, where given."""

    status: int
    words: tuple[str, ...]
    text: str
    retry_after: float | None = None

    @property
    def native(self) -> str | None:
        """The word that says most: the code before the type."""
        return self.words[-1] if self.words else None

    def says(self, words: frozenset[str]) -> bool:
        """Whether its type or its code is one of `words`."""
        return not words.isdisjoint(self.words)


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> Reply | None:
    """An error response of this shape; None for a body of another. Header names are lower case."""
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    error = document.get("error") if isinstance(document, dict) else None
    wait = _read_wait(headers)
    if isinstance(error, str):  # Ollama's
        return Reply(status, (), error[:_MAX_TEXT], wait)
    if not isinstance(error, dict):
        return _read_flat(status, document, wait)
    words = tuple(word for name in ("type", "code") if isinstance(word := error.get(name), str) and word)
    text = error.get("message")
    return Reply(status, words, text[:_MAX_TEXT] if isinstance(text, str) else f"HTTP {status}", wait)


def _read_flat(status: int, document: object, wait: float | None) -> Reply | None:
    """Older vLLM's `{"object": "error", "message": …, "type": …}`."""
    if not isinstance(document, dict) or document.get("object") != "error":
        return None
    kind, text = document.get("type"), document.get("message")
    words = (kind,) if isinstance(kind, str) and kind else ()
    return Reply(status, words, text[:_MAX_TEXT] if isinstance(text, str) else f"HTTP {status}", wait)


def reply_of_status(status: int, headers: Mapping[str, str]) -> Reply:
    """An error response of which only the status is understood. Its body is not passed on: it may be anybody's."""
    return Reply(status, (), f"HTTP {status}", _read_wait(headers))


def reply_of_fault(fault: WireFault) -> Reply:
    """A fault inside a stream, whose code is the error's type or code."""
    return Reply(0, (fault.code,) if fault.code else (), fault.message[:_MAX_TEXT])


def _read_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `retry-after-ms`, `retry-after`, or when the rate limit that is used up is reset."""
    spent = [kind for kind in ("requests", "tokens") if headers.get(f"x-ratelimit-remaining-{kind}") == "0"]
    waits = (
        _read_seconds(headers.get("retry-after-ms"), 0.001),
        _read_seconds(headers.get("retry-after"), 1.0),
        *(_read_duration(headers.get(f"x-ratelimit-reset-{kind}")) for kind in spent),
    )
    wait = next((each for each in waits if each is not None), None)
    return None if wait is None else min(wait, _LONGEST_WAIT)


def _read_seconds(value: str | None, unit: float) -> float | None:
    value = (value or "").strip()
    return float(value) * unit if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value, re.ASCII) else None


def _read_duration(value: str | None) -> float | None:
    """`6m0s`, `1.2s` or `20ms`, as OpenAI writes it."""
    parts = _DURATION.findall(value or "")
    if not parts or "".join(number + unit for number, unit in parts) != (value or "").strip():
        return None
    return sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)


def classify_reply(reply: Reply, now: float, *, service: str) -> UpstreamError:
    """What an error means.

    Args:
        reply: the error.
        now: seconds since the epoch: a quota without a time to wait is taken to be new with the next full minute.
        service: the service's name for messages.
    """
    if reply.says(_UNPAID) or reply.status == 402 or "credit balance is too low" in reply.text.lower():
        return misconfigured(service, reply.native or "unpaid", reply.text)
    if reply.says(_OVERLOADED) or reply.status == 529:
        return _unavailable(reply, service, "elsewhere", 503, cooldown=reply.retry_after or _OVERLOADED_SECONDS)
    if reply.says(_THROTTLED) or reply.status == 429:
        seconds = reply.retry_after or 60.0 - now % 60.0
        return throttled(service, reply.native, reply.text, seconds, told=reply.retry_after is not None)
    if reply.says(_REFUSED | _NO_MODEL) or reply.status in (401, 403, 404, 410):
        return misconfigured(service, reply.native, reply.text, status=reply.status)
    if reply.says(_TIMED_OUT) or reply.status in (408, 504):  # what the model produced until then may be billed
        return _unavailable(reply, service, "never", 504)
    if reply.status in _REJECTIONS or (reply.status == 0 and reply.says(_CALLERS_FAULT)):
        return rejected(reply.text, reply.native, words=reply.words, status=reply.status or None)
    if 300 <= reply.status < 500:
        return misconfigured(service, reply.native, reply.text, status=reply.status)
    if reply.words == ("corrupt",):
        return _unavailable(reply, service, "elsewhere", 502)
    return _unavailable(reply, service, "same", 503)


def _unavailable(
    reply: Reply, service: str, verdict: Verdict, status: int, cooldown: float = 0.0
) -> UpstreamUnavailable:
    reason = f" ({reply.native})" if reply.native else ""
    return UpstreamUnavailable(
        f"{service} failed{reason}: {reply.text}",
        verdict=verdict,
        native=reply.native,
        status=status,
        retry_after=reply.retry_after,
        cooldown=cooldown,
    )
