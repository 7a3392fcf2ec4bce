"""What a Converse request wants of the answer: tools to be used, a JSON format, an effort."""

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from sekisho.core.chat import Reasoning, ResponseFormat, Tool, ToolChoice
from sekisho.core.errors import InvalidRequest
from sekisho.dialects.bedrock_converse.serving.additional import EFFORTS, Additional
from sekisho.dialects.bedrock_converse.serving.blocks import open_union, read_cache_point, refuse_kind
from sekisho.dialects.common.fields import (
    encode_raw,
    read_array,
    read_choice,
    read_flag,
    read_name,
    read_object,
    read_text,
)
from sekisho.dialects.common.wishes import read_optional

_decode = msgspec.json.Decoder(dict[str, Raw]).decode


def read_tools(value: object, path: str, omitted: list[str]) -> list[Tool]:
    """The tools; cache points among them become marks. Tools that Bedrock itself runs are left out by name."""
    tools: list[Tool] = []
    for index, item in enumerate(read_array(value, path)):
        kind, content, at = open_union(item, f"{path}[{index}]")
        if kind == "toolSpec":
            tools.append(_read_tool(content, at))
        elif kind == "systemTool":
            omitted.append("systemTool")
        elif kind != "cachePoint":
            raise refuse_kind(kind, at)
        elif tools:
            tools[-1] = replace(tools[-1], cache=read_cache_point(content, at))
        else:
            omitted.append("cachePoint")
    return tools


def _read_tool(value: object, path: str) -> Tool:
    spec = read_object(value, path)
    kind, schema, at = open_union(spec.get("inputSchema"), f"{path}.inputSchema")
    if kind != "json":
        raise refuse_kind(kind, at)
    return Tool(
        name=read_name(spec.get("name"), f"{path}.name"),
        description=read_optional(spec.get("description"), f"{path}.description", read_text),
        schema=encode_raw(read_object(schema, at), at),
        strict=read_optional(spec.get("strict"), f"{path}.strict", read_flag),
    )


def read_tool_choice(value: object, path: str) -> ToolChoice:
    """Whether tools must be used."""
    kind, content, at = open_union(value, path)
    match kind:
        case "auto" | "any":
            return ToolChoice(kind)
        case "tool":
            return ToolChoice("tool", read_name(read_object(content, at).get("name"), f"{at}.name"))
        case _:
            raise InvalidRequest(f"`{path}` must be auto, any or tool.", param=path)


def read_format(value: object, path: str) -> ResponseFormat:
    """A JSON answer. Converse has the schema as JSON text inside a string."""
    wanted = read_object(value, path)
    read_choice(wanted.get("type"), f"{path}.type", ("json_schema",))
    kind, definition, at = open_union(wanted.get("structure"), f"{path}.structure")
    if kind != "jsonSchema":
        raise refuse_kind(kind, at)
    definition = read_object(definition, at)
    schema = read_text(definition.get("schema"), f"{at}.schema").encode()
    try:
        _decode(schema)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"`{at}.schema` must be the JSON text of an object.", param=f"{at}.schema") from error
    return ResponseFormat(
        name=read_optional(definition.get("name"), f"{at}.name", read_name) or ResponseFormat().name,
        description=read_optional(definition.get("description"), f"{at}.description", read_text),
        schema=Raw(schema),
    )


def read_reasoning(effort: object, path: str, additional: Additional) -> Reasoning | None:
    """How much to think, from Converse's effort and the model's own fields; None when nothing is said.

    Converse's effort starts no thinking by itself; the model's own fields do.
    """
    told = additional.reasoning
    said = None if effort is None else read_choice(effort, path, EFFORTS)
    if said is not None:
        told = Reasoning("default" if told == Reasoning() else told.mode, said, told.budget_tokens)
    return None if told == Reasoning() else told
