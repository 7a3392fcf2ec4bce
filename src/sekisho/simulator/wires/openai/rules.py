"""What OpenAI's APIs refuse: unknown fields, long lists, wrong names, odd schemas. Worded as publicly known."""

import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from sekisho.simulator.errors import Refusal
from sekisho.simulator.http import Request
from sekisho.simulator.wires.openai.errors import refuse
from sekisho.simulator.wires.openai.models import is_own

Body = TypeVar("Body")

MOST_STOPS = 4
LONGEST_NAME = 64
_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_IMAGE = re.compile(r"data:image/(png|jpeg|jpg|gif|webp);base64,[A-Za-z0-9+/=\s]+|https?://\S+", re.IGNORECASE)


def decode_fields(request: Request, known: frozenset[str]) -> dict[str, Any]:
    """The fields of a body, all of which must be `known` or begin with `x_`. Raises Refusal.

    Fields that begin with `x_` stand for what is not known yet.
    """
    try:
        fields: dict[str, Any] = msgspec.json.decode(request.body, type=dict[str, Any])
    except msgspec.DecodeError:
        raise refuse("We could not parse the JSON body of your request.") from None
    unknown = [name for name in fields if name not in known and not name.startswith("x_")]
    if unknown:
        noun = "argument" if len(unknown) == 1 else "arguments"
        raise refuse(f"Unrecognized request {noun} supplied: {', '.join(unknown)}")
    return fields


def convert_fields(fields: Any, body_type: type[Body]) -> Body:
    """The fields as a struct. Raises Refusal naming the field."""
    try:
        return msgspec.convert(fields, body_type)
    except msgspec.ValidationError as error:
        words, _, path = str(error).partition(" - at `$")
        param = path.strip("`.") or None
        raise refuse(f"Invalid type for '{param}': {words}.", param, "invalid_type") from None


def require_model(model: str) -> None:
    """Raises Refusal when no model is named."""
    if not model:
        raise refuse("you must provide a model parameter")


def check_stop(stop: Any, model: str) -> list[str]:
    """The stop sequences of the field `stop`, of which compatible servers take any number. Raises Refusal."""
    sequences = [stop] if isinstance(stop, str) else list(stop or ())
    if is_own(model) and len(sequences) > MOST_STOPS:
        raise refuse(
            f"Invalid 'stop': array too long. Expected an array with maximum length {MOST_STOPS}, but got an array with"
            f" length {len(sequences)} instead.",
            "stop",
            "array_above_max_length",
        )
    return sequences


def check_name(name: Any, param: str, *, free: bool = False) -> str:
    """A tool's name. Compatible servers are `free`: they take any. Raises Refusal."""
    if not isinstance(name, str) or not name:
        raise refuse(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    if free:
        return name
    if len(name) > LONGEST_NAME:
        raise refuse(
            f"Invalid '{param}': string too long. Expected a string with maximum length {LONGEST_NAME}, but got a"
            f" string with length {len(name)} instead.",
            param,
            "string_above_max_length",
        )
    if not _NAME.fullmatch(name):
        raise refuse(
            f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern"
            " '^[a-zA-Z0-9_-]+$'.",
            param,
            "invalid_value",
        )
    return name


def check_image(url: Any, param: str) -> None:
    """Raises Refusal for an image that is neither a data URL nor on the web."""
    if not isinstance(url, str) or not _IMAGE.fullmatch(url):
        raise refuse(
            "Invalid image: expected a base64-encoded data URL with an image MIME type (e.g."
            " 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU=') or an http URL.",
            param,
            "invalid_value",
        )


def check_strict_schema(schema: Any, name: str, param: str, path: tuple[str, ...] = ()) -> None:
    """Raises Refusal for a schema that strict answers cannot follow: every object must be closed."""
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties") or {}
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            wrong = "'additionalProperties' is required to be supplied and to be false."
        elif set(schema.get("required") or ()) != set(properties):
            wrong = "'required' is required to be supplied and to be an array including every key in properties."
        else:
            wrong = ""
        if wrong:
            raise refuse(
                f"Invalid schema for response_format '{name}': In context={path}, {wrong}", param, "invalid_json_schema"
            )
    children: Iterable[tuple[str, Any]] = [*properties.items(), ("items", schema.get("items"))]
    for key, child in children:
        check_strict_schema(child, name, param, (*path, key))


def require_tools(fields: dict[str, Any], *names: str) -> None:
    """Raises Refusal for fields that mean nothing without tools."""
    for name in names:
        if fields.get(name) is not None and not fields.get("tools"):
            raise refuse(f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.", name)


def missing(param: str) -> Refusal:
    """A refusal because a field is not there."""
    return refuse(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def wrong_value(param: str, found: Any, allowed: Iterable[str]) -> Refusal:
    """A refusal because a field has a value that it cannot have."""
    words = ", ".join(f"'{word}'" for word in allowed)
    return refuse(f"Invalid value: '{found}'. Supported values are: {words}.", param, "invalid_value")
