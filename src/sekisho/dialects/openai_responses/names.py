"""Names that several modules of this dialect share."""

from typing import Final

FAMILY: Final = "openai_responses"
COMPACT: Final = "/compact"
"""How the paths end on which a conversation is compacted."""
COUNT: Final = "/input_tokens"
"""How the paths end on which tokens are counted."""
TRIGGER: Final = "compaction_trigger"
"""The type of the item by which Codex asks for a compaction inside an ordinary call."""
ADDED_TOOLS: Final = "additional_tools"
"""The type of the items with which Codex adds tools in the course of a conversation."""

Json = dict[str, object]
"""A JSON object that is being read or written."""
