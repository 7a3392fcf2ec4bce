"""How many tokens a call has, always the same for the same call, and which of them the prompt cache holds.

The rule: a block has one token for every four bytes (UTF-8) of its content, rounded up. The content of a text is the
text; of a tool call its name and the compact JSON of its input; of a tool result the blocks inside it; of reasoning its
text; of a tool its specification in compact JSON. An image or another medium counts 1,500 tokens. Nothing is added for
roles and framing.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from sekisho.core.clock import Clock
from sekisho.core.usage import Usage
from sekisho.simulator.prompt import Answer, Block, Prompt, RedactedBlock, TextBlock, ThinkingBlock, ToolBlock

BYTES_PER_TOKEN = 4
MEDIUM_TOKENS = 1500
_LIFETIME_SECONDS = {"5m": 300, "1h": 3600}
_MAX_ENTRIES = 10_000
_NOTHING: tuple[str, Any] = ("text", "")


def tokens_of_bytes(size: int) -> int:
    """The tokens of a content of `size` bytes."""
    return -(-size // BYTES_PER_TOKEN)


def count_text(text: str) -> int:
    """The tokens of a text."""
    return tokens_of_bytes(len(text.encode()))


def count_block(block: dict[str, Any]) -> int:
    """The tokens of a block of a request."""
    kind, content = next((item for item in block.items() if item[1] is not None), _NOTHING)
    if kind == "text" and isinstance(content, str):
        return count_text(content)
    if kind == "toolUse":
        return tokens_of_bytes(len(content["name"].encode()) + len(msgspec.json.encode(content["input"])))
    if kind == "toolResult":
        return sum(count_block(part) for part in content["content"])
    if kind == "reasoningContent":
        return count_text((content.get("reasoningText") or {}).get("text") or content.get("redactedContent") or "")
    if kind in ("image", "document", "video", "audio"):
        return MEDIUM_TOKENS
    return 0 if kind == "cachePoint" else tokens_of_bytes(len(msgspec.json.encode(content)))


def count_answer_block(block: Block) -> int:
    """The tokens of a block of an answer."""
    if isinstance(block, ToolBlock):
        return count_text(block.name + block.raw)
    if isinstance(block, RedactedBlock):
        return count_text(block.data)
    return count_text(block.text)


def count_output(answer: Answer) -> Usage:
    """The output side of an answer's usage."""
    hidden = (ThinkingBlock, RedactedBlock)
    reasoning = sum(count_answer_block(block) for block in answer.blocks if isinstance(block, hidden))
    return Usage(output=sum(count_answer_block(block) for block in answer.blocks), reasoning=reasoning)


def count_prompt(prompt: Prompt) -> int:
    """All tokens of a prompt, cached or not."""
    return sum(count_block(block) for _, block in _elements(prompt))


def truncate(answer: Answer, max_tokens: int | None) -> Answer:
    """The answer as far as `max_tokens` let the model go."""
    if max_tokens is None or count_output(answer).output <= max_tokens:
        return answer
    blocks: list[Block] = []
    left = max_tokens
    for block in answer.blocks:
        tokens = count_answer_block(block)
        if tokens > left:
            if left > 0 and not isinstance(block, RedactedBlock):
                blocks.append(_cut(block, left * BYTES_PER_TOKEN))
            break
        blocks.append(block)
        left -= tokens
    return Answer(blocks=blocks, stop_reason="max_tokens")


def _cut(block: TextBlock | ThinkingBlock | ToolBlock, size: int) -> Block:
    def head(text: str, limit: int) -> str:
        return text.encode()[: max(limit, 0)].decode("utf-8", "ignore")

    if isinstance(block, TextBlock):
        return TextBlock(head(block.text, size))
    if isinstance(block, ThinkingBlock):
        return ThinkingBlock(head(block.text, size), None)
    return ToolBlock(block.id, block.name, head(block.raw, size - len(block.name.encode())))


