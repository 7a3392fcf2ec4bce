"""Bodies that begin as one before are passed on, or not, as if nothing of them had been seen."""

from hashlib import sha256
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.converse import CLAUDE, LLAMA

from sekisho.core.chat import ClientCall
from sekisho.core.wire import Inbound, WireRequest, WriteOptions
from sekisho.dialects import anthropic_messages, bedrock_converse, bedrock_invoke
from sekisho.dialects.common import beginnings as module
from sekisho.dialects.common.beginnings import Beginnings
from sekisho.dialects.common.members import read_members

_FACTS = (CLAUDE, LLAMA, replace(CLAUDE, betas=frozenset()), replace(CLAUDE, cache_ttl_1h=False))
_OPTIONS = WriteOptions(model="m", drop_params=True)


def _block(**members: object) -> dict[str, object]:
    return {"type": "text", "text": "t", **members}


_anthropic = st.sampled_from(
    [
        {"role": "user", "content": "Go on."},
        {"role": "user", "content": [_block()]},
        {"role": "user", "content": [_block(cache_control={"type": "ephemeral", "ttl": "1h", "scope": "global"})]},
        {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://x.test"}}]},
        {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "AAAA"}}]},
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Yes."},
        {"role": "assistant", "content": "Yes."},
        {"role": "assistant", "content": "Yes."},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": ""}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "sekisho1.eA"}]},
        {"role": "assistant", "content": [_block(text='"signature":""')]},
    ]
)
_converse = st.sampled_from(
    [
        {"role": "user", "content": [{"text": "Go on."}]},
        {"role": "user", "content": [{"text": "Go on."}, {"cachePoint": {"type": "default"}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": []}}]},
        {"role": "user", "content": []},
        {"role": "assistant", "content": [{"text": "Yes."}]},
        {"role": "assistant", "content": [{"text": "Yes."}]},
        {"role": "assistant", "content": [{"text": "signature"}]},
    ]
)
_OTHERS: tuple[dict[str, object], ...] = (
    {},
    {"system": [{"text": "t", "type": "text", "cache_control": {"type": "ephemeral", "scope": "global"}}]},
    {"system": [{"text": "t"}, {"cachePoint": {"type": "default"}}], "stop_sequences": ["signature"]},
)
_CASES = (
    (anthropic_messages, (anthropic_messages, bedrock_invoke), _anthropic),
    (bedrock_converse, (bedrock_converse,), _converse),
)


def _pass(upstream: Any, call: ClientCall, facts: Any) -> WireRequest | None:
    wire: WireRequest | None = upstream.upstream.pass_request(call, facts, _OPTIONS)
    if wire is None:
        return None
    assert wire.digest in (None, sha256(wire.body).hexdigest())
    return replace(wire, digest=None)


@pytest.mark.parametrize(("client", "upstreams", "turns"), _CASES)
@given(data=st.data())
def test_a_body_that_begins_as_one_before_is_passed_on_alike(
    client: Any, upstreams: tuple[Any, ...], turns: st.SearchStrategy[dict[str, object]], data: st.DataObject
) -> None:
    known = Beginnings()
    messages = data.draw(st.lists(turns, min_size=2, max_size=9))
    for cut in data.draw(st.lists(st.integers(2, 9), min_size=1, max_size=4)):
        others = data.draw(st.sampled_from(_OTHERS))
        body = msgspec.json.encode({"model": "m", "max_tokens": 9, "messages": messages[:cut], **others})
        inbound = Inbound(endpoint=client.client.endpoints[0], body=body, header=lambda _: None, model="m")
        with (
            patch.object(module, "_SHORTEST", 0),
            patch("sekisho.dialects.anthropic_messages.serving.envelope.beginnings", known),
            patch("sekisho.dialects.bedrock_converse.serving.call.beginnings", known),
        ):
            call = client.client.read_call(inbound)
        afresh = replace(call, beginning=None, members=read_members(body))
        for facts in _FACTS:
            for upstream in upstreams:
                assert _pass(upstream, call, facts) == _pass(upstream, afresh, facts)


def test_what_a_conversation_began_with_is_not_hashed_again() -> None:
    known = Beginnings()
    turns = [{"role": role, "content": [{"text": "t" * 900}]} for role in ("user", "assistant") * 12]
    for count in (21, 21, 23):
        body = msgspec.json.encode({"system": [{"text": "Be brief."}], "messages": turns[:count]})
        inbound = Inbound(endpoint=bedrock_converse.client.endpoints[0], body=body, header=lambda _: None, model="m")
        with patch("sekisho.dialects.bedrock_converse.serving.call.beginnings", known):
            call = bedrock_converse.client.read_call(inbound)
        wire = bedrock_converse.upstream.pass_request(call, CLAUDE, _OPTIONS)
        assert wire is not None
        assert wire.digest == sha256(wire.body).hexdigest()
