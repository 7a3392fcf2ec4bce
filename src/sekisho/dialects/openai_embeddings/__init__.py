"""OpenAI's embeddings, from both sides."""

from typing import Final

from sekisho.core.wire import EmbeddingClient, EmbeddingDialect
from sekisho.dialects.openai_embeddings.client import OpenAIEmbeddings
from sekisho.dialects.openai_embeddings.upstream import OpenAIEmbeddingsUpstream

name: Final = "openai_embeddings"
client: Final[EmbeddingClient] = OpenAIEmbeddings()
upstream: Final[EmbeddingDialect] = OpenAIEmbeddingsUpstream()
