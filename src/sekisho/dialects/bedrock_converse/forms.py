"""Words and values of Converse that both of its sides need."""

from collections.abc import Iterable
from typing import Final

from sekisho.core.model import ModelFacts

Json = dict[str, object]
"""A JSON object that is being written."""

COUNT_ENDING: Final = "/count-tokens"
"""How the paths of CountTokens end."""

ADDITIONAL_FIELDS: Final = "additional_model_request_fields"
"""The name in `ChatRequest.extras` of what a client passes through to the model, as LiteLLM calls it."""

DOCUMENT_FORMATS: Final = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
"""Converse's word for each type of file, by media type."""

# fmt: off
_ONLY_INVOKE: Final = (
    "compact-", "context-management-", "dangerous-tool-use-", "interleaved-thinking-", "mid-conversation-",
    "tool-search-tool-",
)
# fmt: on
"""How those beta flags begin that InvokeModel takes and Converse does not. Sources: as in the Bedrock model table."""


def allow_betas(asked: Iterable[str], facts: ModelFacts) -> list[str]:
    """Those of the beta flags that Converse takes for a model: `facts.betas` has what InvokeModel takes."""
    if facts.betas is None:
        return list(asked)
    return [beta for beta in asked if beta in facts.betas and not beta.startswith(_ONLY_INVOKE)]
