"""The events of a streamed response: https://platform.openai.com/docs/api-reference/responses-streaming."""

from collections.abc import Iterator
from typing import Any

from sekisho.simulator.prompt import Block, TextBlock, ToolBlock, pieces_of
from sekisho.simulator.wires.base import INPUT_PIECE, TEXT_PIECE, Said, StreamEvent
from sekisho.simulator.wires.responses.write import (
    open_item,
    summary_of,
    write_frame,
    write_item,
    write_response,
    write_text,
)

_Step = tuple[str, dict[str, Any], int]
"""A kind of event, its fields, and how many bytes of the model's output are in it."""


def stream_response(said: Said) -> Iterator[StreamEvent]:
    """The events, numbered from 0."""
    produced = 0
    for number, (kind, fields, size) in enumerate(_steps(said)):
        produced += size
        yield StreamEvent(kind, {"type": kind, "sequence_number": number, **fields}, produced)


def _steps(said: Said) -> Iterator[_Step]:
    frame = write_frame(said, "in_progress")
    yield "response.created", {"response": frame}, 0
    yield "response.in_progress", {"response": frame}, 0
    for index, block in enumerate(said.answer.blocks):
        yield "response.output_item.added", {"output_index": index, "item": open_item(said, index)}, 0
        yield from _fill(said, block, {"item_id": open_item(said, index)["id"], "output_index": index})
        yield "response.output_item.done", {"output_index": index, "item": write_item(said, index)}, 0
    response = write_response(said)
    yield f"response.{response['status']}", {"response": response}, 0


def _fill(said: Said, block: Block, place: dict[str, Any]) -> Iterator[_Step]:
    if isinstance(block, TextBlock):
        yield from _fill_message(block, {**place, "content_index": 0})
    elif isinstance(block, ToolBlock):
        free = block.name in said.prompt.free_tools
        kind, field = ("custom_tool_call_input", "input") if free else ("function_call_arguments", "arguments")
        size = len(block.name.encode())
        for piece in pieces_of(block.raw, INPUT_PIECE):
            yield f"response.{kind}.delta", {**place, "delta": piece}, size + len(piece.encode())
            size = 0
        yield f"response.{kind}.done", {**place, field: block.raw, **({} if free else {"name": block.name})}, size
    elif summary := summary_of(said, block):
        yield from _fill_summary(summary, {**place, "summary_index": 0})


def _fill_message(block: TextBlock, place: dict[str, Any]) -> Iterator[_Step]:
    yield "response.content_part.added", {**place, "part": write_text("")}, 0
    for piece in pieces_of(block.text, TEXT_PIECE):
        yield "response.output_text.delta", {**place, "delta": piece, "logprobs": []}, len(piece.encode())
    yield "response.output_text.done", {**place, "text": block.text, "logprobs": []}, 0
    yield "response.content_part.done", {**place, "part": write_text(block.text)}, 0


def _fill_summary(summary: str, place: dict[str, Any]) -> Iterator[_Step]:
    yield "response.reasoning_summary_part.added", {**place, "part": {"type": "summary_text", "text": ""}}, 0
    for piece in pieces_of(summary, TEXT_PIECE):
        yield "response.reasoning_summary_text.delta", {**place, "delta": piece}, len(piece.encode())
    yield "response.reasoning_summary_text.done", {**place, "text": summary}, 0
    yield "response.reasoning_summary_part.done", {**place, "part": {"type": "summary_text", "text": summary}}, 0
