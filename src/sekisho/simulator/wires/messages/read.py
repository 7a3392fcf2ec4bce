"""Claude's Messages body, brought into the form of a prompt. Rules: https://docs.claude.com/en/api/messages."""

import base64
import re
from typing import Any, Literal

import msgspec
from msgspec import Struct

from sekisho.simulator.errors import invalid, invalid_for_model
from sekisho.simulator.prompt import Prompt, read_thinking

_LACKING = re.compile(r"missing required field `(\w+)`")
# What a tool's result may hold and Converse has no block for; the scripted model does not look inside.
_OPAQUE = ("search_result", "tool_reference", "web_search_tool_result", "server_tool_use")


class _Choice(Struct, frozen=True):
    type: Literal["auto", "any", "tool", "none"] = "auto"
    name: str | None = None
    disable_parallel_tool_use: bool = False


class _Message(Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[dict[str, Any]]


class _Mark(Struct):
    ttl: Literal["5m", "1h"] = "5m"


class _Tool(Struct):
    name: str
    type: str | None = None
    input_schema: dict[str, Any] = {}
    description: str | None = None
    cache_control: _Mark | None = None


class _Source(Struct):
    type: str
    data: str = ""


class _Text(Struct):
    text: str
    cache_control: _Mark | None = None


class _Medium(Struct):
    source: _Source
    title: str | None = None
    citations: dict[str, Any] | None = None
    cache_control: _Mark | None = None


class _Thinking(Struct):
    thinking: str
    signature: str


class _Redacted(Struct):
    data: str


class _Use(Struct):
    id: str
    name: str
    input: dict[str, Any]
    cache_control: _Mark | None = None


class _Result(Struct):
    tool_use_id: str
    content: str | list[dict[str, Any]] | None = None
    is_error: bool | None = None
    cache_control: _Mark | None = None


_BLOCKS: dict[str, type[Struct]] = {
    "text": _Text,
    "image": _Medium,
    "document": _Medium,
    "thinking": _Thinking,
    "redacted_thinking": _Redacted,
    "tool_use": _Use,
    "tool_result": _Result,
}


class _Format(Struct):
    schema: dict[str, Any] | None = None


class _OutputConfig(Struct):
    format: _Format | None = None


class _Body(Struct, kw_only=True):
    """The fields that matter to the scripted model."""

    max_tokens: int
    messages: list[_Message]
    system: str | list[dict[str, Any]] = []
    tools: list[_Tool] | None = None
    tool_choice: _Choice = _Choice()
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] = []
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None
    cache_control: _Mark | None = None


def read_messages(model: str, fields: dict[str, Any]) -> Prompt:
    """A prompt from the fields of a Messages body. Raises Refusal."""
    try:
        body = msgspec.convert(fields, _Body)
    except msgspec.ValidationError as error:
        raise invalid(f"Malformed input request: {error}, please reformat your input and try again.") from None
    if body.max_tokens < 1:
        raise invalid_for_model("max_tokens: Input should be greater than or equal to 1")
    if not body.messages:
        raise invalid_for_model("messages: at least one message is required")
    messages = _merge_turns(body.messages)
    messages[-1]["content"].extend(_cache_point(_ttl_of(body.cache_control)))
    output_format = body.output_format or (body.output_config.format if body.output_config else None)
    return Prompt(
        model=model,
        system=_read_content(body.system, "system"),
        messages=messages,
        tools=[block for tool in body.tools or () for block in _read_tool(tool)],
        has_tools=body.tools is not None,
        parallel=not body.tool_choice.disable_parallel_tool_use,
        choice=body.tool_choice.type,
        choice_name=body.tool_choice.name,
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        stop=body.stop_sequences,
        thinking=read_thinking(fields),
        schema=output_format.schema if output_format else None,
        extra=fields,
        raw=fields,
    )


def _merge_turns(messages: list[_Message]) -> list[dict[str, Any]]:
    """Turns in Converse's form; Claude takes consecutive turns of one role as one."""
    merged: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        content = _read_content(message.content, f"messages.{index}.content")
        if merged and merged[-1]["role"] == message.role:
            merged[-1]["content"].extend(content)
        else:
            merged.append({"role": message.role, "content": content})
    return merged


def _cache_point(ttl: str | None) -> list[dict[str, Any]]:
    return [{"cachePoint": {"type": "default", "ttl": ttl}}] if ttl else []


def _ttl_of(mark: _Mark | None) -> str | None:
    return mark.ttl if mark else None


def _read_tool(tool: _Tool) -> list[dict[str, Any]]:
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": tool.input_schema}}
    if tool.description:
        spec["description"] = tool.description
    return [{"toolSpec": spec}, *_cache_point(_ttl_of(tool.cache_control))]


def _read_content(content: str | list[dict[str, Any]], path: str) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"text": content}] if content else []
    blocks: list[dict[str, Any]] = []
    for index, block in enumerate(content):
        _check_block(block, f"{path}.{index}")
        blocks.append(_read_block(block, f"{path}.{index}"))
        mark = block.get("cache_control")
        blocks.extend(_cache_point(mark.get("ttl", "5m") if mark else None))
    return blocks


def _check_block(block: dict[str, Any], path: str) -> None:
    kind = block.get("type")
    if not isinstance(kind, str):
        raise invalid_for_model(f"{path}.type: Field required")
    if kind not in _BLOCKS:
        if kind in _OPAQUE:
            return
        raise invalid_for_model(
            f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
        )
    try:
        msgspec.convert(block, _BLOCKS[kind])
    except msgspec.ValidationError as error:
        lacking = _LACKING.search(str(error))
        words = f".{lacking[1]}: Field required" if lacking else f": {error}"
        raise invalid_for_model(f"{path}{words}") from None


def _read_source(source: dict[str, Any], path: str) -> dict[str, Any]:
    if source["type"] == "base64":
        try:
            base64.b64decode(source.get("data", ""), validate=True)
        except ValueError:
            raise invalid_for_model(f"{path}.source.base64: invalid base64 data") from None
    return source


def _read_block(block: dict[str, Any], path: str) -> dict[str, Any]:
    kind = block["type"]
    if kind == "text":
        return {"text": block["text"]}
    if kind in ("image", "document"):
        known = {name: block[name] for name in ("title", "context", "citations") if name in block}
        return {kind: {"source": _read_source(block["source"], path), **known}}
    if kind == "thinking":
        return {"reasoningContent": {"reasoningText": {"text": block["thinking"], "signature": block["signature"]}}}
    if kind == "redacted_thinking":
        return {"reasoningContent": {"redactedContent": block["data"]}}
    if kind == "tool_use":
        return {"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}}
    if kind == "tool_result":
        result = {
            "toolUseId": block["tool_use_id"],
            "content": _read_content(block.get("content") or [], path),
            "status": "error" if block.get("is_error") else "success",
        }
        return {"toolResult": result}
    return {"searchResult": block}
