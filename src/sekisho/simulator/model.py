"""Requests held against botocore's own description of the service, constraint by constraint.

botocore's client-side validation is weaker: it leaves out enum, pattern and most lengths. A member the description does
not know is refused too, although AWS mostly ignores it: here it shows a mistake of the caller.
"""

import base64
import binascii
import functools
import re
from typing import Any

from sekisho.simulator.errors import invalid

_SHOWN_ERRORS = 10
_PLACEHOLDER_ACCOUNT = re.compile(r"^(arn:aws[a-z-]*:bedrock:[^:]*:)[\w-]+(?=:)")


class ServiceModel:
    """The shapes and operations of a service-2.json."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._shapes: dict[str, dict[str, Any]] = document["shapes"]
        self._operations: dict[str, dict[str, Any]] = document["operations"]

    def check_request(self, operation: str, model: str, body: dict[str, Any], headers: dict[str, str]) -> None:
        """Checks a request: the model id of the path, the members in the body and those in the headers.

        Raises Refusal (ValidationException) naming the first ten violations.
        """
        shape = self._shapes[self._operations[operation]["input"]["shape"]]
        # A placeholder for the account (ACCOUNT1), as the STS of the simulator takes it, stands for its twelve digits.
        value = {**body, "modelId": _PLACEHOLDER_ACCOUNT.sub(r"\g<1>000000000000", model)}
        for name, member in shape["members"].items():
            if member.get("location") == "header" and member["locationName"].lower() in headers:
                value[name] = headers[member["locationName"].lower()]
        errors: list[str] = []
        self._check_structure(shape, value, "", errors)
        if errors:
            noun = "error" if len(errors) == 1 else "errors"
            raise invalid(f"{len(errors)} validation {noun} detected: {'; '.join(errors[:_SHOWN_ERRORS])}")

    def _check(self, name: str, value: Any, path: str, errors: list[str]) -> None:
        shape = self._shapes[name]
        kind = shape["type"]
        if kind == "structure":
            if not shape.get("document"):
                self._check_structure(shape, value, path, errors)
        elif kind == "list":
            self._check_list(shape, value, path, errors)
        elif kind == "map":
            self._check_map(shape, value, path, errors)
        elif kind == "string":
            _check_string(shape, value, path, errors)
        elif kind == "blob":
            _check_blob(shape, value, path, errors)
        elif kind == "boolean":
            if not isinstance(value, bool):
                errors.append(_wrong_type(value, path, "boolean"))
        else:
            _check_number(shape, value, path, errors)

    def _check_structure(self, shape: dict[str, Any], value: Any, path: str, errors: list[str]) -> None:
        if not isinstance(value, dict):
            errors.append(_wrong_type(value, path, "structure"))
            return
        members = shape["members"]
        present = {name: item for name, item in value.items() if item is not None}
        prefix = f"{path}." if path else ""
        errors.extend(
            f"Value null at '{prefix}{name}' failed to satisfy constraint: Member must not be null"
            for name in shape.get("required", ())
            if name not in present
        )
        if shape.get("union") and len(present) != 1:
            errors.append(
                f"Value at '{path}' failed to satisfy constraint: Member must set exactly one of {sorted(members)},"
                f" not {sorted(present)}"
            )
        for name, item in present.items():
            if name in members:
                self._check(members[name]["shape"], item, f"{prefix}{name}", errors)
            else:
                errors.append(f"Value at '{prefix}{name}' failed to satisfy constraint: Member is not known here")

    def _check_list(self, shape: dict[str, Any], value: Any, path: str, errors: list[str]) -> None:
        if not isinstance(value, list):
            errors.append(_wrong_type(value, path, "list"))
            return
        _check_length(shape, len(value), value, path, errors)
        for index, item in enumerate(value, 1):
            self._check(shape["member"]["shape"], item, f"{path}.{index}.member", errors)

    def _check_map(self, shape: dict[str, Any], value: Any, path: str, errors: list[str]) -> None:
        if not isinstance(value, dict):
            errors.append(_wrong_type(value, path, "map"))
            return
        _check_length(shape, len(value), value, path, errors)
        for key, item in value.items():
            self._check(shape["key"]["shape"], key, f"{path}.{key}.key", errors)
            self._check(shape["value"]["shape"], item, f"{path}.{key}.value", errors)


@functools.cache
def load_service_model() -> ServiceModel:
    """The description of bedrock-runtime in the installed botocore; read once, when first needed."""
    # Imported here because a process that never simulates a call need not pay for loading botocore.
    from botocore.loaders import Loader  # noqa: PLC0415

    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))


def _show(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _wrong_type(value: Any, path: str, wanted: str) -> str:
    found = type(value).__name__
    return f"Value at '{path}' failed to satisfy constraint: Member must be a {wanted}, not {found}"


def _check_length(shape: dict[str, Any], length: int, value: Any, path: str, errors: list[str]) -> None:
    for bound, wrong, words in (
        ("min", length < shape.get("min", 0), "greater than or equal to"),
        ("max", length > shape.get("max", length), "less than or equal to"),
    ):
        if wrong:
            errors.append(
                f"Value '{_show(value)}' at '{path}' failed to satisfy constraint: Member must have length"
                f" {words} {shape[bound]}"
            )


def _check_string(shape: dict[str, Any], value: Any, path: str, errors: list[str]) -> None:
    if not isinstance(value, str):
        errors.append(_wrong_type(value, path, "string"))
        return
    _check_length(shape, len(value), value, path, errors)
    constraint = f"Value '{_show(value)}' at '{path}' failed to satisfy constraint: Member must satisfy"
    if "enum" in shape and value not in shape["enum"]:
        errors.append(f"{constraint} enum value set: [{', '.join(shape['enum'])}]")
    if "pattern" in shape and not re.fullmatch(shape["pattern"], value):
        errors.append(f"{constraint} regular expression pattern: {shape['pattern']}")


def _check_blob(shape: dict[str, Any], value: Any, path: str, errors: list[str]) -> None:
    try:
        data = value if isinstance(value, bytes) else base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        errors.append(_wrong_type(value, path, "base64 string"))
        return
    _check_length(shape, len(data), "(bytes)", path, errors)


def _check_number(shape: dict[str, Any], value: Any, path: str, errors: list[str]) -> None:
    whole = shape["type"] in ("integer", "long")
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        errors.append(_wrong_type(value, path, shape["type"]))
        return
    for bound, wrong, words in (
        ("min", value < shape.get("min", value), "greater than or equal to"),
        ("max", value > shape.get("max", value), "less than or equal to"),
    ):
        if wrong:
            errors.append(
                f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have value"
                f" {words} {shape[bound]}"
            )
