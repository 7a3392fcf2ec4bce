"""OpenAI's list of models, and what follows from a model's name."""

import re
from typing import Any

from sekisho.simulator.errors import Refusal
from sekisho.simulator.wires.base import Directory
from sekisho.simulator.wires.openai.errors import write_openai_error

_OWN = re.compile(r"(([a-z-]+\.)?openai[./])?(gpt-\d|chatgpt|o\d)")
_REASONING = re.compile(r"(([a-z-]+\.)?openai[./])?(gpt-([5-9]|\d\d)|o\d)")
_LISTED = ("gpt-4o", "gpt-5.5", "gpt-6-sol", "qwen3-coder", "text-embedding-3-small", "text-embedding-3-large")


def is_own(model: str) -> bool:
    """Whether a model is one of OpenAI's hosted ones, which do not show their reasoning in chats."""
    return _OWN.match(model) is not None


def is_reasoning(model: str) -> bool:
    """Whether a model is one of OpenAI's that reason, which take some parameters only by new names."""
    return _REASONING.match(model) is not None


class ModelDirectory(Directory):
    """`GET /v1/models`."""

    def list_models(self) -> dict[str, Any]:
        """A few models; any other name is served, too."""
        entries = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "system"} for name in _LISTED]
        return {"object": "list", "data": entries}

    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """OpenAI's shape."""
        return write_openai_error(error)
