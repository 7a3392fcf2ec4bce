"""A Converse request, brought into the form of a prompt."""

from typing import Any

import msgspec

from sekisho.simulator.errors import invalid, invalid_for_model
from sekisho.simulator.prompt import Prompt, read_thinking


def read_converse(model: str, body: dict[str, Any]) -> Prompt:
    """A prompt from a body that satisfies the service model. Raises Refusal."""
    inference = body.get("inferenceConfig") or {}
    tool_config = body.get("toolConfig") or {}
    fields = body.get("additionalModelRequestFields") or {}
    if not isinstance(fields, dict):
        raise invalid("The additionalModelRequestFields field must be a JSON object.")
    choice = next(iter((tool_config.get("toolChoice") or {"auto": {}}).items()))
    return Prompt(
        model=model,
        system=body.get("system") or [],
        messages=body.get("messages") or [],
        tools=tool_config.get("tools") or [],
        has_tools="toolConfig" in body,
        choice=choice[0],
        choice_name=choice[1].get("name"),
        max_tokens=inference.get("maxTokens"),
        temperature=inference.get("temperature", _read_number(fields, "temperature")),
        top_p=inference.get("topP", _read_number(fields, "top_p")),
        stop=inference.get("stopSequences") or [],
        thinking=read_thinking(fields),
        schema=_read_schema(body),
        parallel=not _read_vendor_choice(fields).get("disable_parallel_tool_use"),
        extra=fields,
        raw=body,
        metadata=body.get("requestMetadata") or {},
    )


def _read_number(fields: dict[str, Any], name: str) -> float | None:
    """One of the model's own sampling fields."""
    value = fields.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise invalid_for_model(f"{name}: Input should be a valid number")
    return value


def _read_vendor_choice(fields: dict[str, Any]) -> dict[str, Any]:
    """Claude's own tool choice, which has a switch that Converse has not."""
    choice = fields.get("tool_choice")
    return choice if isinstance(choice, dict) else {}


def _read_schema(body: dict[str, Any]) -> dict[str, Any] | None:
    text_format = (body.get("outputConfig") or {}).get("textFormat")
    if not text_format:
        return None
    try:
        schema = msgspec.json.decode(text_format["structure"]["jsonSchema"]["schema"])
    except msgspec.DecodeError as error:
        raise invalid(f"The schema field in outputConfig.textFormat is not valid JSON: {error}") from None
    if not isinstance(schema, dict):
        raise invalid("The schema field in outputConfig.textFormat must hold a JSON object.")
    return schema
