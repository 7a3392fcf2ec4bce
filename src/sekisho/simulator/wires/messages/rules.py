"""What only the Messages format refuses: fields, versions, betas, empty content, what Claude on Bedrock has not."""

import re
from typing import Any

from sekisho.simulator.errors import invalid, invalid_for_model
from sekisho.simulator.prompt import Prompt, claude_version
from sekisho.simulator.rules import check_betas, check_prompt
from sekisho.simulator.wires.base import names

NEWEST_VERSION = "2026-10-21"
VERSIONS = ("2023-06-01", NEWEST_VERSION)
BEDROCK_VERSIONS = ("bedrock-2023-05-31", NEWEST_VERSION)
KNOWN_FIELDS = names("""
    billing_policy cache_control compaction container context_management diagnostics fallback_credit_token fallbacks
    inference_geo max_tokens mcp_servers messages metadata model output_config output_format service_tier speed
    stop_sequences stream system temperature thinking thread tool_choice tools top_k top_p user_profile_id
    workspace_id
""")
"""The fields of the Messages API, as the SDK has them. Fields that begin with `x_` are let pass beside them: they stand
for what is not known yet."""
_ABSENT_ON_BEDROCK = names("""
    billing_policy container diagnostics fallback_credit_token fallbacks inference_geo mcp_servers model speed stream
    thread user_profile_id workspace_id
""")
_NOT_COUNTED = names("""
    billing_policy container diagnostics fallback_credit_token fallbacks inference_geo max_tokens metadata
    service_tier stop_sequences stream temperature top_k top_p
""")
_ENVELOPE = frozenset(("anthropic_version", "anthropic_beta"))
_NEWEST_SINCE = (4, 7)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TOOLS_ON_BEDROCK = re.compile(r"(custom|(bash|text_editor|computer|memory|tool_search_tool_[a-z0-9]+)_\d{8})")
# Fields of tools that Bedrock takes with a beta only, and the beginning of that beta.
_BETA_OF_TOOL_FIELD = {
    "defer_loading": ("tool-search", "advanced-tool-use"),
    "eager_input_streaming": ("fine-grained-tool-streaming",),
}


def check_messages(prompt: Prompt, version: str) -> None:
    """Refuses what the API would refuse in a prompt that came in its format. Raises Refusal."""
    _check_content(prompt)
    _check_tool_names(prompt)
    if version == NEWEST_VERSION:
        _check_newest(prompt)
    check_prompt(prompt)


def check_fields(fields: dict[str, Any]) -> None:
    """Refuses top-level fields that Anthropic's API does not know. Raises Refusal."""
    _check_names(fields, KNOWN_FIELDS)


def check_counted_fields(fields: dict[str, Any]) -> None:
    """Refuses top-level fields that a question for the number of tokens has not. Raises Refusal."""
    _check_names(fields, KNOWN_FIELDS - _NOT_COUNTED)


def check_bedrock_fields(fields: dict[str, Any], *, in_path: bool) -> None:
    """Refuses what Claude on Bedrock does not take. `in_path` is whether model and streaming are said by the path."""
    native = frozenset(("model", "stream"))
    _check_names(fields, KNOWN_FIELDS - _ABSENT_ON_BEDROCK | (_ENVELOPE if in_path else native))
    betas = fields.get("anthropic_beta")
    check_betas(betas)
    if "context_management" in fields and not _has_beta(betas, ("context-management", "compact")):
        raise invalid_for_model("context_management: Extra inputs are not permitted")


def check_bedrock_tools(fields: dict[str, Any]) -> None:
    """Refuses tools that run at Anthropic, and fields of tools whose beta was not asked for. Raises Refusal."""
    for index, tool in enumerate(fields.get("tools") or ()):
        kind = tool.get("type") or "custom"
        if not _TOOLS_ON_BEDROCK.fullmatch(kind):
            raise invalid_for_model(
                f"tools.{index}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
            )
        for name, betas in _BETA_OF_TOOL_FIELD.items():
            if name in tool and not _has_beta(fields.get("anthropic_beta"), betas):
                raise invalid_for_model(f"tools.{index}.custom.{name}: Extra inputs are not permitted")


def check_bedrock_sources(prompt: Prompt) -> None:
    """Refuses images and documents that Bedrock would have to fetch. Raises Refusal."""
    for index, message in enumerate(prompt.messages):
        for block in message["content"]:
            inner = (block.get("toolResult") or {}).get("content") or [block]
            for kind in ("image", "document"):
                sources = [part[kind]["source"].get("type") for part in inner if part.get(kind)]
                if {"url", "file"} & set(sources):
                    raise invalid_for_model(f"messages.{index}.content: {kind} sources of type url are not supported")


def check_bedrock_version(version: str, model: str) -> None:
    """Refuses a version that the model does not speak on Bedrock. Raises Refusal."""
    if version == NEWEST_VERSION and (claude_version(model) or (0, 0)) < _NEWEST_SINCE:
        raise invalid(f'anthropic_version: "{version}" is not supported by this model')


def _has_beta(betas: Any, beginnings: tuple[str, ...]) -> bool:
    return any(beta.startswith(beginnings) for beta in betas or ())


def _check_names(fields: dict[str, Any], known: frozenset[str]) -> None:
    for name in fields:
        if name not in known and not name.startswith("x_"):
            raise invalid_for_model(f"{name}: Extra inputs are not permitted")


def _check_content(prompt: Prompt) -> None:
    last = len(prompt.messages) - 1
    for index, message in enumerate(prompt.messages):
        content = message["content"]
        if not content and not (index == last and message["role"] == "assistant"):
            raise invalid_for_model(
                f"messages.{index}: all messages must have non-empty content except for the optional final assistant"
                " message"
            )
        if any(block.get("text") == "" for block in content):
            raise invalid_for_model("messages: text content blocks must be non-empty")


def _check_tool_names(prompt: Prompt) -> None:
    for index, spec in enumerate(prompt.specs):
        if not _TOOL_NAME.fullmatch(spec["name"]):
            raise invalid_for_model(
                f"tools.{index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            )


def _check_newest(prompt: Prompt) -> None:
    """What version 2026-10-21 has taken out of the API."""
    for name in ("temperature", "top_p", "top_k"):
        if prompt.raw.get(name) is not None:
            raise invalid_for_model(f"{name}: Extra inputs are not permitted")
    for index, message in enumerate(prompt.messages):
        if message["role"] == "assistant" and any(block.get("document") for block in message["content"]):
            raise invalid_for_model(f"messages.{index}: document blocks are not permitted in assistant turns")
