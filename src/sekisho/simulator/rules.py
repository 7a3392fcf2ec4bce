"""What the models of Claude's and Bedrock's APIs refuse: the order of turns, tools, thinking, caching, sampling.

The wordings are those of Bedrock as far as they are publicly known, because agents go by them. What only Converse
refuses stands beside it.
"""

import re
from typing import Any

from sekisho.simulator.errors import Refusal, invalid, invalid_for_model
from sekisho.simulator.prompt import Prompt, claude_version, open_thinking, sign_thinking

MAX_CACHE_POINTS = 4
MIN_THINKING_BUDGET = 1024
# The kinds of beta that Claude takes on Bedrock, without their dates; files, skills, the MCP connector, web search and
# fetch, code execution and fast mode are not among them.
_BETAS = re.compile(
    r"(compact|computer-use|context-1m|context-management|dangerous-tool-use|effort|fine-grained-tool-streaming"
    r"|tool-search(-tool)?|tool-examples|advanced-tool-use|mid-conversation-[a-z-]+|interleaved-thinking"
    r"|thinking-[a-z-]+|redact-thinking|claude-code|token-efficient-tools|output-128k|dev-full-thinking"
    r"|structured-outputs|prompt-caching(-scope)?|extended-cache-ttl)"
    r"-\d{4}-?\d{2}-?\d{2}"
)


def check_prompt(prompt: Prompt) -> None:
    """Refuses what the models would refuse. Raises Refusal."""
    _check_start(prompt)
    _check_tools(prompt)
    _check_tool_turns(prompt)
    _check_cache_points(prompt)
    if claude_version(prompt.model) is not None:
        _check_sampling(prompt)
        _check_thinking(prompt)
        _check_reasoning_blocks(prompt)


def check_betas(betas: Any) -> None:
    """Refuses a list of betas in which Bedrock does not know one. Raises Refusal."""
    if betas is None:
        return
    if not isinstance(betas, list) or not all(isinstance(beta, str) and _BETAS.fullmatch(beta) for beta in betas):
        raise invalid_for_model("invalid beta flag")


def turns_of(prompt: Prompt) -> list[tuple[int, dict[str, Any]]]:
    """The turns with their index; a system message stands between turns without being one."""
    return [(i, message) for i, message in enumerate(prompt.messages) if message["role"] != "system"]


def _check_start(prompt: Prompt) -> None:
    turns = turns_of(prompt)
    if not turns or turns[0][1]["role"] != "user":
        raise invalid(
            "A conversation must start with a user message. Try again with a conversation that starts with a user"
            " message."
        )


def _check_tools(prompt: Prompt) -> None:
    names = [spec["name"] for spec in prompt.specs]
    if len(names) != len(set(names)):
        raise invalid_for_model("tools: Tool names must be unique.")
    if prompt.choice == "tool" and prompt.choice_name not in names:
        raise invalid_for_model(f"Tool '{prompt.choice_name}' not found in provided tools")


def _ids(message: dict[str, Any] | None, kind: str) -> list[str]:
    return [block[kind]["toolUseId"] for block in message["content"] if block.get(kind)] if message else []


def _check_tool_turns(prompt: Prompt) -> None:
    """Every tool call is answered in the turn after it, and nothing else is."""
    turns = turns_of(prompt)
    following = [*turns[1:], (len(prompt.messages), None)]
    asked: set[str] = set()
    if _ids(turns[0][1], "toolResult"):
        raise _too_many_results(turns[0][0])
    for (index, message), (next_index, after) in zip(turns, following, strict=True):
        uses = _ids(message, "toolUse")
        if uses and message["role"] == "user":
            raise invalid(f"messages.{index}: toolUse blocks can only be in assistant messages.")
        if asked & set(uses) or len(uses) != len(set(uses)):
            raise invalid_for_model("messages: `tool_use` ids must be unique")
        asked |= set(uses)
        results = _ids(after, "toolResult")
        missing = [use for use in uses if use not in results]
        if missing:
            place = f"messages.{next_index}.content"
            raise invalid(f"Expected toolResult blocks at {place} for the following Ids: {', '.join(missing)}")
        if set(results) - set(uses) or len(results) > len(uses):
            raise _too_many_results(next_index)


