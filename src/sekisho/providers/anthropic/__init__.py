"""Anthropic's own API as an upstream, and servers that are compatible with it by base URL."""

from sekisho.providers.anthropic.target import claims, detect_simulation, resolve

name = "anthropic"

__all__ = ["claims", "detect_simulation", "name", "resolve"]
