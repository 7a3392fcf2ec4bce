"""A client's own body for an upstream of the same format: every byte is kept but what the upstream or model demands.

What is changed, and why: the gateway's own fields end here; the model is named as the upstream knows it; `max_tokens`
and `thinking` are brought into the limits of the model and of the call's budget, and sampling that the model refuses is
taken out, because the client chose them for the model that it thinks it talks to. All else, also what is not known
here, goes on as it came.
"""

import re
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import ClientCall, Message, Reasoning
from sekisho.core.errors import InvalidRequest
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WriteOptions
from sekisho.dialects.anthropic_messages.calling.request import LONGEST_TOOL_NAME
from sekisho.dialects.anthropic_messages.family import (
    NEW_VERSION,
    SAMPLING_FIELDS,
    VERSION_HEADER,
    allow_betas,
    choose_version,
    read_betas,
)
from sekisho.dialects.anthropic_messages.serving.options import read_reasoning
from sekisho.dialects.common.beginnings import look_through
from sekisho.dialects.common.memo import Memo
from sekisho.dialects.common.names import is_allowed_name
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.reasoning import ReasoningPlan, cut_thinking, plan_reasoning
from sekisho.dialects.common.sealed import has_sealed_signature
from sekisho.dialects.common.wishes import leave_out_gateway_fields

# As the reasoning of an upstream that signs none comes back.
_SIGNATURE: Final = b'"signature"'
_EMPTY_SIGNATURE: Final = re.compile(rb'"signature"\s*:\s*""')
# LiteLLM's clients put these beside Anthropic's `user_id`.
_GATEWAY_METADATA: Final = frozenset({"tags", "session_id", "trace_id"})
_MIN_BUDGET: Final = 1024
# Flags that allow system messages between the turns; they differ by the kind of message.
_SYSTEM_TURNS_BETA: Final = "mid-conversation-"
_CLEARS_THINKING: Final = b"clear_thinking"
EFFORT_BETA: Final = "effort-2025-11-24"


class Passage(Struct, kw_only=True):
    """The body of a call on its way: its members, which `change` and `remove` edit, and what its envelope will say."""

    call: ClientCall
    members: dict[str, Raw]
    version: str
    betas: list[str]
    notes: Omissions

    def change(self, name: str, value: object) -> None:
        """Give a member another value."""
        self.members[name] = Raw(msgspec.json.encode(value))

    def remove(self, name: str) -> None:
        """Take a member out that the client meant for the model, and say so."""
        if _is_said(self.members.pop(name, None)):
            self.notes.drop(name)


class _Tool(Struct):
    name: str = ""
    type: str | None = None


class _Turn(Struct):
    role: str = ""


class _Block(Struct):
    type: str = ""
    signature: str | None = None


class _FullTurn(Struct):
    content: str | list[_Block] = ""


_decode_tools = msgspec.json.Decoder(list[_Tool]).decode
_decode_turns = msgspec.json.Decoder(list[_Turn]).decode
_decode_full_turns = msgspec.json.Decoder(list[_FullTurn]).decode
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_decode = msgspec.json.Decoder().decode


def start_passage(call: ClientCall, facts: ModelFacts, options: WriteOptions) -> Passage | None:
    """The body edited for a model; None when something in it must be translated. Raises InvalidRequest."""
    members = leave_out_gateway_fields(call.members)
    betas = read_betas(call.headers)
    allowed = allow_betas(betas, facts)
    notes = Omissions(drop_params=options.drop_params)
    if len(allowed) < len(betas):
        notes.drop("anthropic_beta")
    version = choose_version(call.headers.get(VERSION_HEADER), facts)
    passage = Passage(call=call, members=members, version=version, betas=allowed, notes=notes)
    for name in ("anthropic_version", "anthropic_beta"):  # a client of Bedrock's form said them in the body
        members.pop(name, None)
    if _needs_translation(call, members, facts, allowed):
        return None
    _remove_gateway_metadata(passage)
    _limit_sampling(passage, facts)
    limit = _limit_output(passage, call, facts)
    if options.ceiling is not None and (limit is None or options.ceiling < limit):
        limit = options.ceiling
        _cut_output(passage, limit)
    if facts.family == "claude":
        _fit_thinking(passage, call, facts, limit)
    return passage


def _is_said(value: Raw | None) -> bool:
    return value is not None and bytes(value) != b"null"


