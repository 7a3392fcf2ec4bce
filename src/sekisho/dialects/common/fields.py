"""Reading decoded JSON with errors that name the field.

Every reader takes a value and its path in the body (`messages[2].content[0].image_url.url`), returns the value with its
checked type, and raises InvalidRequest with that path as `param`. No message repeats what the client sent, except
short words such as the name of a type: it might be a prompt.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from sekisho.core.errors import InvalidRequest

_Word = TypeVar("_Word", bound=str)
_LONGEST_QUOTE = 40
# msgspec decodes integers of any size; nothing here needs more than a signed 64-bit one, and nobody downstream
# should have to think about it.
_LARGEST_INTEGER = 2**63 - 1
_DEEPEST_NESTING = 64


def decode_body(body: bytes) -> dict[str, object]:
    """Decodes a request body, which must be a JSON object in UTF-8.

    Raises:
        InvalidRequest: `param` is `request_body`; the message tells the byte where the text breaks, where known.
    """
    try:
        fields = msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise _broken_body(f"it is not UTF-8 (byte {_find_broken_byte(body)})") from None
    except RecursionError:
        raise _broken_body("it is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise _broken_body(_explain_decode_error(error, body)) from None
    if not isinstance(fields, dict):
        raise _broken_body(f"it must be an object, not {_describe(fields)}")
    return fields


def _broken_body(reason: str) -> InvalidRequest:
    return InvalidRequest(f"The request body cannot be read as JSON: {reason}.", param="request_body")


def _explain_decode_error(error: msgspec.DecodeError, body: bytes) -> str:
    if not body:
        return "it is empty"
    reason = str(error).split(" - at ")[0].removeprefix("JSON is malformed: ")
    return f"it ends too early (byte {len(body)})" if reason == "Input data was truncated" else reason


def _find_broken_byte(body: bytes) -> int:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(body)


def encode_raw(value: object, path: str) -> msgspec.Raw:
    """A decoded value as JSON text again, to be passed on as it is."""
    try:
        return msgspec.Raw(msgspec.json.encode(value))
    except RecursionError:
        raise InvalidRequest(f"`{path}` is nested too deeply.", param=path) from None


def refuse_deep_nesting(value: object, path: str, levels: int = _DEEPEST_NESTING) -> None:
    """Raises InvalidRequest when objects and arrays are nested so deeply that encoding them later could fail."""
    if not isinstance(value, dict | list):
        return
    if levels == 0:
        raise InvalidRequest(f"`{path}` is nested too deeply.", param=path)
    for item in value.values() if isinstance(value, dict) else value:
        refuse_deep_nesting(item, path, levels - 1)


def read_text(value: object, path: str) -> str:
    """A string."""
    if isinstance(value, str):
        return value
    raise wrong_type(value, path, "a string")


def read_name(value: object, path: str) -> str:
    """A string that is not empty."""
    text = read_text(value, path)
    if not text:
        raise InvalidRequest(f"`{path}` must not be empty.", param=path)
    return text


def read_object(value: object, path: str) -> dict[str, object]:
    """A JSON object."""
    if isinstance(value, dict):
        return value
    raise wrong_type(value, path, "an object")


def read_array(value: object, path: str) -> list[object]:
    """A JSON array."""
    if isinstance(value, list):
        return value
    raise wrong_type(value, path, "an array")


def read_names(value: object, path: str) -> list[str]:
    """An array of strings that are not empty."""
    return [read_name(item, f"{path}[{index}]") for index, item in enumerate(read_array(value, path))]


def read_flag(value: object, path: str) -> bool:
    """A boolean."""
    if isinstance(value, bool):
        return value
    raise wrong_type(value, path, "true or false")


def read_integer(value: object, path: str, *, minimum: int = -_LARGEST_INTEGER) -> int:
    """An integer not below `minimum`, at most 2^63 - 1."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(value, path, "an integer")
    if value < minimum:
        raise InvalidRequest(f"`{path}` must be at least {minimum}.", param=path)
    if value > _LARGEST_INTEGER:
        raise InvalidRequest(f"`{path}` is too large.", param=path)
    return value


def read_number(value: object, path: str, *, minimum: float, maximum: float) -> float:
    """A number between `minimum` and `maximum`, both included."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong_type(value, path, "a number")
    if not minimum <= value <= maximum:
        raise InvalidRequest(f"`{path}` must be between {minimum:g} and {maximum:g}.", param=path)
    return float(value)


def read_choice(value: object, path: str, allowed: Sequence[_Word]) -> _Word:
    """One word out of `allowed`."""
    for word in allowed:
        if word == value:
            return word
    given = quote(value) if isinstance(value, str) else _describe(value)
    raise InvalidRequest(f"`{path}` must be one of {', '.join(allowed)}, not {given}.", param=path)


def wrong_type(value: object, path: str, expected: str) -> InvalidRequest:
    """The error for a value that is missing or of another type than `expected`, which reads like "a string"."""
    if value is None:
        return InvalidRequest(f"`{path}` is missing: it must be {expected}.", param=path)
    return InvalidRequest(f"`{path}` must be {expected}, not {_describe(value)}.", param=path)


def quote(word: str) -> str:
    """A client's own word, short enough to be shown in an error."""
    return repr(word if len(word) <= _LONGEST_QUOTE else f"{word[:_LONGEST_QUOTE]}…")


def _describe(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "an array"
        case _:
            return "an object"
