from typing import Any

import pytest

from sekisho.simulator.schema import minimal_instance

ONE = {"properties": {"a": {"const": 1}}, "required": ["a"]}
TWO = {"properties": {"b": {"const": 2}}, "required": ["b"]}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}, {"a": "SIMULATED"}),
        ({"enum": ["x", "y"]}, "x"),
        ({"const": 5}, 5),
        ({"type": ["null", "string"]}, None),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, False),
        ({"type": "array", "items": {"type": "integer", "exclusiveMinimum": 1}, "minItems": 2}, [2, 2]),
        ({"type": "integer", "minimum": -5}, 0),
        ({"type": "string", "minLength": 11}, "SIMULATED.."),
        ({"type": "string", "maxLength": 3}, "SIM"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}}, None),
        (
            {"allOf": [ONE, TWO]},
            {"a": 1, "b": 2},
        ),
        ({"$ref": "#"}, None),
    ],
)
def test_the_smallest_value_of_a_schema(schema: dict[str, Any], value: Any) -> None:
    assert minimal_instance(schema) == value
