"""Going on from an answer that the gateway kept: what is kept of a call, and how it is put into a later one.

Kept are the items of the conversation and the answer, not the instructions, which each call states anew. They are put
in front of the later call's own items, so that every upstream, also one of this format, is sent the whole conversation.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import ClientCall
from sekisho.core.errors import InvalidRequest
from sekisho.dialects.common.members import write_members
from sekisho.dialects.openai_responses.names import FAMILY, TRIGGER
from sekisho.dialects.openai_responses.serving.envelope import bind_body, is_compacting, read_items

_REFERENCE: Final = "item_reference"


class _Kept(Struct):
    """`input` are the items of the conversation, oldest first; `response` is the answer to them."""

    input: list[Raw]
    response: Raw


class _Answer(Struct):
    id: str
    status: str
    output: list[Raw]


class _Item(Struct):
    type: object = None
    id: object = None
    role: object = None


_encode = msgspec.json.Encoder().encode
_decode_kept = msgspec.json.Decoder(_Kept).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decode_input = msgspec.json.Decoder(str | list[Raw] | None).decode


def builds_on(call: ClientCall) -> Sequence[str]:
    """The ids of the kept answers that a call refers to: as the one before it, or by one of their items."""
    ids = [] if call.continues is None else [call.continues]
    if call.mentions(_REFERENCE.encode()) or call.mentions(b'"id"'):
        referred = (item.id for item in read_items(call) if _is_reference(item.type, item.role, item.id))
        ids += [owner for item_id in referred if (owner := _find_owner(item_id)) is not None]
    return list(dict.fromkeys(ids))


def resume(call: ClientCall, kept: Mapping[str, bytes]) -> None:
    """Puts the conversation so far in front of the call's items, and items in place of references to them.

    Raises:
        InvalidRequest: Something that is referred to is not in `kept`.
    """
    members: dict[str, Raw | object] = {**call.members}
    try:
        items = list(_replace_references(_read_input(members.get("input")), kept))
    except msgspec.MsgspecError as error:
        raise InvalidRequest("`input` must be a string or an array of items.", param="input") from error
    if call.continues is not None:
        if call.continues not in kept:
            raise InvalidRequest(
                "`previous_response_id`: no response of this id is kept for this key; it may have expired. Send the "
                "whole conversation as `input`.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        past = _decode_kept(kept[call.continues])
        items = [*past.input, *_decode_answer(past.response).output, *items]
        members.pop("previous_response_id", None)
    members["input"] = items
    bind_body(call, write_members(members))


def keep(call: ClientCall, answer: bytes) -> tuple[str, bytes] | None:
    """An answer's id, and what is to be kept of it and its call; None for one that cannot be gone on from."""
    try:
        told = _decode_answer(answer)
        # A compaction stands for all that was before it.
        items = [] if is_compacting(call) else _read_input(call.members.get("input"))
    except msgspec.MsgspecError:
        return None  # an upstream, asked in the client's own words, that has its own ideas of the format
    if call.family != FAMILY or told.status not in ("completed", "incomplete"):
        return None
    return told.id, _encode(_Kept(items, Raw(answer)))


def show_kept(kept: bytes) -> bytes:
    """The answer that was kept."""
    return bytes(_decode_kept(kept).response)


def _read_input(value: Raw | object) -> list[Raw]:
    given = _decode_input(value) if isinstance(value, Raw) else None
    if isinstance(given, str):
        return [Raw(_encode({"type": "message", "role": "user", "content": given}))]
    return given or []


def _replace_references(items: Sequence[Raw], kept: Mapping[str, bytes]) -> Iterator[Raw]:
    for index, raw in enumerate(items):
        item = _decode_item(raw)
        if item.type == TRIGGER or not _is_reference(item.type, item.role, item.id):
            yield raw
            continue
        found = _find_item(item.id, kept)
        if found is None:
            raise InvalidRequest(
                f"`input[{index}]` refers to an item that is not kept for this key. Send the item itself.",
                param=f"input[{index}]",
            )
        yield found


def _is_reference(kind: object, role: object, item_id: object) -> bool:
    """Whether an item is a reference; its type may be left out."""
    return kind == _REFERENCE or (kind is None and role is None and item_id is not None)


def _find_owner(item_id: object) -> str | None:
    """The id of the answer that an item stands in, by the item's id; None for ids that we did not give.

    The ids that `Frame` gives are made of the kind, the number of the answer and the place in it.
    """
    parts = item_id.split("_") if isinstance(item_id, str) else []
    return f"resp_{parts[1]}" if len(parts) == 3 else None


def _find_item(item_id: object, kept: Mapping[str, bytes]) -> Raw | None:
    owner = _find_owner(item_id)
    if owner is None or owner not in kept:
        return None
    output = _decode_answer(_decode_kept(kept[owner]).response).output
    return next((raw for raw in output if _decode_item(raw).id == item_id), None)
