"""The vendors' own SDKs as clients: each reads our answers as its own service's, and what it used is in the ledger."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anthropic
import boto3
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.support.bedrock import sim
from tests.support.gateway import Gateway, Simulator, run_gateway

CONFIG = """
model_list:
  - model_name: sonnet
    litellm_params:
      model: bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0
      aws_region_name: us-east-1
  - model_name: titan
    litellm_params:
      model: bedrock/amazon.titan-embed-text-v2:0
      aws_region_name: us-east-1
general_settings:
  response_retention: 1h
"""
TOOL_SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CLIENTS = ExitStack()
"""Those of a test, until it is over."""
ASK = "Tell me a joke. " + sim(text="Why did the gateway cross the road?")


@pytest.fixture(scope="module")
def gateway(running_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home: Path = tmp_path_factory.mktemp("home")
    with run_gateway(home, CONFIG, running_simulator.environment) as running:
        yield running


@pytest.fixture
def key(gateway: Gateway, simulator: Simulator) -> str:
    return gateway.make_key(max_budget=1)


@pytest.fixture(autouse=True)
def close_clients() -> Iterator[None]:
    """Else their connections may be found open by the garbage collector, in the middle of another test."""
    with CLIENTS:
        yield


def openai_client(gateway: Gateway, key: str) -> openai.OpenAI:
    return CLIENTS.enter_context(openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0))


def anthropic_client(gateway: Gateway, key: str) -> anthropic.Anthropic:
    return CLIENTS.enter_context(anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0))


def bedrock_client(gateway: Gateway, key: str) -> Any:
    pair = gateway.post("/key/aws_credentials", {"key": key}).json()
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=gateway.url,
        aws_access_key_id=pair["aws_access_key_id"],
        aws_secret_access_key=pair["aws_secret_access_key"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def rows_agree(gateway: Gateway, simulator: Simulator, key: str, calls: int) -> None:
    """As many rows as calls the counterpart saw, token for token, and the key has spent their sum."""
    rows = gateway.get(f"/spend/logs?api_key={key}").json()
    charged = [row for row in rows if row["call_type"] != "acount_tokens"]
    served = [call for call in simulator.calls() if call["operation"] != "CountTokens"]
    assert len(charged) == len(served) == calls
    assert sum(row["completion_tokens"] for row in charged) == sum(call["usage"].get("output", 0) for call in served)
    spend = gateway.get(f"/key/info?key={key}").json()["info"]["spend"]
    assert round(spend * 1e9) == sum(row["metadata"]["cost_nano"] for row in charged) > 0


def test_openai_chat(gateway: Gateway, simulator: Simulator, key: str) -> None:
    client = openai_client(gateway, key)
    whole = client.chat.completions.create(model="sonnet", messages=[{"role": "user", "content": ASK}])
    assert whole.choices[0].message.content == "Why did the gateway cross the road?"
    stream = client.chat.completions.create(model="sonnet", messages=[{"role": "user", "content": ASK}], stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == "Why did the gateway cross the road?"
    rows_agree(gateway, simulator, key, 2)


def test_openai_responses(gateway: Gateway, simulator: Simulator, key: str) -> None:
    client = openai_client(gateway, key)
    first = client.responses.create(model="sonnet", input=ASK)
    assert first.output_text == "Why did the gateway cross the road?"
    with client.responses.stream(model="sonnet", input="And now? " + sim(text="It went on."),
                                 previous_response_id=first.id) as stream:  # fmt: skip
        events = [event.type for event in stream]
        second = stream.get_final_response()
    assert second.output_text == "It went on."
    assert events[0] == "response.created"
    assert events[-1] == "response.completed"
    assert client.responses.retrieve(first.id).output_text == first.output_text
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    other = openai_client(gateway, gateway.make_key())
    with pytest.raises(openai.NotFoundError):
        other.responses.retrieve(second.id)
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        other.responses.create(model="sonnet", input="mine?", previous_response_id=second.id)
    rows_agree(gateway, simulator, key, 2)


def test_openai_completions_and_embeddings(gateway: Gateway, simulator: Simulator, key: str) -> None:
    client = openai_client(gateway, key)
    done = client.completions.create(model="sonnet", prompt="def add(a, b): " + sim(text="return a + b"), max_tokens=50)
    assert done.choices[0].text.strip() == "return a + b"
    made = client.embeddings.create(model="titan", input=["one", "two"])
    assert len(made.data) == 2
    assert made.data[0].embedding != made.data[1].embedding
    plain = client.embeddings.create(model="titan", input=["one", "two"], encoding_format="float")
    assert made.data[0].embedding == pytest.approx(plain.data[0].embedding, rel=1e-5)
    with pytest.raises(openai.BadRequestError, match="does not make embeddings"):
        client.embeddings.create(model="sonnet", input="one")
    with pytest.raises(openai.BadRequestError, match="does not answer conversations"):
        client.chat.completions.create(model="titan", messages=[{"role": "user", "content": "hi"}])


def test_anthropic_messages(gateway: Gateway, simulator: Simulator, key: str) -> None:
    client = anthropic_client(gateway, key)
    message = client.messages.create(model="sonnet", max_tokens=500, messages=[{"role": "user", "content": ASK}])
    assert message.content[0].type == "text"
    assert message.content[0].text == "Why did the gateway cross the road?"
    tools: Any = [{"name": "weather", "description": "Weather", "input_schema": TOOL_SCHEMA}]
    directive = "Weather? " + sim(thinking="Hm.", tools=[{"name": "weather", "input": {"city": "Hakone"}}])
    turns: Any = [{"role": "user", "content": directive}]
    thinking: Any = {"type": "enabled", "budget_tokens": 2000}
    with client.messages.stream(
        model="sonnet", max_tokens=4000, messages=turns, tools=tools, thinking=thinking
    ) as stream:
        asked = stream.get_final_message()
    assert [block.type for block in asked.content] == ["thinking", "tool_use"]
    assert asked.stop_reason == "tool_use"
    call: Any = asked.content[1]
    turns += [
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in asked.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": sim(text="Rain.")}]},
    ]
    last = client.messages.create(model="sonnet", max_tokens=4000, messages=turns, tools=tools, thinking=thinking)
    assert last.content[-1].type == "text"
    counted = client.messages.count_tokens(model="sonnet", messages=[{"role": "user", "content": "How many?"}])
    assert counted.input_tokens > 0
    rows_agree(gateway, simulator, key, 3)


def test_anthropic_bedrock(gateway: Gateway, simulator: Simulator, key: str) -> None:
    pair = gateway.post("/key/aws_credentials", {"key": key}).json()
    client = anthropic.AnthropicBedrock(
        base_url=gateway.url,
        aws_access_key=pair["aws_access_key_id"],
        aws_secret_key=pair["aws_secret_access_key"],
        aws_region="us-east-1",
        max_retries=0,
    )
    message = client.messages.create(model="sonnet", max_tokens=500, messages=[{"role": "user", "content": ASK}])
    assert message.content[0].type == "text"
    with client.messages.stream(
        model="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        max_tokens=500,
        messages=[{"role": "user", "content": ASK}],
    ) as stream:
        assert stream.get_final_text() == "Why did the gateway cross the road?"
    rows_agree(gateway, simulator, key, 2)


def test_boto3(gateway: Gateway, simulator: Simulator, key: str) -> None:
    client = bedrock_client(gateway, key)
    messages = [{"role": "user", "content": [{"text": ASK}]}]
    whole = client.converse(modelId="sonnet", messages=messages)
    assert whole["output"]["message"]["content"][0]["text"] == "Why did the gateway cross the road?"
    stream = client.converse_stream(modelId="us.anthropic.claude-sonnet-4-5-20250929-v1:0", messages=messages)
    deltas = [event["contentBlockDelta"]["delta"] for event in stream["stream"] if "contentBlockDelta" in event]
    assert "".join(delta["text"] for delta in deltas) == "Why did the gateway cross the road?"
    body = json.dumps({
        "anthropic_version": "bedrock-2023-05-31", "max_tokens": 300, "messages": [{"role": "user", "content": ASK}]
    })  # fmt: skip
    invoked = json.loads(client.invoke_model(modelId="sonnet", body=body)["body"].read())
    assert invoked["content"][0]["text"] == "Why did the gateway cross the road?"
    chunks = client.invoke_model_with_response_stream(modelId="sonnet", body=body)["body"]
    kinds = [json.loads(event["chunk"]["bytes"])["type"] for event in chunks]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    counted = client.count_tokens(modelId="sonnet", input={"converse": {"messages": messages}})
    assert counted["inputTokens"] > 0
    rows_agree(gateway, simulator, key, 4)


def test_each_sdk_reads_a_refusal_as_its_own(gateway: Gateway, simulator: Simulator) -> None:
    key = gateway.make_key(models=["titan"])
    with pytest.raises(openai.PermissionDeniedError, match="titan"):
        openai_client(gateway, key).responses.create(model="sonnet", input="hi")
    with pytest.raises(anthropic.PermissionDeniedError, match="titan"):
        anthropic_client(gateway, key).messages.create(
            model="sonnet", max_tokens=5, messages=[{"role": "user", "content": "hi"}]
        )
    with pytest.raises(ClientError, match="titan") as refused:
        bedrock_client(gateway, key).converse(modelId="sonnet", messages=[{"role": "user", "content": [{"text": "x"}]}])
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


def test_a_tampered_signature_opens_nothing(gateway: Gateway, simulator: Simulator, key: str) -> None:
    pair = gateway.post("/key/aws_credentials", {"key": key}).json()
    client = boto3.client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=gateway.url,
        aws_access_key_id=pair["aws_access_key_id"], aws_secret_access_key="wrong",
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    with pytest.raises(ClientError):
        client.converse(modelId="sonnet", messages=[{"role": "user", "content": [{"text": "x"}]}])
    assert simulator.calls() == []
    assert gateway.get(f"/spend/logs?api_key={key}").json() == []
