"""By which of OpenAI's APIs a model is called, as the names of dialects.

Responses is preferred only where nothing else leads to the model: chat completions lose nothing that the neutral form
has, and every compatible server has them. A Responses client is passed on to Responses where the server is known to
have it (OpenAI, Azure), or where the configuration says so: `openai/responses/NAME`, or `mode: responses`.
"""

import re
from collections.abc import Mapping, Sequence

from sekisho.core.errors import ConfigError
from sekisho.core.wire import Operation
from sekisho.providers.openai.servers import ServedModel

Dialects = Mapping[Operation, Sequence[str]]

_RESPONSES_ONLY = re.compile(r"o\d-pro.*|gpt-[\d.]+-pro.*|.*-deep-research.*|.*codex.*|computer-use-.*", re.ASCII)
_COMPLETIONS_ONLY = re.compile(r"gpt-3\.5-turbo-instruct.*|(davinci|babbage)-002", re.ASCII)
_EMBEDDINGS_ONLY = re.compile(r"text-embedding-.*", re.ASCII)
_MODES = ("chat", "completion", "embedding", "responses")


def choose_dialects(model: ServedModel, known: str, mode: object, *, responses: bool, where: str) -> Dialects:
    """The dialects for a model.

    Args:
        model: the model string.
        known: the name by which OpenAI's own models are told apart.
        mode: `model_info.mode`.
        responses: whether the server is known to have the Responses API.
        where: the deployment's place in the configuration.

    Raises:
        ConfigError: It is a model for something else, such as pictures.
    """
    if mode is not None and mode not in _MODES:
        raise ConfigError(f"model_info.mode {mode!r} is not served here (there are: {', '.join(_MODES)})", where=where)
    if model.responses or mode == "responses":
        return {"chat": ("openai_responses",)}
    if model.completions or mode == "completion":
        return {"chat": ("openai_completions",)}
    if mode == "embedding":
        return {"embeddings": ("openai_embeddings",)}
    if model.server.vendor:
        return _vendor_dialects(known, responses=responses)
    chat = ("openai_chat", "openai_completions") if model.server.completions else ("openai_chat",)
    return {"chat": chat} if mode == "chat" else {"chat": chat, "embeddings": ("openai_embeddings",)}


def _vendor_dialects(known: str, *, responses: bool) -> Dialects:
    """The dialects of OpenAI's own models, by their names."""
    if _EMBEDDINGS_ONLY.fullmatch(known):
        return {"embeddings": ("openai_embeddings",)}
    if _COMPLETIONS_ONLY.fullmatch(known):
        return {"chat": ("openai_completions",)}
    if not responses:
        return {"chat": ("openai_chat",)}
    return {"chat": ("openai_responses",) if _RESPONSES_ONLY.fullmatch(known) else ("openai_chat", "openai_responses")}
