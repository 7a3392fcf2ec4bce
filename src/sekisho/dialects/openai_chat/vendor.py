"""Which of the many servers that speak Chat Completions is asked: OpenAI itself is stricter than those that copied it.

A model is OpenAI's own if its facts say so (family `gpt`) or if its name is one of OpenAI's (`gpt-5.1`, `o3-mini`,
`openai.gpt-6-sol`; not `gpt-oss`, which anybody may serve). For the others it is assumed that they know the fields of
2023 (`max_tokens`, `seed`, the penalties, `logit_bias`), `top_k`, which vLLM, SGLang and Ollama take beside them, and
reasoning as `reasoning_content` in assistant messages, which DeepSeek demands back.
"""

import re
from functools import lru_cache
from typing import Final

from sekisho.core.model import ModelFacts

_OWN: Final = re.compile(r"(?:^|[/.:])(?:gpt-\d|chatgpt-|codex-|o\d(?:-|$))")
# These take `max_tokens`, and on Azure nothing else; all that came later demand `max_completion_tokens`.
_OLD: Final = re.compile(r"(?:^|[/.:])gpt-[34](?!\d)")
_O_SERIES: Final = re.compile(r"(?:^|[/.:])o\d(?:-|$)")
_FIRST_FIVE: Final = re.compile(r"(?:^|[/.:])gpt-5(?:-|$)")
_LATER_FIVE: Final = re.compile(r"(?:^|[/.:])gpt-5\.")

MOST_STOPS: Final = 4
"""How many stop sequences OpenAI takes; the others have no limit worth knowing."""


def is_openai(model: str, facts: ModelFacts) -> bool:
    """Whether a model is one of OpenAI's own; `model` is the upstream's name of it."""
    return facts.family == "gpt" or _is_own_name(model)


@lru_cache(maxsize=1024)
def _is_own_name(model: str) -> bool:
    return _OWN.search(model) is not None


def takes_new_limit(model: str, facts: ModelFacts) -> bool:
    """Whether the output limit goes by the name `max_completion_tokens`, which includes reasoning."""
    return is_openai(model, facts) and not _is_old_name(model)


@lru_cache(maxsize=1024)
def _is_old_name(model: str) -> bool:
    return _OLD.search(model) is not None


def takes_effort(model: str, facts: ModelFacts) -> bool:
    """Whether a model can be told how much to reason: by its facts, and by its name where there are none."""
    return facts.thinking == "effort_field" or (facts.family == "unknown" and takes_new_limit(model, facts))


def nearest_effort(effort: str, model: str, facts: ModelFacts) -> str:
    """The word for an amount of reasoning that comes nearest among those a model knows.

    OpenAI's documentation ("Reasoning models") has them: the o series knows low, medium and high, and so do the models
    of others; GPT-5 also minimal, its later versions none and xhigh in its place, and those after them max.
    """
    if not is_openai(model, facts) or calls_in_sequence(model):
        return {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}.get(effort, effort)
    if _FIRST_FIVE.search(model) is not None:
        return {"none": "minimal", "xhigh": "high", "max": "high"}.get(effort, effort)
    if _LATER_FIVE.search(model) is not None and effort == "max":
        return "xhigh"
    return "low" if effort == "minimal" else effort


def calls_in_sequence(model: str) -> bool:
    """Whether a model calls one tool at a time and refuses to be told so (OpenAI's o series)."""
    return _O_SERIES.search(model) is not None
