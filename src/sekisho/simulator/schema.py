"""The smallest value a JSON schema allows, for forced tools and JSON answers."""

from typing import Any

import msgspec
from msgspec import Struct, field

from sekisho.simulator.errors import invalid_for_model

_MAX_DEPTH = 20
_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


class _Schema(Struct, rename="camel"):
    """The keywords that the scripted model goes by, and their types in any draft of JSON Schema."""

    type: str | list[str] | None = None
    properties: dict[str, "_Schema | bool"] = {}
    required: list[str] = []
    items: "_Schema | bool | list[_Schema | bool]" = True
    any_of: list["_Schema | bool"] = []
    one_of: list["_Schema | bool"] = []
    all_of: list["_Schema | bool"] = []
    enum: list[Any] = []
    ref: str = field(default="", name="$ref")
    defs: dict[str, "_Schema | bool"] = field(default_factory=dict, name="$defs")
    definitions: dict[str, "_Schema | bool"] = {}
    format: str | None = None
    min_items: int = 0
    min_length: int = 0
    max_length: int | None = None
    minimum: float = 0
    exclusive_minimum: float | bool = 0


def check_schema(schema: Any, name: str) -> None:
    """Refuses what is no JSON schema; `name` says whose it is. Raises Refusal."""
    try:
        msgspec.convert(schema, _Schema)
    except msgspec.ValidationError as error:
        raise invalid_for_model(f"{name}: JSON schema is invalid: {error}") from None


def types_of(schema: Any) -> set[str]:
    """The JSON types a schema names, alternatives included; empty when it names none."""
    if not isinstance(schema, dict):
        return set()
    named = schema.get("type", [])
    found = {named} if isinstance(named, str) else set(named)
    for key in ("anyOf", "oneOf"):
        for option in schema.get(key, ()):
            found |= types_of(option)
    return found


def minimal_instance(schema: dict[str, Any]) -> Any:
    """A small value that satisfies `schema`; text says SIMULATED where it may say anything.

    Covers what tools and answer formats use: types, enum, const, required, items, bounds, alternatives and local
    references. Patterns are not solved.
    """
    return _build(schema, schema, 0)


def _build(schema: Any, root: dict[str, Any], depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None
    if "$ref" in schema:
        return _build(_resolve(schema["$ref"], root), root, depth + 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return _build(schema[key][0], root, depth + 1)
    if schema.get("allOf"):
        merged: dict[str, Any] = {}
        for option in schema["allOf"]:
            part = _build(option, root, depth + 1)
            merged.update(part if isinstance(part, dict) else {})
        return merged
    return _build_type(schema, root, depth)


def _resolve(reference: str, root: dict[str, Any]) -> Any:
    node: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            node = node.get(part, {}) if isinstance(node, dict) else {}
    return node


def _build_type(schema: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    named = schema.get("type", "object" if "properties" in schema else None)
    kind = named[0] if isinstance(named, list) and named else named
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _build(properties.get(name, {}), root, depth + 1) for name in schema.get("required", ())}
    if kind == "array":
        return [_build(schema.get("items", {}), root, depth + 1) for _ in range(schema.get("minItems", 0))]
    if kind in ("integer", "number"):
        return _smallest_number(schema)
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    text = _FORMATS.get(schema.get("format", ""), "SIMULATED")
    return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def _smallest_number(schema: dict[str, Any]) -> int | float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    if not isinstance(low, int | float) or low < 0:
        return 0
    number: int | float = low + 1 if "exclusiveMinimum" in schema and "minimum" not in schema else low
    return number
