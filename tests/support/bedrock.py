"""boto3 pointed at a simulated AWS, and plain HTTP for what boto3 does not do."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config

from sekisho.simulator.settings import DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NEWEST_CLAUDE = "us.anthropic.claude-opus-4-7"
NOVA = "amazon.nova-lite-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"


def aws_client(
    service: str,
    url: str,
    *,
    region: str = "us-east-1",
    access_key: str = DEFAULT_ACCESS_KEY,
    secret_key: str = DEFAULT_SECRET_KEY,
    session_token: str | None = None,
) -> Any:
    """A boto3 client that neither retries nor checks what it sends, so that the server is what refuses."""
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=session_token,
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False, read_timeout=10),
    )


def call(method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """One HTTP call with JSON both ways: the status and the document."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def user(*content: str | dict[str, Any]) -> dict[str, Any]:
    """A user turn."""
    return {"role": "user", "content": [{"text": part} if isinstance(part, str) else part for part in content]}


def assistant(*content: str | dict[str, Any]) -> dict[str, Any]:
    """An assistant turn."""
    return {**user(*content), "role": "assistant"}


def tool_use(tool_id: str, name: str = "bash", **tool_input: Any) -> dict[str, Any]:
    """A tool call."""
    return {"toolUse": {"toolUseId": tool_id, "name": name, "input": tool_input}}


def tool_result(tool_id: str, text: str = "ok", **more: Any) -> dict[str, Any]:
    """What a tool answered."""
    return {"toolResult": {"toolUseId": tool_id, "content": [{"text": text}], **more}}


def tool_spec(name: str, required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """A tool with an object schema."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"toolSpec": {"name": name, "description": f"The tool {name}", "inputSchema": {"json": schema}}}


BASH = tool_spec("bash", ("command",), command={"type": "string"})
WRITE = tool_spec(
    "write", ("path", "content"), path={"type": "string", "description": "absolute path"}, content={"type": "string"}
)
TOOLS = {"tools": [BASH, WRITE]}


def sim(**fields: Any) -> str:
    """A directive to the scripted model."""
    return f"[[sim: {json.dumps(fields)}]]"
