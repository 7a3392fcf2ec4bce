"""OpenAI as an upstream, Azure's OpenAI service, and every server that is compatible with OpenAI's API."""

from sekisho.providers.openai.servers import claims
from sekisho.providers.openai.target import detect_simulation, resolve

name = "openai"

__all__ = ["claims", "detect_simulation", "name", "resolve"]
