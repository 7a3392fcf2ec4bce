"""Bedrock's InvokeModel with a body of Anthropic's Messages format, from both sides."""

from typing import Final

from sekisho.core.wire import ChatClient, UpstreamDialect
from sekisho.dialects.bedrock_invoke.client import InvokeClient
from sekisho.dialects.bedrock_invoke.upstream import InvokeUpstream

name: Final = "bedrock_invoke"
client: Final[ChatClient] = InvokeClient()
upstream: Final[UpstreamDialect] = InvokeUpstream()
