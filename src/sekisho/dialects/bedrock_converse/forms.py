"""Words and values of Converse that both of its sides need."""

from typing import Final

import msgspec
from msgspec import Raw

Json = dict[str, object]
"""A JSON object that is being written."""

COUNT_ENDING: Final = "/count-tokens"
"""How the paths of CountTokens end."""

ADDITIONAL_FIELDS: Final = "additional_model_request_fields"
"""The name in `ChatRequest.extras` of what a client passes through to the model, as LiteLLM calls it."""

DOCUMENT_FORMATS: Final = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
"""Converse's word for each type of file, by media type."""

_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


def read_arguments(text: str) -> Raw | Json:
    """The arguments of a tool call as an object, since Converse takes no other; a broken text is kept in one."""
    if not text or text.isspace():
        return {}
    try:
        _decode_object(text)
    except (msgspec.DecodeError, RecursionError):
        return {"arguments": text}
    return Raw(text.encode())
