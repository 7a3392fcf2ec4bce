"""Errors that read the same wherever they come from."""

from sekisho.core.errors import UpstreamMisconfigured, UpstreamThrottled, Verdict

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


def throttled(service: str, native: str | None, text: str, seconds: float) -> UpstreamThrottled:
    """A quota is used up for some seconds. "Rate limit" is what agents go by."""
    return UpstreamThrottled(
        f"{service}'s rate limit for this model is reached. {service} says: {text}",
        verdict="elsewhere",
        native=native,
        cooldown=seconds,
        retry_after=seconds,
    )