def _elements(prompt: Prompt) -> Iterator[tuple[str, dict[str, Any]]]:
    """Everything of a prompt in the order in which the cache sees it."""
    for block in prompt.tools:
        yield "tools", block
    for block in prompt.system:
        yield "system", block
    for message in prompt.messages:
        for block in message["content"]:
            yield message["role"], block


class _Prefix(Struct, frozen=True):
    digest: str
    tokens: int
    lifetime: str | None
    """Set when a cache point stands here."""


def _prefixes(prompt: Prompt) -> list[_Prefix]:
    digest, tokens = hashlib.sha256(), 0
    prefixes: list[_Prefix] = []
    for role, block in _elements(prompt):
        point = block.get("cachePoint")
        if point is None:
            tokens += count_block(block)
            digest.update(msgspec.json.encode([role, block]))
            prefixes.append(_Prefix(digest.hexdigest(), tokens, None))
        else:
            prefixes.append(_Prefix(digest.hexdigest(), tokens, point.get("ttl") or "5m"))
    return prefixes


class PromptCache:
    """The prefixes that cache points have left behind, for each scope (account, region, model).

    A prefix is read when some earlier call marked it, even if this call marks a later place: Claude looks back. A read
    renews it. Prefixes under `minimum` tokens are never cached.
    """

    def __init__(self, clock: Clock, minimum: int) -> None:
        self._clock = clock
        self._minimum = minimum
        self._entries: dict[tuple[str, str, str, str], tuple[float, str]] = {}

    def account(self, scope: tuple[str, str, str], prompt: Prompt) -> Usage:
        """The input side of a call's usage; remembers the prefixes it marks."""
        now = self._clock.monotonic()
        prefixes = _prefixes(prompt)
        if prompt.cached_by_itself:
            return self._account_unmarked(scope, prefixes, now)
        total = prefixes[-1].tokens if prefixes else 0
        marks = [prefix for prefix in prefixes if prefix.lifetime and prefix.tokens >= self._minimum]
        if not marks:
            return Usage(input=total)
        reach = marks[-1].tokens
        covered = read = self._read(scope, [prefix for prefix in prefixes if prefix.tokens <= reach], now)
        written = {"5m": 0, "1h": 0}
        for mark in marks:
            lifetime = mark.lifetime or "5m"
            written[lifetime] += max(mark.tokens - covered, 0)
            covered = max(covered, mark.tokens)
            self._entries[(*scope, mark.digest)] = (now + _LIFETIME_SECONDS[lifetime], lifetime)
        self._prune(now)
        return Usage(input=total - covered, cache_read=read, cache_write_5m=written["5m"], cache_write_1h=written["1h"])

    def _account_unmarked(self, scope: tuple[str, str, str], prefixes: list[_Prefix], now: float) -> Usage:
        """As OpenAI does: every prefix of enough tokens is remembered, reading is told and writing costs nothing."""
        long = [prefix for prefix in prefixes if prefix.tokens >= self._minimum]
        read = self._read(scope, long, now)
        for prefix in long:
            self._entries[(*scope, prefix.digest)] = (now + _LIFETIME_SECONDS["5m"], "5m")
        self._prune(now)
        return Usage(input=(prefixes[-1].tokens if prefixes else 0) - read, cache_read=read)

    def _read(self, scope: tuple[str, str, str], prefixes: list[_Prefix], now: float) -> int:
        """The tokens of the longest prefix that is still cached, which is renewed; 0 without one."""
        for prefix in reversed(prefixes):
            expires, lifetime = self._entries.get((*scope, prefix.digest), (0.0, "5m"))
            if expires > now:
                self._entries[(*scope, prefix.digest)] = (now + _LIFETIME_SECONDS[lifetime], lifetime)
                return prefix.tokens
        return 0

    def _prune(self, now: float) -> None:
        if len(self._entries) > _MAX_ENTRIES:
            self._entries = {key: entry for key, entry in self._entries.items() if entry[0] > now}
