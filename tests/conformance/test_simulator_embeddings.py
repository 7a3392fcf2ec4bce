"""boto3 and the openai SDK judge the embeddings."""

import json
import math
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types import embedding_create_params
from tests.support.bedrock import call, sim

from sekisho.simulator.wires.openai import embeddings

TITAN = "amazon.titan-embed-text-v2:0"
COHERE = "cohere.embed-multilingual-v3"
SMALL = "text-embedding-3-small"


@pytest.fixture
def client(simulator: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{simulator}/v1", api_key="any", max_retries=0) as made:
        yield made


def invoke(runtime: Any, model: str, **body: Any) -> tuple[dict[str, Any], dict[str, str]]:
    answer = runtime.invoke_model(modelId=model, body=json.dumps(body).encode())
    return json.loads(answer["body"].read()), answer["ResponseMetadata"]["HTTPHeaders"]


def test_the_fields_the_sdk_knows_are_known() -> None:
    assert set(embedding_create_params.EmbeddingCreateParams.__annotations__) == embeddings.KNOWN_FIELDS


def test_titan_makes_one_vector_and_counts(runtime: Any, simulator: str) -> None:
    document, headers = invoke(runtime, TITAN, inputText="12345", dimensions=256, normalize=True)
    assert len(document["embedding"]) == 256
    assert math.isclose(math.fsum(number**2 for number in document["embedding"]), 1)
    assert (document["inputTextTokenCount"], headers["x-amzn-bedrock-input-token-count"]) == (2, "2")
    assert invoke(runtime, TITAN, inputText="12345", dimensions=256)[0]["embedding"] == document["embedding"]
    assert invoke(runtime, TITAN, inputText="other", dimensions=256)[0]["embedding"] != document["embedding"]
    assert len(invoke(runtime, "amazon.titan-embed-text-v1", inputText="a")[0]["embedding"]) == 1536
    seen = call("GET", f"{simulator}/_simulator/calls")[1]["calls"][0]
    assert (seen["operation"], seen["model"], seen["usage"]["input"]) == ("InvokeModel", TITAN, 2)


def test_cohere_makes_many_and_counts_in_the_header_only(runtime: Any) -> None:
    document, headers = invoke(runtime, COHERE, texts=["a", "12345"], input_type="search_document")
    assert [len(vector) for vector in document["embeddings"]] == [1024, 1024]
    assert headers["x-amzn-bedrock-input-token-count"] == "3"
    assert not [name for name in document if "token" in name.lower()]
    typed, _ = invoke(runtime, COHERE, texts=["a"], input_type="search_query", embedding_types=["float", "int8"])
    assert typed["embeddings"]["float"] == document["embeddings"][:1]
    assert set(typed["embeddings"]) == {"float", "int8"}
    newest, _ = invoke(runtime, "us.cohere.embed-v4:0", texts=["a"], input_type="search_query", output_dimension=256)
    assert len(newest["embeddings"][0]) == 256


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        (TITAN, {"inputText": ""}, "minLength: 1"),
        (TITAN, {"inputText": "a", "dimensions": 100}, "Malformed input request"),
        (TITAN, {"inputText": "a", "drop_params": True}, "drop_params"),
        ("amazon.titan-embed-text-v1", {"inputText": "a", "dimensions": 256}, "dimensions"),
        (COHERE, {"texts": ["a"]}, "input_type"),
        (COHERE, {"texts": ["a"] * 97, "input_type": "search_query"}, "1 to 96 items"),
        (COHERE, {"texts": ["a" * 2049], "input_type": "search_query"}, "maxLength: 2048"),
        (COHERE, {"texts": ["a"], "input_type": "search_query", "output_dimension": 256}, "output_dimension"),
    ],
)
def test_bedrock_refuses(runtime: Any, model: str, body: dict[str, Any], message: str) -> None:
    with pytest.raises(runtime.exceptions.ValidationException, match=message):
        invoke(runtime, model, **body)


def test_openais_vectors_are_the_same_in_both_encodings(client: OpenAI) -> None:
    floats = client.embeddings.create(model=SMALL, input=["a", "12345"], encoding_format="float")
    packed = client.embeddings.create(model=SMALL, input=["a", "12345"])  # the SDK asks for base64 and unpacks it
    assert [entry.index for entry in floats.data] == [0, 1]
    assert len(floats.data[0].embedding) == 1536
    assert packed.data[1].embedding == pytest.approx(floats.data[1].embedding, rel=1e-6)
    assert (floats.usage.prompt_tokens, packed.usage.total_tokens) == (3, 3)
    assert len(client.embeddings.create(model=SMALL, input=[1, 2], dimensions=8).data[0].embedding) == 8
    assert len(client.embeddings.create(model=SMALL, input=[[1], [2]]).data) == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input": ""}, "'\\$.input' is invalid"),
        ({"input": []}, "'\\$.input' is invalid"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "model": "text-embedding-ada-002", "dimensions": 8}, "does not support specifying"),
        ({"input": "a", "extra_body": {"input_type": "query"}}, "Unrecognized request argument supplied: input_type"),
    ],
)
def test_openai_refuses(client: OpenAI, body: dict[str, Any], message: str) -> None:
    with pytest.raises(openai.BadRequestError, match=message):
        client.embeddings.create(**{"model": SMALL, **body})


def test_unknown_fields_come_back_when_asked_for(client: OpenAI, runtime: Any) -> None:
    asked = sim(extra={"x_new": [1]})
    answer = client.embeddings.create(model=SMALL, input=asked, extra_body={"x_new": 1})
    assert answer.model_extra == {"x_new": [1]}
    assert invoke(runtime, TITAN, inputText=asked)[0]["x_new"] == [1]
    assert invoke(runtime, COHERE, texts=[asked], input_type="search_query")[0]["x_new"] == [1]
