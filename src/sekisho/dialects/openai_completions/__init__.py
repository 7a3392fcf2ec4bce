"""OpenAI's legacy Completions, which editors complete code with: from both sides."""

from typing import Final

from sekisho.core.wire import ChatClient, UpstreamDialect
from sekisho.dialects.openai_completions.client import OpenAICompletions
from sekisho.dialects.openai_completions.upstream import OpenAICompletionsUpstream

name: Final = "openai_completions"
client: Final[ChatClient] = OpenAICompletions()
upstream: Final[UpstreamDialect] = OpenAICompletionsUpstream()
