"""Errors that read the same wherever they come from."""

from sekisho.core.errors import RejectionReason, UpstreamMisconfigured, UpstreamRejected, UpstreamThrottled, Verdict

MISCONFIGURED_COOLDOWN = 300.0
"""Seconds a target that does not work as configured is left alone before it is tried once more."""


def misconfigured(
    service: str, native: str | None, text: str, *, status: int = 0, verdict: Verdict = "elsewhere"
) -> UpstreamMisconfigured:
    """The target does not work. The service's text may name accounts and keys: it is a note for the log only."""
    result = UpstreamMisconfigured(
        f"The model's deployment does not work as it is configured ({native or status}); "
        "your request is not the cause. The operator of this gateway must mend it.",
        verdict=verdict,
        native=native,
        cooldown=0.0 if verdict == "same" else MISCONFIGURED_COOLDOWN,
    )
    result.add_note(f"{service} says: {text}")
    return result


def throttled(service: str, native: str | None, text: str, seconds: float, *, told: bool = False) -> UpstreamThrottled:
    """A quota is used up for some seconds, which the service itself has `told`. "Rate limit" is what agents go by."""
    return UpstreamThrottled(
        f"{service}'s rate limit for this model is reached. {service} says: {text}",
        verdict="elsewhere",
        native=native,
        cooldown=seconds,
        told=told,
        retry_after=seconds,
    )


_TOO_LONG_CODES = frozenset({"context_length_exceeded", "context_window_exceeded"})
_TOO_LONG = (
    "prompt is too long",
    "input is too long",
    "conversation is too long",
    "context length",
    "context window",
    "context limit",
    "too many input tokens",
    "input tokens exceed",
    "input token count",
    "input length and `max_tokens` exceed",
)
"""How services say that a prompt has more tokens than the model takes: Anthropic, Bedrock, OpenAI, vLLM and others."""
_REFUSED_CODES = frozenset({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"})
_REFUSED = ("content filter", "content policy", "content management policy", "safety system")


def rejected(
    text: str, native: str | None, *, words: tuple[str, ...] = (), status: int | None = None
) -> UpstreamRejected:
    """The request itself is wrong for this model. `words` are the service's codes, which say more than its text."""
    result = UpstreamRejected(text, verdict="never", native=native, status=status)
    result.reason = _read_reason(text.lower(), {*words, native})
    return result


def _read_reason(text: str, words: set[str | None]) -> RejectionReason:
    if not words.isdisjoint(_TOO_LONG_CODES) or any(phrase in text for phrase in _TOO_LONG):
        return "context_window"
    if not words.isdisjoint(_REFUSED_CODES) or any(phrase in text for phrase in _REFUSED):
        return "content_policy"
    return "request"
