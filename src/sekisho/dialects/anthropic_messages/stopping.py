"""Why the model stopped, in Anthropic's words and in neutral ones."""

from typing import Final

from sekisho.core.chat import FinishReason
from sekisho.core.events import Finish

_REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
_WORDS: Final[dict[FinishReason, str]] = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}


def read_finish(native: str, stop_sequence: str | None, *, json_by_tool: bool) -> Finish:
    """A reason not known yet counts as a plain stop.

    Args:
        native: Anthropic's stop reason.
        stop_sequence: The sequence met, if one was.
        json_by_tool: Whether the answer is the input of the tool that stands in for a JSON format.
    """
    reason = _REASONS.get(native, "stop")
    if reason == "tool_calls" and json_by_tool:
        reason = "stop"
    return Finish(reason, native, stop_sequence)


def find_word(finish: Finish) -> str:
    """Anthropic's word for a neutral reason: the upstream's own where it is one, and fits the reason."""
    if _REASONS.get(finish.native) == finish.reason:
        return finish.native
    if finish.reason == "stop" and finish.stop_sequence is not None:
        return "stop_sequence"
    return _WORDS[finish.reason]
