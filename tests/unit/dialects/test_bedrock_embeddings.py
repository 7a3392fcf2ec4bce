"""Embeddings of Titan and Cohere, as their documents on Bedrock are."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.chat import ClientCall, EmbeddingRequest
from sekisho.core.errors import Unsupported
from sekisho.core.events import EmbeddingAnswer
from sekisho.core.model import ModelFacts
from sekisho.core.usage import Usage
from sekisho.core.wire import WireAnswer, WireFault, WireRequest, WriteOptions
from sekisho.dialects import cohere_embeddings, titan_embeddings

FACTS = ModelFacts()
TITAN_1, TITAN_2 = "amazon.titan-embed-text-v1", "amazon.titan-embed-text-v2:0"
COHERE_3, COHERE_4 = "cohere.embed-multilingual-v3", "us.cohere.embed-v4:0"
TOKENS = "x-amzn-bedrock-input-token-count"
NAMES = st.sampled_from(["embedding", "inputTextTokenCount", "embeddings", "float"])
SHAPED: Any = st.recursive(
    st.none() | st.integers(-1, 3) | st.floats(-1, 1) | st.just("x"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


def make_call(*texts: str, **fields: Any) -> ClientCall:
    wanted = EmbeddingRequest(inputs=list(texts), **fields)
    return ClientCall(model="m", body=b"{}", family="openai_embeddings", path="/", read=lambda: wanted)


def write(model: str, *texts: str, drop_params: bool = False, **fields: Any) -> list[WireRequest]:
    dialect = titan_embeddings if "titan" in model else cohere_embeddings
    options = WriteOptions(model=model, drop_params=drop_params)
    return list(dialect.upstream.write_requests(make_call(*texts, **fields), FACTS, options))


def bodies(model: str, *texts: str, **fields: Any) -> list[dict[str, Any]]:
    return [json.loads(wire.body) for wire in write(model, *texts, **fields)]


class TestTitan:
    def test_one_text_per_request(self) -> None:
        assert bodies(TITAN_1, "a", "b") == [{"inputText": "a"}, {"inputText": "b"}]

    def test_second_version_takes_settings(self) -> None:
        assert bodies(TITAN_2, "a", dimensions=256, extras={"normalize": False}) == [
            {"inputText": "a", "dimensions": 256, "normalize": False}
        ]

    @pytest.mark.parametrize(("model", "dimensions"), [(TITAN_1, 256), (TITAN_2, 1536)])
    def test_dimensions_it_does_not_have(self, model: str, dimensions: int) -> None:
        with pytest.raises(Unsupported) as caught:
            write(model, "a", dimensions=dimensions)
        assert caught.value.param == "dimensions"
        (wire,) = write(model, "a", dimensions=dimensions, drop_params=True)
        assert (json.loads(wire.body), wire.dropped) == ({"inputText": "a"}, ("dimensions",))

    def test_dimensions_that_it_has_anyway(self) -> None:
        assert bodies("amazon.titan-embed-g1-text-02", "a", dimensions=1536) == [{"inputText": "a"}]

    def test_what_it_does_not_know_is_dropped(self) -> None:
        (wire,) = write(TITAN_1, "a", input_type="search_query", extras={"normalize": True})
        assert wire.dropped == ("normalize", "input_type")

    def test_answers(self) -> None:
        answers = [
            WireAnswer({}, json.dumps({"embedding": [number], "inputTextTokenCount": 2}).encode()) for number in (1, 2)
        ]
        assert titan_embeddings.upstream.read_answers(answers) == EmbeddingAnswer(
            vectors=[[1.0], [2.0]], usage=Usage(input=4)
        )


class TestCohere:
    def test_texts_for_an_index_by_default(self) -> None:
        assert bodies(COHERE_3, "a", "b") == [{"texts": ["a", "b"], "input_type": "search_document"}]

    def test_settings(self) -> None:
        (body,) = bodies(COHERE_4, "a", input_type="search_query", dimensions=512, extras={"truncate": "END"})
        assert body == {"texts": ["a"], "input_type": "search_query", "output_dimension": 512, "truncate": "END"}

    def test_third_version_has_one_size(self) -> None:
        assert "output_dimension" not in bodies(COHERE_3, "a", dimensions=1024)[0]
        with pytest.raises(Unsupported):
            write(COHERE_3, "a", dimensions=256)
        with pytest.raises(Unsupported):
            write(COHERE_4, "a", dimensions=300)

    def test_not_more_than_96_texts_per_request(self) -> None:
        texts = [str(number) for number in range(200)]
        written = bodies(COHERE_3, *texts)
        assert [len(body["texts"]) for body in written] == [96, 96, 8]
        assert [text for body in written for text in body["texts"]] == texts

    def test_what_it_does_not_know_is_dropped(self) -> None:
        assert write(COHERE_3, "a", extras={"normalize": True})[0].dropped == ("normalize",)

    def test_answers_in_both_shapes(self) -> None:
        plain = WireAnswer({TOKENS: "3"}, b'{"embeddings":[[1],[2]],"response_type":"embeddings_floats"}')
        typed = WireAnswer({TOKENS: "4"}, b'{"embeddings":{"float":[[3]],"int8":[[1]]}}')
        assert cohere_embeddings.upstream.read_answers([plain, typed]) == EmbeddingAnswer(
            vectors=[[1.0], [2.0], [3.0]], usage=Usage(input=7)
        )

    @pytest.mark.parametrize("headers", [{}, {TOKENS: "many"}, {TOKENS: "-1"}, {TOKENS: "9" * 5000}])
    def test_tokens_that_are_not_told_are_for_the_gateway_to_estimate(self, headers: dict[str, str]) -> None:
        told = WireAnswer({TOKENS: "3"}, b'{"embeddings":[[1]]}')
        answer = cohere_embeddings.upstream.read_answers([told, WireAnswer(headers, b'{"embeddings":[[2]]}')])
        assert answer.usage == Usage()


@pytest.mark.parametrize("dialect", [titan_embeddings.upstream, cohere_embeddings.upstream])
class TestFaults:
    @pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"embedding":"x","embeddings":"x"}'])
    def test_what_is_no_answer_is_corrupt(self, dialect: Any, body: bytes) -> None:
        with pytest.raises(WireFault) as caught:
            dialect.read_answers([WireAnswer({}, body)])
        assert caught.value.code == "corrupt"

    @given(body=st.binary() | SHAPED.map(lambda value: json.dumps(value).encode()))
    def test_any_input(self, dialect: Any, body: bytes) -> None:
        try:
            dialect.read_answers([WireAnswer({}, body)])
        except WireFault as fault:
            assert fault.code == "corrupt"  # noqa: PT017  # whether it raises is up to hypothesis
