"""What the AWS services' APIs share: errors, and the document of a JSON body."""

from typing import Any

import msgspec

from sekisho.simulator.errors import Refusal

_ERROR_TYPE_SUFFIX = ":http://internal.amazon.com/coral/com.amazon.bedrock/"


def write_aws_error(error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
    """A refusal as Bedrock words it; the type is in a header."""
    headers = {**error.headers, "x-amzn-errortype": error.kind + _ERROR_TYPE_SUFFIX}
    return error.status, headers, {"message": error.message}


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises Refusal."""
    try:
        document: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"The request body is not a JSON object: {error}"
        raise Refusal("SerializationException", message, 400) from None
    return document
