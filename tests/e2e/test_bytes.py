"""Same dialect on both sides keeps the bytes, in both directions, also of fields that nobody has heard of."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.matrix.cell import record_bodies
from tests.matrix.envelopes import read_frames, read_sse
from tests.matrix.upstreams import write_config
from tests.support.gateway import Gateway, Simulator, run_gateway

# What decoding and encoding again would change: spaces, forms of numbers, escapes, the order of keys, doubled keys.
ODD = r'{"z" : 1.0e2, "a":-0.0,"u":"\u00e9\/\ud83c\udf8c", "n":12345678901234567890123, "l":[ 1E5,{ } ], "z2":null}'
EXTRA = {"x_unheard": {"z": 1, "a": [1.5, None, "é🎌"]}}
EXTRA_BYTES = json.dumps(EXTRA, ensure_ascii=False, separators=(",", ":"))[1:-1]
SAYS = json.dumps("[[sim: " + json.dumps({"text": "Good morning.", "extra": EXTRA}, ensure_ascii=False) + "]]")
SCHEMA = f'{{"type":"object","properties":{{}},"x_odd":{ODD}}}'
GATEWAY_FIELDS = '"drop_params":true,"litellm_session_id":"session-1","num_retries":0'


@dataclass(frozen=True)
class Wire:
    """A client's API: a body full of oddities (`$MODEL` is its model) and the paths for both kinds of answer."""

    path: str
    stream_path: str
    body: str
    asks_in_body: bool = True


WIRES = {
    "openai_chat": Wire(
        "/v1/chat/completions",
        "/v1/chat/completions",
        f'{{"model":"$MODEL", "x_odd":{ODD},{GATEWAY_FIELDS},"messages":[{{"role":"user","x_in":{ODD},"content":'
        f'[{{"type":"text","x_part":{ODD},"text":{SAYS}}}]}}],"tools":[{{"type":"function","x_tool":{ODD},"function":'
        f'{{"name":"read","parameters":{SCHEMA}}}}}]}}',
    ),
    "openai_responses": Wire(
        "/v1/responses",
        "/v1/responses",
        f'{{"model":"$MODEL", "x_odd":{ODD},{GATEWAY_FIELDS},"store":false,"input":[{{"type":"message","role":"user",'
        f'"x_in":{ODD},"content":[{{"type":"input_text","x_part":{ODD},"text":{SAYS}}}]}}],"tools":[{{"type":"function"'
        f',"x_tool":{ODD},"name":"read","strict":false,"parameters":{SCHEMA}}}]}}',
    ),
    "anthropic_messages": Wire(
        "/v1/messages",
        "/v1/messages",
        f'{{"model":"$MODEL", "x_odd":{ODD},{GATEWAY_FIELDS},"max_tokens":100,"messages":[{{"role":"user","x_in":{ODD}'
        f',"content":[{{"type":"text","x_part":{ODD},"text":{SAYS}}}]}}],"tools":[{{"x_tool":{ODD},"name":"read",'
        f'"input_schema":{SCHEMA}}}]}}',
    ),
    "bedrock_invoke": Wire(
        "/model/$MODEL/invoke",
        "/model/$MODEL/invoke-with-response-stream",
        f'{{"anthropic_version":"bedrock-2023-05-31", "x_odd":{ODD},{GATEWAY_FIELDS},"max_tokens":100,"messages":'
        f'[{{"role":"user","x_in":{ODD},"content":[{{"type":"text","x_part":{ODD},"text":{SAYS}}}]}}],"tools":'
        f'[{{"x_tool":{ODD},"name":"read","input_schema":{SCHEMA}}}]}}',
        asks_in_body=False,
    ),
    # The service model of Converse is closed: what it does not know stands in its free documents.
    "bedrock_converse": Wire(
        "/model/$MODEL/converse",
        "/model/$MODEL/converse-stream",
        f'{{"additionalModelRequestFields":{{"x_odd" : {ODD} }},{GATEWAY_FIELDS},"messages":[{{"role":"user","content":'
        f'[{{"text":{SAYS}}}]}}],"toolConfig":{{"tools":[{{"toolSpec":{{"name":"read","inputSchema":{{"json":{SCHEMA}}}'
        "}}]}}",
        asks_in_body=False,
    ),
    "openai_completions": Wire(
        "/v1/completions",
        "/v1/completions",
        f'{{"model":"$MODEL", "x_odd":{ODD},{GATEWAY_FIELDS},"prompt":{SAYS}}}',
    ),
}
PAIRS = [
    ("openai_chat", "openai"),
    ("openai_chat", "compatible"),
    ("openai_chat", "bedrock_openai"),
    ("openai_chat", "sagemaker"),
    ("openai_responses", "openai_responses"),
    ("openai_responses", "bedrock_openai"),
    ("anthropic_messages", "anthropic"),
    ("anthropic_messages", "bedrock_messages"),
    ("anthropic_messages", "bedrock_invoke"),
    ("bedrock_invoke", "anthropic"),
    ("bedrock_invoke", "bedrock_messages"),
    ("bedrock_invoke", "bedrock_invoke"),
    ("bedrock_converse", "bedrock_converse"),
    ("openai_completions", "compatible"),
]


