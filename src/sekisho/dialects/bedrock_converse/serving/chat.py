"""The neutral form of a Converse request: the conversation, and how the model is to answer."""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Raw

from sekisho.core.chat import ChatRequest, Message, Part, Text
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.dialects.bedrock_converse.serving.additional import Additional, read_additional
from sekisho.dialects.bedrock_converse.serving.blocks import open_union, read_blocks
from sekisho.dialects.bedrock_converse.serving.wanted import read_format, read_reasoning, read_tool_choice, read_tools
from sekisho.dialects.common.fields import (
    read_array,
    read_choice,
    read_integer,
    read_name,
    read_names,
    read_number,
    read_object,
    refuse_deep_nesting,
)
from sekisho.dialects.common.members import decode_members
from sekisho.dialects.common.wishes import is_gateway_field, read_optional

_Fields = dict[str, object]
_ROLES: Final[tuple[Literal["user", "assistant", "system"], ...]] = ("user", "assistant", "system")

# Read here, by the gateway (requestMetadata), or by whoever writes the answer (additionalModelResponseFieldPaths).
# fmt: off
_READ: Final = frozenset({
    "messages", "system", "inferenceConfig", "toolConfig", "outputConfig", "additionalModelRequestFields",
    "additionalModelResponseFieldPaths", "requestMetadata", "metadata", "serviceTier",
})
# fmt: on
# Left out, these would change what is answered, or leave it unguarded.
_ONLY_CONVERSE: Final = {
    "guardrailConfig": "Bedrock's guardrails guard only models that are called by Bedrock's Converse.",
    "promptVariables": "Prompts that Bedrock keeps can be used only with Bedrock's Converse.",
}


def read_chat(members: Mapping[str, Raw]) -> ChatRequest:
    """Read a Converse request. Raises InvalidRequest, or Unsupported, naming the field."""
    return _Reader(decode_members(members), "").read()


def read_counted_chat(members: Mapping[str, Raw]) -> ChatRequest:
    """Read the request in a question for its tokens. Raises InvalidRequest, or Unsupported, naming the field."""
    kind, question, path = open_union(decode_members(members).get("input"), "input")
    if kind != "converse":
        message = "Tokens of an InvokeModel body are counted only by Bedrock's own CountTokens. Send `input.converse`."
        raise Unsupported(message, param=path)
    return _Reader(read_object(question, path), f"{path}.").read()


class _Reader:
    """Reads the fields of one request; `base` is what stands before their names in errors."""

    def __init__(self, fields: _Fields, base: str) -> None:
        self._fields = fields
        self._base = base
        self._chat = ChatRequest(system=[], messages=[])

    def read(self) -> ChatRequest:
        """The whole request."""
        for name, reason in _ONLY_CONVERSE.items():
            if self._fields.get(name) is not None:
                raise Unsupported(f"{reason} Leave out `{name}`.", param=self._base + name)
        additional = read_additional(*self._open("additionalModelRequestFields"))
        self._read_system()
        self._read_messages()
        self._read_inference()
        self._read_tools(additional)
        self._read_output(additional)
        self._read_extras(additional)
        return self._chat

    def _open(self, name: str) -> tuple[_Fields, str]:
        """A field that is an object, empty when it is not there, and its path."""
        path = self._base + name
        return read_optional(self._fields.get(name), path, read_object) or {}, path

    def _read_system(self) -> None:
        value, path = self._fields.get("system"), f"{self._base}system"
        if value is not None:
            self._chat.system = _only_text(read_blocks(value, path, self._chat.omitted), path)

    def _read_messages(self) -> None:
        path = f"{self._base}messages"
        items = read_array(self._fields.get("messages"), path)
        if not items:
            raise InvalidRequest(f"`{path}` is empty: send at least one message.", param=path)
        for index, item in enumerate(items):
            at = f"{path}[{index}]"
            message = read_object(item, at)
            role = read_choice(message.get("role"), f"{at}.role", _ROLES)
            parts = read_blocks(message.get("content"), f"{at}.content", self._chat.omitted)
            if role == "system":
                self._chat.system += _only_text(parts, f"{at}.content")
            else:
                self._chat.messages.append(Message(role=role, parts=parts))

    def _read_inference(self) -> None:
        config, path = self._open("inferenceConfig")
        chat = self._chat
        chat.max_output_tokens = read_optional(config.get("maxTokens"), f"{path}.maxTokens", _read_limit)
        chat.temperature = read_optional(config.get("temperature"), f"{path}.temperature", _read_share)
        chat.top_p = read_optional(config.get("topP"), f"{path}.topP", _read_share)
        chat.stop = read_optional(config.get("stopSequences"), f"{path}.stopSequences", read_names) or []

    def _read_tools(self, additional: Additional) -> None:
        config, path = self._open("toolConfig")
        if config:
            self._chat.tools = read_tools(config.get("tools"), f"{path}.tools", self._chat.omitted)
        choice = read_optional(config.get("toolChoice"), f"{path}.toolChoice", read_tool_choice)
        self._chat.tool_choice = additional.tool_choice or choice
        self._chat.parallel_tool_calls = additional.parallel_tool_calls

    def _read_output(self, additional: Additional) -> None:
        output, path = self._open("outputConfig")
        self._chat.response_format = read_optional(output.get("textFormat"), f"{path}.textFormat", read_format)
        self._chat.reasoning = read_reasoning(output.get("effort"), f"{path}.effort", additional)
        tier, path = self._open("serviceTier")
        self._chat.service_tier = read_optional(tier.get("type"), f"{path}.type", read_name)
        self._chat.top_k = additional.top_k

    def _read_extras(self, additional: Additional) -> None:
        extras = additional.extras | {
            name: value
            for name, value in self._fields.items()
            if value is not None and name not in _READ and not is_gateway_field(name)
        }
        refuse_deep_nesting(extras, "request_body")
        self._chat.extras = extras


def _only_text(parts: list[Part], path: str) -> list[Text]:
    texts = [part for part in parts if isinstance(part, Text)]
    if len(texts) < len(parts):
        raise InvalidRequest(f"`{path}` may hold only text.", param=path)
    return texts


def _read_limit(value: object, path: str) -> int:
    return read_integer(value, path, minimum=1)


def _read_share(value: object, path: str) -> float:
    return read_number(value, path, minimum=0, maximum=1)
