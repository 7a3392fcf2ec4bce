"""How an answer ended and what it used: the shapes that whole answers and streams share."""

from msgspec import Struct

from sekisho.core.chat import FinishReason
from sekisho.core.events import Finish
from sekisho.core.usage import Usage
from sekisho.core.wire import WireFault
from sekisho.dialects.common.counts import Count

REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_MALFORMED = ("malformed_model_output", "malformed_tool_use")


class _CacheDetail(Struct, rename="camel"):
    ttl: str
    input_tokens: Count


class TokenUsage(Struct, rename="camel"):
    """Usage as Converse tells it: `input_tokens` leaves out what the cache read or wrote."""

    input_tokens: Count
    output_tokens: Count
    cache_read_input_tokens: Count | None = None
    cache_write_input_tokens: Count | None = None
    cache_details: list[_CacheDetail] | None = None


def read_usage(told: TokenUsage) -> Usage:
    """Usage by kind; what was written to the cache counts as living five minutes unless said to live an hour."""
    for_an_hour = 0
    if told.cache_details:
        for_an_hour = sum(detail.input_tokens for detail in told.cache_details if detail.ttl == "1h")
    return Usage(
        input=told.input_tokens,
        output=told.output_tokens,
        cache_read=told.cache_read_input_tokens or 0,
        cache_write_5m=max((told.cache_write_input_tokens or 0) - for_an_hour, 0),
        cache_write_1h=for_an_hour,
    )


def read_finish(native: str, additional: object, *, json_by_tool: bool) -> Finish:
    """Why the model stopped; a reason not known yet counts as a plain stop.

    Args:
        native: Converse's stop reason.
        additional: The additional response fields, which may tell the stop sequence met.
        json_by_tool: Whether the answer is the input of the tool that stands in for a JSON format.

    Raises:
        WireFault: With `malformed_output`, when the model's output could not be made an answer.
    """
    if native in _MALFORMED:
        raise WireFault("malformed_output", f"the model's output could not be read ({native})")
    reason = REASONS.get(native, "stop")
    if reason == "tool_calls" and json_by_tool:
        reason = "stop"
    sequence = additional.get("stop_sequence") if isinstance(additional, dict) else None
    return Finish(reason, native, sequence if isinstance(sequence, str) else None)