def _too_many_results(index: int) -> Refusal:
    return invalid(
        f"The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of previous"
        " turn."
    )


def _check_cache_points(prompt: Prompt) -> None:
    blocks = [*prompt.tools, *prompt.system, *(block for m in prompt.messages for block in m["content"])]
    points = [block["cachePoint"] for block in blocks if block.get("cachePoint")]
    if points and not re.search(r"claude|amazon\.nova|inference-profile/", prompt.model):
        raise Refusal(
            "AccessDeniedException",
            "You invoked an unsupported model or your request did not allow prompt caching. See the documentation for"
            " more information.",
        )
    if len(points) > MAX_CACHE_POINTS:
        raise invalid_for_model(
            f"A maximum of {MAX_CACHE_POINTS} blocks with cache_control may be provided. Found {len(points)}."
        )
    lifetimes = [point.get("ttl") or "5m" for point in points]
    if "5m" in lifetimes and "1h" in lifetimes[lifetimes.index("5m") :]:
        raise invalid_for_model(
            "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are"
            " processed in the following order: `tools`, `system`, `messages`."
        )


def _check_sampling(prompt: Prompt) -> None:
    version = claude_version(prompt.model) or (0, 0)
    given = {"temperature": prompt.temperature, "top_p": prompt.top_p, "top_k": prompt.extra.get("top_k")}
    names = [name for name, value in given.items() if value is not None]
    if names and version >= (4, 7):
        raise invalid_for_model(f"`{names[0]}` is deprecated for this model.")
    if {"temperature", "top_p"} <= set(names) and version >= (4, 5):
        raise invalid_for_model(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        )


def _check_thinking(prompt: Prompt) -> None:
    wish = prompt.thinking
    if wish.mode == "off":
        return
    if wish.mode == "enabled":
        if not isinstance(wish.budget, int) or wish.budget < MIN_THINKING_BUDGET:
            raise invalid_for_model(
                f"thinking.enabled.budget_tokens: Input should be greater than or equal to {MIN_THINKING_BUDGET}"
            )
        if prompt.max_tokens is not None and prompt.max_tokens <= wish.budget:
            raise invalid_for_model("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if prompt.temperature not in (None, 1):
        raise invalid_for_model("`temperature` may only be set to 1 when thinking is enabled.")
    if prompt.top_p is not None and prompt.top_p < 0.95:
        raise invalid_for_model("`top_p` must be greater than or equal to 0.95 when thinking is enabled.")
    if prompt.extra.get("top_k") is not None:
        raise invalid_for_model("`top_k` must be unset when thinking is enabled.")
    if prompt.choice in ("any", "tool"):
        raise invalid_for_model("Thinking may not be enabled when tool_choice forces tool use.")


def _check_reasoning_blocks(prompt: Prompt) -> None:
    for index, message in enumerate(prompt.messages):
        for at, block in enumerate(message["content"]):
            content = block.get("reasoningContent") or {}
            path = f"messages.{index}.content.{at}"
            if content.get("redactedContent") is not None and open_thinking(content["redactedContent"]) is None:
                raise invalid_for_model(f"{path}: Invalid `data` in `redacted_thinking` block")
            reasoning = content.get("reasoningText")
            if reasoning is None:
                continue
            if not reasoning.get("signature"):
                raise invalid_for_model(f"{path}.thinking.signature: Field required")
            if reasoning["signature"] != sign_thinking(reasoning["text"]):
                raise invalid_for_model(f"{path}: Invalid `signature` in `thinking` block")
    if prompt.thinking.mode == "enabled":
        _check_open_tool_turns(prompt)


def _check_open_tool_turns(prompt: Prompt) -> None:
    """The turns of a running tool loop must begin with their reasoning. Adaptive thinking does not ask for it."""
    for index, message in reversed(turns_of(prompt)):
        if message["role"] == "user" and not _ids(message, "toolResult"):
            return
        first: dict[str, Any] = next((block for block in message["content"] if not block.get("cachePoint")), {})
        if message["role"] == "assistant" and not first.get("reasoningContent"):
            found = "tool_use" if first.get("toolUse") else "text"
            raise invalid_for_model(
                f"messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`."
                " When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding"
                " the lastmost set of `tool_use` and `tool_result` blocks). To avoid this requirement, disable"
                " `thinking`."
            )
