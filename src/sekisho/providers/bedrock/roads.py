"""By which of Bedrock's APIs a model is called, as the names of dialects.

Converse takes every model, so it is what other formats are translated to. Clients that speak the model's own format are
passed on to an API that has that format too:

- Claude: InvokeModel, for Anthropic clients and for InvokeModel's own. The runtime's newer `/anthropic/v1/messages`
  does the same in plain HTTP, but it is in no AWS SDK, so no test can hold it to a vendor's description. It is taken
  where the model string asks for it: `bedrock/anthropic/<id>`.
- OpenAI's models and xAI's: `/openai/v1/chat/completions` and `/openai/v1/responses` (gpt-oss has no Responses there).
- `bedrock/converse/<id>` and `bedrock/invoke/<id>` keep to the one API that they name, as in LiteLLM. InvokeModel has a
  body of its own for each vendor; here it is written for Claude, so other models behind `invoke/` go by Converse, which
  asks for the same rights and gives the same answers.
"""

from collections.abc import Mapping, Sequence

from sekisho.core.errors import ConfigError
from sekisho.core.wire import Operation

_EMBEDDINGS = {
    "amazon.titan-embed-text": "titan_embeddings",
    "amazon.titan-embed-g1-text": "titan_embeddings",
    "cohere.embed-": "cohere_embeddings",
}
_OPENAI_SHAPED = ("openai.", "xai.")
_CHAT_ONLY = "openai.gpt-oss"
_COUNTED = ("bedrock_invoke", "bedrock_converse")

Dialects = Mapping[Operation, Sequence[str]]


def choose_dialects(core: str | None, road: str | None, where: str) -> Dialects:
    """The dialects for a model id without profile prefix, None for an opaque one.

    Raises ConfigError where the road that is asked for does not lead to the model.
    """
    for start, dialect in _EMBEDDINGS.items():
        if core is not None and core.startswith(start):
            return {"embeddings": (dialect,)}
    claude = core is not None and core.startswith("anthropic.")
    if road == "anthropic":
        if core is not None and not claude:
            raise ConfigError(f"only Claude is served by Bedrock's Anthropic API, not '{core}'", where=where)
        return {"chat": ("anthropic_messages",), "count_tokens": _COUNTED}
    if road == "openai":
        return {"chat": _openai_dialects(core, where)}
    if road == "invoke" and (claude or core is None):
        return {"chat": ("bedrock_invoke",), "count_tokens": _COUNTED}
    if claude:
        chat = ("bedrock_converse",) if road == "converse" else ("bedrock_converse", "bedrock_invoke")
        return {"chat": chat, "count_tokens": _COUNTED}
    if road is None and core is not None and core.startswith(_OPENAI_SHAPED):
        return {"chat": ("bedrock_converse", *_openai_dialects(core, where))}
    return {"chat": ("bedrock_converse",)}


def _openai_dialects(core: str | None, where: str) -> Sequence[str]:
    if core is None or not core.startswith(_OPENAI_SHAPED):
        raise ConfigError(
            "bedrock/openai/ is for models of OpenAI and xAI by their ids; an imported model is called by Converse "
            "(bedrock/converse/<ARN>)",
            where=where,
        )
    return ("openai_chat",) if core.startswith(_CHAT_ONLY) else ("openai_chat", "openai_responses")