def _needs_translation(call: ClientCall, members: dict[str, Raw], facts: ModelFacts, betas: list[str]) -> bool:
    """Whether anything in it is not taken as it is: tool names, system turns, others' reasoning, the answer's form."""
    try:
        named = _named.find_raw(members["tools"], call.beginning) if _is_said(members.get("tools")) else True
        output = _decode_members(members["output_config"]) if _is_said(members.get("output_config")) else {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False  # the upstream will say what is wrong with it
    if not named:
        return True
    messages = members.get("messages", Raw(b"[]"))
    if call.mentions(_SIGNATURE) and (
        has_sealed_signature(call) or look_through(messages, call.beginning, _has_empty_signature)
    ):
        return True
    may_have_system_turns = facts.betas is None or any(beta.startswith(_SYSTEM_TURNS_BETA) for beta in betas)
    if not may_have_system_turns and look_through(messages, call.beginning, _has_system_turn):
        return True
    wants_json = _is_said(output.get("format")) or _is_said(members.get("output_format"))
    return wants_json and facts.family == "claude" and not facts.json_schema


def _are_named_as_allowed(tools: bytes) -> bool:
    """Whether the client's own tools have names that are taken."""
    own = [tool.name for tool in _decode_tools(tools) if tool.type in (None, "custom")]
    return all(is_allowed_name(name, LONGEST_TOOL_NAME) for name in own)


_named: Final = Memo(_are_named_as_allowed)


def _has_system_turn(messages: bytes) -> bool:
    try:
        return any(turn.role == "system" for turn in _decode_turns(messages))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False  # the upstream will say what is wrong with it


def _has_empty_signature(messages: bytes) -> bool:
    """Whether there is reasoning of a model that signs none."""
    if _EMPTY_SIGNATURE.search(messages) is None:
        return False
    try:
        turns = _decode_full_turns(messages)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False  # the upstream will say what is wrong with it
    blocks = [block for turn in turns if isinstance(turn.content, list) for block in turn.content]
    return any(block.type == "thinking" and block.signature == "" for block in blocks)


def _remove_gateway_metadata(passage: Passage) -> None:
    members = passage.members
    if not _is_said(members.get("metadata")):
        return
    try:
        metadata = _decode_members(members["metadata"])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    kept = {name: value for name, value in metadata.items() if name not in _GATEWAY_METADATA}
    if len(kept) == len(metadata):
        return
    if kept:
        passage.change("metadata", kept)
    else:
        del members["metadata"]


def _limit_sampling(passage: Passage, facts: ModelFacts) -> None:
    if facts.sampling == "none" or passage.version == NEW_VERSION:
        for name in SAMPLING_FIELDS:
            passage.remove(name)
    elif facts.sampling == "one" and _is_said(passage.members.get("temperature")):
        passage.remove("top_p")


def _limit_output(passage: Passage, call: ClientCall, facts: ModelFacts) -> int | None:
    """The client's output limit, brought down to the model's."""
    limit, most = call.max_output_tokens, facts.max_output_tokens
    if limit is not None and most is not None and limit > most:
        limit = most
        passage.change("max_tokens", limit)
    return limit


def _cut_output(passage: Passage, ceiling: int) -> None:
    """Set the gateway's own output limit, and what it leaves of the thinking."""
    passage.change("max_tokens", ceiling)
    try:
        thinking = _decode(passage.members.get("thinking", b"null"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return  # the upstream will say what is wrong with it
    if not isinstance(thinking, dict) or (cut := cut_thinking(thinking, ceiling)) == thinking:
        return
    if cut is not None:
        passage.change("thinking", cut)
        return
    passage.remove("thinking")
    if _CLEARS_THINKING in bytes(passage.members.get("context_management", b"")):
        passage.remove("context_management")  # it is refused where nothing is thought


def _fit_thinking(passage: Passage, call: ClientCall, facts: ModelFacts, limit: int | None) -> None:
    """Bring the thinking and the effort into what the model takes."""
    members = passage.members
    try:
        thinking, output = (_decode(members.get(name, b"null")) for name in ("thinking", "output_config"))
        wish = read_reasoning(thinking, output, [])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidRequest):
        return  # the upstream will say what is wrong with it
    if wish is not None and thinking is not None and not _fits(wish, limit, facts):
        plan = plan_reasoning(wish, limit, facts, _read_turns(call), passage.notes)
        _apply_plan(passage, plan, thinking, output)
    elif wish is not None and wish.effort is not None and not _takes_effort(passage, facts):
        _change_effort(passage, output, None)
        passage.notes.drop("output_config.effort")


def _fits(wish: Reasoning, limit: int | None, facts: ModelFacts) -> bool:
    if wish.mode == "disabled":
        return True
    if wish.mode == "adaptive":
        return facts.thinking in ("adaptive", "both")
    budget = wish.budget_tokens
    in_range = budget is not None and budget >= _MIN_BUDGET and (limit is None or budget < limit)
    return facts.thinking in ("budget", "both") and in_range


def _takes_effort(passage: Passage, facts: ModelFacts) -> bool:
    return facts.thinking in ("adaptive", "both") or EFFORT_BETA in passage.betas


def _read_turns(call: ClientCall) -> list[Message]:
    """The conversation, for the signatures in it; nothing where it has blocks that cannot be read."""
    try:
        return call.chat.messages
    except InvalidRequest:
        return []


def _apply_plan(passage: Passage, plan: ReasoningPlan, thinking: object, output: object) -> None:
    planned = plan.fields.get("thinking")
    if isinstance(planned, dict) and isinstance(thinking, dict):
        display = {name: value for name, value in thinking.items() if name == "display"}
        passage.change("thinking", planned | display)
    else:
        passage.members.pop("thinking", None)
    if plan.max_tokens is not None:
        passage.change("max_tokens", plan.max_tokens)
    _change_effort(passage, output, plan.effort)


def _change_effort(passage: Passage, output: object, effort: str | None) -> None:
    kept = {name: value for name, value in output.items() if name != "effort"} if isinstance(output, dict) else {}
    if effort is not None:
        kept["effort"] = effort
    if kept:
        passage.change("output_config", kept)
    else:
        passage.members.pop("output_config", None)
