"""OpenAI's embeddings on both sides, judged by the types of the official SDK."""

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse
from openai.types.embedding_create_params import EmbeddingCreateParams
from pydantic import TypeAdapter
from tests.support.openai_wire import encode, read_call, read_whole

from sekisho.core.chat import ClientCall, EmbeddingRequest
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.core.events import EmbeddingAnswer
from sekisho.core.model import ModelFacts
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, WireAnswer, WireFault, WriteOptions
from sekisho.dialects.openai_embeddings import client, upstream

HEAD = AnswerHead(call_id="0199", model="alias", created=1)
FACTS = ModelFacts()
JSON_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["model", "input", "dimensions", "input_type", "encoding_format", "user", "tags", "new"])
NAMES = st.sampled_from(["data", "embedding", "index", "usage", "prompt_tokens", "error", "message"])
SHAPED: Any = st.recursive(
    st.none() | st.integers(-1, 3) | st.floats(-1, 1) | st.sampled_from(["AACAPw==", "AAA=", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=15,
)


def read(**fields: object) -> EmbeddingRequest:
    return read_whole(client, encode(**({"model": "m", "input": "a"} | fields))).embedding


def write(vectors: list[list[float]], **fields: object) -> CreateEmbeddingResponse:
    call = read_call(client, encode(model="m", input="a", **fields))
    written = client.write_embeddings(EmbeddingAnswer(vectors=vectors, usage=Usage(input=5)), HEAD, call)
    return CreateEmbeddingResponse.model_construct(**json.loads(written))


class TestReading:
    def test_inputs(self) -> None:
        assert read().inputs == ["a"]
        assert read(input=["a", "b"]).inputs == ["a", "b"]

    def test_settings(self) -> None:
        request = read(dimensions=256, input_type="search_query", normalize=False, user="u", encoding_format="base64")
        assert (request.dimensions, request.input_type, request.extras) == (256, "search_query", {"normalize": False})

    def test_envelope(self) -> None:
        call = read_call(client, encode(model="m", input="a", user="u", tags=["t"], litellm_session_id="s"))
        assert (call.model, call.end_user, call.tags, call.session_id) == ("m", "u", ["t"], "s")
        assert (call.family, call.path, call.stream) == (client.family, "/v1/embeddings", False)
        assert read_call(client, encode(model="m"), model="path").model == "path"
        assert {(endpoint.call_type, endpoint.operation) for endpoint in client.endpoints} == {
            ("aembedding", "embeddings")
        }

    @pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]]])
    def test_tokens_are_for_upstreams_of_the_same_format(self, tokens: object) -> None:
        call = read_call(client, encode(model="m", input=tokens))
        with pytest.raises(Unsupported) as caught:
            _ = call.embedding
        assert caught.value.param == "input"
        assert len(upstream.write_requests(call, FACTS, WriteOptions(model="m"))) == 1

    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"input": None}, "input"),
            ({"input": ""}, "input"),
            ({"input": []}, "input"),
            ({"input": ["a", 5]}, "input[1]"),
            ({"input": ["a", ""]}, "input[1]"),
            ({"dimensions": 0}, "dimensions"),
            ({"encoding_format": "hex"}, "encoding_format"),
            ({"user": 5}, "user"),
        ],
    )
    def test_refusals_name_the_field(self, fields: dict[str, object], param: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            read(**fields)
        assert caught.value.param == param

    @given(st.binary() | st.dictionaries(FIELDS, JSON_VALUES).map(lambda fields: encode(**fields)))
    def test_any_input(self, body: bytes) -> None:
        try:
            read_whole(client, body)
        except InvalidRequest as error:
            assert error.param  # noqa: PT017  # whether it raises is up to hypothesis


class TestWriting:
    def test_numbers(self) -> None:
        call = read_call(client, encode(model="m", input=["a", "b"]))
        answer = EmbeddingAnswer(vectors=[[0.5, -1.0], [1.0, 0.25]], usage=Usage(input=5))
        written = CreateEmbeddingResponse.model_validate(
            json.loads(client.write_embeddings(answer, HEAD, call)), strict=True
        )
        assert [(item.index, item.embedding) for item in written.data] == [(0, [0.5, -1.0]), (1, [1.0, 0.25])]
        assert (written.model, written.usage.prompt_tokens, written.usage.total_tokens) == ("alias", 5, 5)

    def test_base64(self) -> None:
        (item,) = write([[0.5, -1.0]], encoding_format="base64").data
        assert struct.unpack("<2f", base64.b64decode(str(item.embedding))) == (0.5, -1.0)


class TestUpstream:
    def test_a_body_is_passed_on_with_its_bytes(self) -> None:
        body = b'{"model":"alias","input":[ 1, 2],"x_new": 1.50,"encoding_format":"base64","drop_params":true}'
        (wire,) = upstream.write_requests(read_call(client, body), FACTS, WriteOptions(model="m"))
        assert wire.native
        assert wire.body == b'{"model":"m","input":[ 1, 2],"x_new":1.50,"encoding_format":"base64"}'

    def test_a_call_of_another_format_is_translated(self) -> None:
        wanted = EmbeddingRequest(inputs=["a", "b"], dimensions=256, input_type="search_query", extras={"x": 1})
        call = ClientCall(model="m", body=b"{}", family="other", path="/", read=lambda: wanted)
        (wire,) = upstream.write_requests(call, FACTS, WriteOptions(model="m"))
        TypeAdapter(EmbeddingCreateParams).validate_json(wire.body)
        assert json.loads(wire.body) == {
            "model": "m",
            "input": ["a", "b"],
            "encoding_format": "float",
            "dimensions": 256,
        }
        assert (wire.native, wire.dropped) == (False, ("input_type", "x"))

    @pytest.mark.parametrize("encoding", ["float", "base64"])
    def test_what_the_client_side_writes_the_upstream_side_reads(self, encoding: str) -> None:
        answer = EmbeddingAnswer(vectors=[[0.5, -1.0], [0.25]], usage=Usage(input=5))
        call = read_call(client, encode(model="m", input="a", encoding_format=encoding))
        written = client.write_embeddings(answer, HEAD, call)
        assert upstream.read_answers([WireAnswer({}, written)]) == answer

    def test_vectors_come_by_their_index(self) -> None:
        body = encode(data=[{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}])
        assert upstream.read_answers([WireAnswer({}, body)]) == EmbeddingAnswer(vectors=[[1.0], [2.0]], usage=Usage())

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"<html>", "corrupt"),
            (b"{}", "corrupt"),
            (b'{"data":[{"embedding":"AAA="}]}', "corrupt"),
            (b'{"data":[{"embedding":"\xc3\xbc"}]}', "corrupt"),
            (b'{"data":[{"index":0}]}', "corrupt"),
            (b'{"error":{"message":"m","code":"invalid_api_key"}}', "invalid_api_key"),
        ],
    )
    def test_faults(self, body: bytes, code: str) -> None:
        with pytest.raises(WireFault) as caught:
            upstream.read_answers([WireAnswer({}, body)])
        assert caught.value.code == code

    @given(st.binary() | SHAPED.map(lambda value: json.dumps(value).encode()))
    def test_any_input(self, body: bytes) -> None:
        try:
            upstream.read_answers([WireAnswer({}, body)])
        except WireFault as fault:
            assert fault.code  # noqa: PT017  # whether it raises is up to hypothesis
