"""Chat Completions as SageMaker's containers speak them, from the client's side."""

from typing import Final

from sekisho.core.wire import UpstreamDialect
from sekisho.dialects.sagemaker_chat.upstream import SageMakerChat

name: Final = "sagemaker_chat"
upstream: Final[UpstreamDialect] = SageMakerChat()
