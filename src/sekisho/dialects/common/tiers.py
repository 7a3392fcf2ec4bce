"""How soon an answer is wanted, and at what price: words of several formats for it."""

from typing import Final

USUAL_TIERS: Final = (None, "auto", "default", "standard", "standard_only")
"""Tiers by which a client asks for nothing but the usual, in OpenAI's words and in Anthropic's."""
BEDROCK_TIERS: Final = ("flex", "priority")
"""Tiers that Bedrock has by the same name."""
