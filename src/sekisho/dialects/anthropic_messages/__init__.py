"""Anthropic's Messages API, from both sides."""

from typing import Final

from sekisho.core.wire import ChatClient, UpstreamDialect
from sekisho.dialects.anthropic_messages.calling.dialect import AnthropicUpstream
from sekisho.dialects.anthropic_messages.serving.dialect import AnthropicMessages

name: Final = "anthropic_messages"
client: Final[ChatClient] = AnthropicMessages()
upstream: Final[UpstreamDialect] = AnthropicUpstream()
