"""Cohere's embeddings on Bedrock, by InvokeModel."""

from typing import Final

from sekisho.core.wire import EmbeddingDialect
from sekisho.dialects.cohere_embeddings.upstream import CohereEmbeddings

name: Final = "cohere_embeddings"
upstream: Final[EmbeddingDialect] = CohereEmbeddings()
