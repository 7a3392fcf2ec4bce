"""Whatever comes to the Responses API is read, or refused by the name of its field."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.openai_wire import encode, read_whole

from sekisho.core.chat import ClientCall
from sekisho.core.errors import InvalidRequest
from sekisho.dialects.openai_responses import client

HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}


def read(**fields: Any) -> ClientCall:
    return read_whole(client, encode(**{"model": "m", "input": [HELLO], **fields}))


KINDS = st.sampled_from(
    [
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "compaction",
        "item_reference",
        "additional_tools",
        "input_text",
        "input_image",
        "input_file",
        "output_text",
        "refusal",
        "function",
        "custom",
        "namespace",
        "allowed_tools",
        "json_schema",
        "user",
        "assistant",
        "system",
        "auto",
        "web_search",
        "sekisho1.e30=",
        "data:image/png;base64,AAAA",
    ]
)
NAMES = st.sampled_from(
    [
        "type",
        "role",
        "content",
        "text",
        "call_id",
        "name",
        "namespace",
        "arguments",
        "input",
        "output",
        "summary",
        "encrypted_content",
        "id",
        "tools",
        "image_url",
        "file_data",
        "file_url",
        "filename",
        "file_id",
        "parameters",
        "strict",
        "format",
        "definition",
        "syntax",
        "mode",
        "schema",
        "effort",
        "annotations",
    ]
)
FIELDS = st.sampled_from(
    [
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "text",
        "reasoning",
        "include",
        "truncation",
        "metadata",
        "store",
        "stream",
        "previous_response_id",
        "max_output_tokens",
        "extra_body",
        "stream_options",
        "parallel_tool_calls",
        "prompt_cache_key",
    ]
)
VALUES = st.recursive(
    KINDS | st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=15,
)


@given(st.dictionaries(FIELDS, VALUES, max_size=4))
def test_any_fields_are_read_or_refused_by_name(fields: dict[str, Any]) -> None:
    try:
        call = read_whole(client, json.dumps({"model": "m", "input": "x", **fields}).encode())
    except InvalidRequest as error:
        refused = error
    else:
        assert all(message.parts for message in call.chat.messages)
        return
    assert refused.param
    assert f"`{refused.param}`" in refused.message or refused.param == "request_body"
