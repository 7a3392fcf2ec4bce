"""Amazon Titan's text embeddings on Bedrock, by InvokeModel: one text per request."""

from typing import Final

from sekisho.core.wire import EmbeddingDialect
from sekisho.dialects.titan_embeddings.upstream import TitanEmbeddings

name: Final = "titan_embeddings"
upstream: Final[EmbeddingDialect] = TitanEmbeddings()
