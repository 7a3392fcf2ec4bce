"""OpenAI Chat Completions, from both sides."""

from typing import Final

from sekisho.core.wire import ChatClient, UpstreamDialect
from sekisho.dialects.openai_chat.client import OpenAIChat
from sekisho.dialects.openai_chat.upstream import OpenAIChatUpstream

name: Final = "openai_chat"
client: Final[ChatClient] = OpenAIChat()
upstream: Final[UpstreamDialect] = OpenAIChatUpstream()
