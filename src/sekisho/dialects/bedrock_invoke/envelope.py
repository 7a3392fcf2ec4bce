"""What Bedrock's InvokeModel has around Anthropic's format: headers, versions in the body, frames around events.

Sources: the service model of botocore (bedrock-runtime) and the Bedrock user guide, "Anthropic Claude Messages API".
"""

import base64
from typing import Final

from sekisho.dialects.anthropic_messages.family import NEW_VERSION, OLD_VERSION
from sekisho.dialects.common.eventstream import encode_frame

_BEDROCK_VERSION: Final = "bedrock-2023-05-31"

TIER_HEADER: Final = "x-amzn-bedrock-service-tier"
METADATA_HEADER: Final = "x-amzn-bedrock-request-metadata"
GUARDRAIL_HEADER: Final = "x-amzn-bedrock-guardrailidentifier"
REQUEST_HEADERS: Final = (
    TIER_HEADER,
    METADATA_HEADER,
    GUARDRAIL_HEADER,
    "x-amzn-bedrock-guardrailversion",
    "x-amzn-bedrock-trace",
    "x-amzn-bedrock-performanceconfig-latency",
)
"""What clients say in headers beside the body."""

_FRAME_HEADERS: Final = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}


def to_bedrock_version(version: str) -> str:
    """What stands in the body for a version of Anthropic's API: Bedrock has its own name for the old one."""
    return _BEDROCK_VERSION if version == OLD_VERSION else NEW_VERSION


def from_bedrock_version(version: str) -> str:
    """The version of Anthropic's API that a body names."""
    return OLD_VERSION if version == _BEDROCK_VERSION else version


def encode_chunk(event: bytes) -> bytes:
    """The frame around one event."""
    return encode_frame(_FRAME_HEADERS, b'{"bytes":"' + base64.b64encode(event) + b'"}')
