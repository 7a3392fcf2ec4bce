"""What a call used, as Anthropic tells it: `input_tokens` leaves out what the cache read or wrote."""

from msgspec import Struct

from sekisho.core.usage import Usage
from sekisho.dialects.common.counts import Count


class CacheCreation(Struct):
    """What was written to the cache, by how long it lives there."""

    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class OutputDetails(Struct):
    """A part of the output."""

    thinking_tokens: Count | None = None


class ToldUsage(Struct):
    """Usage on the wire. In a stream it comes twice, and the later figures are cumulative."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None


def merge_usage(earlier: ToldUsage | None, later: ToldUsage | None) -> ToldUsage | None:
    """The figures told last, of each kind."""
    if earlier is None or later is None:
        return later or earlier
    merged = ToldUsage()
    for name in ToldUsage.__struct_fields__:
        told = getattr(later, name)
        setattr(merged, name, getattr(earlier, name) if told is None else told)
    return merged


def read_usage(told: ToldUsage) -> Usage:
    """Usage by kind; what was written to the cache counts as living five minutes unless said to live an hour."""
    by_age = told.cache_creation or CacheCreation()
    for_an_hour = by_age.ephemeral_1h_input_tokens or 0
    written = told.cache_creation_input_tokens
    if written is None:
        written = (by_age.ephemeral_5m_input_tokens or 0) + for_an_hour
    details = told.output_tokens_details or OutputDetails()
    output = told.output_tokens or 0
    return Usage(
        input=told.input_tokens or 0,
        output=output,
        cache_read=told.cache_read_input_tokens or 0,
        cache_write_5m=max(written - for_an_hour, 0),
        cache_write_1h=for_an_hour,
        reasoning=min(details.thinking_tokens or 0, output),
    )


def build_usage(usage: Usage) -> dict[str, object]:
    """The usage object of answers, and of the end of streams, where its figures are the call's as a whole."""
    fields: dict[str, object] = {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        fields["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return fields
