"""The documentation page: the OpenAPI document as plain HTML, from this server alone."""

from collections.abc import Iterator
from html import escape
from typing import Any, Final

from starlette.responses import HTMLResponse

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "code{font-family:ui-monospace,monospace}details{border-top:1px solid #8884;padding:.5rem 0}"
    "summary{cursor:pointer}table{border-collapse:collapse;margin:.5rem 0}"
    "td{padding:.1rem 1rem .1rem 0;vertical-align:top}"
)


def page(document: dict[str, Any]) -> HTMLResponse:
    """One page with every endpoint of an OpenAPI document, its parameters and the fields of its body."""
    info = document["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info.get('summary', ''))}. ",
        "The same for machines: <a href=openapi.json>openapi.json</a>. ",
        "Send a key as <code>Authorization: Bearer sk-...</code></p>",
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(document, f"{method.upper()} {path}", operation))
    return HTMLResponse("".join(parts), headers={"content-security-policy": _POLICY})


def _operation(document: dict[str, Any], title: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{escape(kind)}<td>{escape(note)}"
        for name, kind, note in _fields(document, operation)
    )
    return (
        f"<details><summary><code>{escape(title)}</code> {escape(operation.get('description', ''))}</summary>"
        f"<table>{rows}</table></details>"
    )


def _fields(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, type and note of each parameter and each field of the body."""
    for parameter in operation.get("parameters", ()):
        note = parameter.get("description", "required" if parameter.get("required") else "")
        yield parameter["name"], _kind(document, parameter["schema"]), note
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is None:
        return
    schema = _resolve(document, body)
    for name, field in schema.get("properties", {}).items():
        yield name, _kind(document, field), "required" if name in schema.get("required", ()) else ""


def _kind(document: dict[str, Any], schema: dict[str, Any]) -> str:
    """The type of a field in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(document, choice) for choice in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f'"{value}"' for value in schema["enum"])
    if "$ref" in schema:
        properties = _resolve(document, schema).get("properties", {})
        return "{" + ", ".join(properties) + "}"
    if schema.get("type") == "array":
        return f"list of {_kind(document, schema['items'])}"
    return str(schema.get("type", "anything"))


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    resolved: dict[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]]
    return resolved
