"""The arguments of tool calls: JSON text in the neutral form, an object in Anthropic's."""

import msgspec
from msgspec import Raw

_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


def read_arguments(text: str) -> Raw | dict[str, object]:
    """The arguments as an object, since nothing else is taken; a text that is none, cut off perhaps, is kept in one."""
    if not text or text.isspace():
        return {}
    try:
        _decode_object(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {"arguments": text}
    return Raw(text.encode())
