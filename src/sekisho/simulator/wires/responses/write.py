"""A response and its items."""

from typing import Any

from sekisho.simulator.errors import Refusal
from sekisho.simulator.prompt import Block, TextBlock, ThinkingBlock, ToolBlock, seal_thinking
from sekisho.simulator.wires.base import Said
from sekisho.simulator.wires.openai.errors import code_of
from sekisho.simulator.wires.openai.usage import response_usage
from sekisho.simulator.wires.responses.tools import read_tools

_INCOMPLETE = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "refusal": "content_filter",
}
_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
# The errors a failed response can have, of those the simulator plays.
_FAILURES = ("server_error", "rate_limit_exceeded", "invalid_prompt")


def write_response(said: Said) -> dict[str, Any]:
    """A whole response."""
    reason = _INCOMPLETE.get(said.answer.stop_reason)
    details = {"incomplete_details": {"reason": reason}} if reason else {}
    output = [write_item(said, index) for index in range(len(said.answer.blocks))]
    return {
        **write_frame(said, "incomplete" if reason else "completed"),
        **details,
        "output": output,
        "usage": response_usage(said.usage),
    }


def write_failure(said: Said, error: Refusal) -> dict[str, Any]:
    """A response that failed."""
    code = code_of(error)
    failure = {"code": code if code in _FAILURES else "server_error", "message": error.words}
    return {**write_frame(said, "failed"), "error": failure}


def write_frame(said: Said, status: str) -> dict[str, Any]:
    """A response without its output."""
    fields = said.prompt.raw
    reasoning, text = fields.get("reasoning") or {}, fields.get("text") or {}
    echoed = {name: fields[name] if fields.get(name) is not None else usual for name, usual in _ECHOED.items()}
    return {
        "id": f"resp_{said.id}",
        "object": "response",
        "created_at": said.created,
        "status": status,
        "background": False,
        "completed_at": said.created if status == "completed" else None,
        "error": None,
        "incomplete_details": None,
        "model": said.prompt.model,
        "output": [],
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "service_tier": "default",
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": text.get("verbosity") or "medium"},
        "top_logprobs": 0,
        "usage": None,
        **echoed,
    }


def write_item(said: Said, index: int) -> dict[str, Any]:
    """A finished item of the output."""
    block = said.answer.blocks[index]
    is_last = index == len(said.answer.blocks) - 1
    status = "incomplete" if is_last and said.answer.stop_reason in _INCOMPLETE else "completed"
    return {**open_item(said, index), **_fill(said, block, status)}


def open_item(said: Said, index: int) -> dict[str, Any]:
    """An item of the output as it begins."""
    block, tail = said.answer.blocks[index], f"{said.id}{index:02}"
    if isinstance(block, ToolBlock):
        free = block.name in said.prompt.free_tools
        namespace = read_tools(said.prompt.raw.get("tools")).namespaces.get(block.name)
        return {
            "id": f"{'ctc' if free else 'fc'}_{tail}",
            "type": "custom_tool_call" if free else "function_call",
            "status": "in_progress",
            "call_id": block.id,
            "name": block.name,
            "input" if free else "arguments": "",
            **({"namespace": namespace} if namespace else {}),
        }
    if isinstance(block, TextBlock):
        return {"id": f"msg_{tail}", "type": "message", "status": "in_progress", "content": [], "role": "assistant"}
    return {"id": f"rs_{tail}", "type": "reasoning", "summary": []}


def write_text(text: str) -> dict[str, Any]:
    """The part of a message that is its text."""
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def summary_of(said: Said, block: Block) -> str:
    """What is shown of some reasoning: nothing unless a summary was asked for."""
    wants = (said.prompt.raw.get("reasoning") or {}).get("summary") is not None
    return block.text if wants and isinstance(block, ThinkingBlock) else ""


def _fill(said: Said, block: Block, status: str) -> dict[str, Any]:
    if isinstance(block, ToolBlock):
        free = block.name in said.prompt.free_tools
        return {"status": status, "input" if free else "arguments": block.raw}
    if isinstance(block, TextBlock):
        return {"status": status, "content": [write_text(block.text)]}
    text = block.text if isinstance(block, ThinkingBlock) else block.data
    summary = summary_of(said, block)
    shown = [{"type": "summary_text", "text": summary}] if summary else []
    return {"summary": shown, "encrypted_content": seal_thinking(text)}
