"""Holds requests against botocore's service model of bedrock-runtime, as strictly as the service itself.

botocore's own validation passes ids that are too long, numbers out of range and unknown enum values; here every
constraint of the model counts.
"""

import base64
import binascii
import functools
import re
from collections.abc import Callable, Mapping

from botocore.loaders import Loader

Shape = Mapping[str, object]

# The model lags behind the service here, so that what it says of these shapes is not enforced.
_LAGGING = frozenset({"ConversationalModelId"})


@functools.cache
def load_model() -> Mapping[str, Mapping[str, Mapping[str, object]]]:
    """botocore's service model of bedrock-runtime."""
    model: Mapping[str, Mapping[str, Mapping[str, object]]] = Loader().load_service_model(
        "bedrock-runtime", "service-2"
    )
    return model


def validate(operation: str, params: object) -> list[str]:
    """What is wrong with an operation's input, by path; empty when nothing is.

    Blobs may be bytes, or base64 text as in a JSON body.
    """
    given = load_model()["operations"][operation]["input"]
    assert isinstance(given, dict)
    return _check(given["shape"], params, "$")


def validate_shape(name: str, value: object) -> list[str]:
    """What is wrong with a value of a shape of the model, by path: of an answer, or of an event in a stream."""
    return _check(name, value, "$")


def _check(name: str, value: object, path: str) -> list[str]:
    shape = load_model()["shapes"][name]
    if shape.get("document"):
        return []
    return _CHECKS[str(shape["type"])](name, shape, value, path)


def _check_structure(name: str, shape: Shape, value: object, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: {name} must be an object, not {value!r}"]
    members, required = shape["members"], shape.get("required", [])
    assert isinstance(members, dict)
    assert isinstance(required, list)
    faults = [f"{path}: {name} lacks {member}" for member in required if member not in value]
    faults += [f"{path}: {name} has no {member}" for member in value if member not in members]
    if shape.get("union") and len(value) != 1:
        faults.append(f"{path}: {name} must have exactly one member, not {sorted(value)}")
    for member, held in value.items():
        if member in members:
            faults += _check(members[member]["shape"], held, f"{path}.{member}")
    return faults


def _check_list(name: str, shape: Shape, value: object, path: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{path}: {name} must be a list, not {value!r}"]
    member = shape["member"]
    assert isinstance(member, dict)
    faults = _check_range(name, shape, len(value), path)
    for at, held in enumerate(value):
        faults += _check(member["shape"], held, f"{path}[{at}]")
    return faults


def _check_map(name: str, shape: Shape, value: object, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: {name} must be a map, not {value!r}"]
    key_shape, value_shape = shape["key"], shape["value"]
    assert isinstance(key_shape, dict)
    assert isinstance(value_shape, dict)
    faults = _check_range(name, shape, len(value), path)
    for key, held in value.items():
        faults += _check(key_shape["shape"], key, f"{path}.{key}") + _check(value_shape["shape"], held, f"{path}.{key}")
    return faults


def _check_string(name: str, shape: Shape, value: object, path: str) -> list[str]:
    if not isinstance(value, str):
        return [f"{path}: {name} must be a string, not {value!r}"]
    if name in _LAGGING:
        return []
    faults = _check_range(name, shape, len(value), path)
    allowed, pattern = shape.get("enum"), shape.get("pattern")
    if isinstance(allowed, list) and value not in allowed:
        faults.append(f"{path}: {name} must be one of {allowed}, not {value!r}")
    if isinstance(pattern, str) and not re.fullmatch(pattern, value, re.ASCII):
        faults.append(f"{path}: {name} must match {pattern}, unlike {value!r}")
    return faults


def _check_number(name: str, shape: Shape, value: object, path: str) -> list[str]:
    whole = shape["type"] in ("integer", "long")
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return [f"{path}: {name} must be a number, not {value!r}"]
    return _check_range(name, shape, value, path)


def _check_boolean(name: str, shape: Shape, value: object, path: str) -> list[str]:
    return [] if isinstance(value, bool) else [f"{path}: {name} must be true or false, not {value!r}"]


def _check_blob(name: str, shape: Shape, value: object, path: str) -> list[str]:
    if isinstance(value, str):
        try:
            value = base64.b64decode(value, validate=True)
        except binascii.Error:
            return [f"{path}: {name} is not base64"]
    if not isinstance(value, bytes):
        return [f"{path}: {name} must be bytes or base64, not {value!r}"]
    return _check_range(name, shape, len(value), path)


def _check_range(name: str, shape: Shape, size: float, path: str) -> list[str]:
    least, most = shape.get("min"), shape.get("max")
    if isinstance(least, int | float) and size < least:
        return [f"{path}: {name} is {size}, under {least}"]
    if isinstance(most, int | float) and size > most:
        return [f"{path}: {name} is {size}, over {most}"]
    return []


_CHECKS: dict[str, Callable[[str, Shape, object, str], list[str]]] = {
    "structure": _check_structure,
    "list": _check_list,
    "map": _check_map,
    "string": _check_string,
    "integer": _check_number,
    "long": _check_number,
    "float": _check_number,
    "double": _check_number,
    "boolean": _check_boolean,
    "blob": _check_blob,
}