@pytest.fixture(scope="module")
def running_gateway(running_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    record_bodies(running_simulator)
    home: Path = tmp_path_factory.mktemp("home")
    config = write_config(running_simulator.url)
    params = {"model": "openai/text-embedding-3-small", "api_base": f"{running_simulator.url}/v1", "api_key": "sk-x"}
    config["model_list"].append({"model_name": "embeddings", "litellm_params": params})
    with run_gateway(home, yaml.safe_dump(config), running_simulator.environment) as gateway:
        yield gateway


def ask(gateway: Gateway, client: str, model: str, *, stream: bool, more: str = "") -> bytes:
    """The answer's body. `more` is put at the front of the request's."""
    wire = WIRES[client]
    path = (wire.stream_path if stream else wire.path).replace("$MODEL", model)
    more += '"stream":true,' if stream and wire.asks_in_body else ""
    body = "{" + more + wire.body.replace("$MODEL", model)[1:]
    answer = gateway.post(path, body.encode(), **{"anthropic-version": "2023-06-01"})
    assert answer.status == 200, answer.body
    return answer.body


def open_answer(client: str, body: bytes, *, stream: bool) -> str:
    """The JSON texts of an answer, out of their envelope."""
    if not stream:
        return body.decode()
    if not client.startswith("bedrock"):
        return "\n".join(data for _, data in read_sse(body))
    if client == "bedrock_invoke":
        return "\n".join(base64.b64decode(payload["bytes"]).decode() for _, payload in read_frames(body))
    return body.decode(errors="replace")


def last_body(simulator: Simulator) -> str:
    """The bytes that the upstream received last."""
    body: str = simulator.calls()[-1]["body"]
    return body


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_unknown_fields_pass_both_ways_byte_for_byte(
    gateway: Gateway, simulator: Simulator, client: str, upstream: str, stream: bool
) -> None:
    answer = open_answer(client, ask(gateway, client, upstream, stream=stream), stream=stream)
    received = last_body(simulator)
    assert received.count(ODD) == WIRES[client].body.count(ODD)
    assert SAYS in received
    for hidden in ("drop_params", "litellm_session_id", "num_retries"):
        assert hidden not in received
    assert EXTRA_BYTES in answer


@pytest.mark.parametrize(("client", "upstream"), [("openai_chat", "compatible"), ("openai_completions", "compatible")])
def test_usage_is_asked_for_and_hidden_from_who_did_not_ask(
    gateway: Gateway, simulator: Simulator, client: str, upstream: str
) -> None:
    def read_chunks(more: str) -> list[dict[str, Any]]:
        body = ask(gateway, client, upstream, stream=True, more=more)
        assert json.loads(last_body(simulator))["stream_options"]["include_usage"] is True
        return [json.loads(data) for _, data in read_sse(body) if data != "[DONE]"]

    key_spend = gateway.get("/spend/logs?summarize=false").json()
    hidden = read_chunks("")
    assert not any(chunk.get("usage") for chunk in hidden)
    assert all(chunk["choices"] for chunk in hidden)
    shown = read_chunks('"stream_options":{"include_usage":true},')
    assert shown[-1]["usage"]["total_tokens"] > 0
    rows = gateway.get("/spend/logs?summarize=false").json()
    assert len(rows) == len(key_spend) + 2
    tokens = {row["total_tokens"] for row in rows[:2]}
    assert tokens == {shown[-1]["usage"]["total_tokens"]}


def test_embeddings_pass_as_they_came(gateway: Gateway, simulator: Simulator) -> None:
    body = f'{{"model":"embeddings", "x_odd":{ODD},{GATEWAY_FIELDS},"input":["one" , "two"]}}'
    answer = gateway.post("/v1/embeddings", body.encode())
    assert answer.status == 200, answer.body
    received = last_body(simulator)
    assert ODD in received
    assert '["one" , "two"]' in received
    assert "drop_params" not in received
    assert [item["index"] for item in answer.json()["data"]] == [0, 1]
