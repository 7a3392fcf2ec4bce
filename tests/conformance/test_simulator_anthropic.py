"""The anthropic SDK judges Anthropic's API, Bedrock's path for it, and InvokeModel."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AnthropicBedrock
from tests.support.bedrock import CLAUDE, NEWEST_CLAUDE, call, sim

from sekisho.simulator.settings import DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY

MODEL = "claude-opus-4-7"
BASH: Any = {
    "name": "bash",
    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
}
THINK: Any = {"type": "enabled", "budget_tokens": 1024}
HEADERS = {"x-api-key": "any", "anthropic-version": "2023-06-01"}


def said(*content: Any) -> Any:
    return [{"role": "user", "content": [*content]}]


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def blocks_of(message: Any) -> list[dict[str, Any]]:
    return [block.model_dump(exclude={"parsed_output"}, exclude_none=True) for block in message.content]


TASK = text(sim(text="so", thinking="hm", redacted="hidden", tools=[{"name": "bash", "input": {"command": "ls"}}]))


@pytest.fixture
def client(simulator: str) -> Iterator[Anthropic]:
    with Anthropic(base_url=simulator, api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
def bedrock(simulator: str) -> Iterator[AnthropicBedrock]:
    with AnthropicBedrock(
        base_url=simulator,
        aws_region="us-east-1",
        aws_access_key=DEFAULT_ACCESS_KEY,
        aws_secret_key=DEFAULT_SECRET_KEY,
        max_retries=0,
    ) as made:
        yield made


@pytest.fixture(params=["anthropic", "bedrock"])
def either(request: pytest.FixtureRequest) -> tuple[Any, str]:
    """Each client with a model of its service."""
    if request.param == "anthropic":
        return request.getfixturevalue("client"), MODEL
    return request.getfixturevalue("bedrock"), NEWEST_CLAUDE


def test_a_stream_says_the_same_as_a_whole_answer(either: tuple[Any, str]) -> None:
    client, model = either
    question = {"model": model, "max_tokens": 4000, "messages": said(TASK), "tools": [BASH], "thinking": THINK}
    whole = client.messages.create(**question)
    assert [block.type for block in whole.content] == ["thinking", "redacted_thinking", "text", "tool_use"]
    with client.messages.stream(**question) as stream:
        streamed = stream.get_final_message()
    assert blocks_of(streamed) == blocks_of(whole)
    assert (streamed.stop_reason, whole.stop_reason) == ("tool_use", "tool_use")
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert whole.usage.output_tokens_details.thinking_tokens > 0
    assert whole.id.startswith("msg_")


def test_thinking_is_checked_on_its_way_back(client: Anthropic) -> None:
    more: Any = {"model": MODEL, "max_tokens": 4000, "tools": [BASH], "thinking": THINK}
    first = client.messages.create(messages=said(TASK), **more)
    content: Any = [block.model_dump(exclude_none=True) for block in first.content]
    result = {"type": "tool_result", "tool_use_id": content[-1]["id"], "content": "fine"}
    turns: Any = [*said(TASK), {"role": "assistant", "content": content}, *said(result)]
    second = client.messages.create(messages=turns, **more)
    assert second.stop_reason == "end_turn"
    assert "fine" in blocks_of(second)[-1]["text"]
    for index, field in ((0, "signature"), (1, "data")):
        forged = [{**block, field: "Zm9yZ2Vk"} if at == index else block for at, block in enumerate(content)]
        turns[1]["content"] = forged
        with pytest.raises(anthropic.BadRequestError, match="Invalid `"):
            client.messages.create(messages=turns, **more)


def test_cache_marks_are_accounted(client: Anthropic, simulator: str) -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    system: Any = [text(f"{simulator} anthropic " + "remember this. " * 30, cache_control=mark)]
    question: Any = {"model": MODEL, "max_tokens": 10, "system": system, "messages": said(text("hi"))}
    first, second = (client.messages.create(**question).usage for _ in range(2))
    assert first.cache_creation is not None
    assert first.cache_creation.ephemeral_1h_input_tokens > 100
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert (first.input_tokens, second.input_tokens) == (1, 1)


def test_documents_are_cited(either: tuple[Any, str]) -> None:
    client, model = either
    source = {"type": "text", "media_type": "text/plain", "data": "the sky is blue"}
    document = {"type": "document", "source": source, "title": "Sky", "citations": {"enabled": True}}
    question = {"model": model, "max_tokens": 100, "messages": said(document, text(sim(text="blue", cite="is blue")))}
    whole = client.messages.create(**question)
    (citation,) = whole.content[0].citations
    assert (citation.cited_text, citation.document_title) == ("is blue", "Sky")
    with client.messages.stream(**question) as stream:
        assert blocks_of(stream.get_final_message()) == blocks_of(whole)


def test_tokens_are_counted_as_they_are_billed(client: Anthropic) -> None:
    question: Any = {"model": MODEL, "messages": said(text("Why is the sky blue?")), "tools": [BASH]}
    counted = client.messages.count_tokens(**question).input_tokens
    assert counted == client.messages.create(max_tokens=10, **question).usage.input_tokens
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: Extra inputs"):
        client.messages.count_tokens(extra_body={"max_tokens": 10}, **question)


def test_a_json_answer_satisfies_its_schema_and_one_tool_means_one(client: Anthropic) -> None:
    schema: Any = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    answer = client.messages.create(
        model=MODEL,
        max_tokens=100,
        messages=said(text("hi")),
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert blocks_of(answer)[0]["text"] == '{"n":0}'
    two = [{"name": "bash", "input": {"command": name}} for name in "ab"]
    choice: Any = {"type": "auto", "disable_parallel_tool_use": True}
    question: Any = {"model": MODEL, "max_tokens": 100, "messages": said(text(sim(tools=two))), "tools": [BASH]}
    assert len(client.messages.create(**question).content) == 2
    assert len(client.messages.create(tool_choice=choice, **question).content) == 1


def body_of(**more: Any) -> dict[str, Any]:
    body = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **more}
    return {name: value for name, value in body.items() if value is not None}


@pytest.mark.parametrize(
    ("change", "headers", "message"),
    [
        ({"drop_params": True}, {}, "drop_params: Extra inputs are not permitted"),
        ({"litellm_session_id": "s"}, {}, "litellm_session_id: Extra inputs"),
        ({"anthropic_version": "2023-06-01"}, {}, "anthropic_version: Extra inputs"),
        ({"max_tokens": None}, {}, "max_tokens"),
        ({"model": None}, {}, "model: Field required"),
        ({}, {"anthropic-version": "2024-01-01"}, "not a valid version"),
        ({"model": "claude-sonnet-4-5", "temperature": 0}, {"anthropic-version": "2026-10-21"}, "temperature: Extra"),
        ({"messages": [{"role": "user", "content": ""}]}, {}, "non-empty content"),
        ({"messages": said(text(""))}, {}, "text content blocks must be non-empty"),
        ({"tools": [{**BASH, "name": "a.b"}]}, {}, "String should match pattern"),
        (
            {"messages": said({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "?"}})},
            {},
            "invalid base64",
        ),
    ],
)
def test_is_refused(simulator: str, change: dict[str, Any], headers: dict[str, str], message: str) -> None:
    status, document = call("POST", f"{simulator}/v1/messages", body_of(**change), {**HEADERS, **headers})
    assert (status, document["type"]) == (400, "error")
    assert document["error"]["type"] == "invalid_request_error"
    assert message in document["error"]["message"]


def test_what_is_not_known_yet_is_accepted(simulator: str) -> None:
    body = body_of(x_new={"deep": [1]}, temperature=0, model="claude-sonnet-4-5")
    headers = {**HEADERS, "anthropic-beta": "nobody-knows-2099-01-01"}
    assert call("POST", f"{simulator}/v1/messages", body, headers)[0] == 200
    status, document = call("POST", f"{simulator}/v1/messages", body_of(model="gpt-4o"), HEADERS)
    assert (status, document["error"]["type"]) == (404, "not_found_error")


def test_a_key_and_a_version_are_needed(simulator: str) -> None:
    url = f"{simulator}/v1/messages"
    status, document = call("POST", url, body_of(), {"anthropic-version": "2023-06-01"})
    assert (status, document["error"]["type"]) == (401, "authentication_error")
    status, document = call("POST", url, body_of(), {"x-api-key": "any"})
    assert (status, document["error"]["message"]) == (400, "anthropic-version: header is required")
    bearer = {"authorization": "Bearer any", "anthropic-version": "2026-10-21"}
    assert call("POST", url, body_of(), bearer)[0] == 200


@pytest.mark.parametrize(
    ("fault", "error", "kind"),
    [
        ({"kind": "throttle", "retry_after": 7}, anthropic.RateLimitError, "rate_limit_error"),
        ({"kind": "error"}, anthropic.InternalServerError, "api_error"),
        ({"kind": "error", "type": "ServiceUnavailableException"}, anthropic.APIStatusError, "overloaded_error"),
        ({"kind": "error", "type": "billing_error"}, anthropic.APIStatusError, "billing_error"),
        ({"kind": "access_denied"}, anthropic.PermissionDeniedError, "permission_error"),
        ({"kind": "exception_event", "type": "overloaded_error"}, anthropic.APIStatusError, "overloaded_error"),
    ],
)
def test_faults_are_worded_as_anthropics(
    client: Anthropic, simulator: str, fault: dict[str, Any], error: type[anthropic.APIStatusError], kind: str
) -> None:
    rule = {"fault": fault, "match": {"service": "anthropic", "operation": "Messages"}}
    assert call("POST", f"{simulator}/_simulator/faults", rule)[0] == 200
    with pytest.raises(error) as refused:
        client.messages.create(model=MODEL, max_tokens=10, messages=said(text("hi")))
    body: Any = refused.value.body
    assert body["error"]["type"] == kind
    assert refused.value.response.headers.get("retry-after") == ("7" if "retry_after" in fault else None)


@pytest.mark.parametrize("kind", ["exception_event", "cut", "garbage"])
def test_a_broken_stream_does_not_end_cleanly(client: Anthropic, simulator: str, kind: str) -> None:
    call("POST", f"{simulator}/_simulator/faults", {"fault": {"kind": kind, "after": 3}})
    with (
        pytest.raises(Exception, match=r"unexpected error|peer closed|incomplete|JSON|EOF|Expecting|[Uu]nterminated"),
        client.messages.stream(model=MODEL, max_tokens=10, messages=said(text("hi"))) as stream,
    ):
        stream.until_done()
    seen = call("GET", f"{simulator}/_simulator/calls")[1]["calls"][-1]
    assert (seen["service"], seen["operation"], seen["complete"]) == ("anthropic", "MessagesStream", False)


def test_bedrock_has_a_path_of_its_own_for_messages(bedrock: AnthropicBedrock, simulator: str) -> None:
    url = f"{simulator}/anthropic/v1/messages"
    headers = {"authorization": "Bearer any", "anthropic-version": "2023-06-01"}
    status, document = call("POST", url, body_of(model=CLAUDE), headers)
    assert (status, document["id"][:9]) == (200, "msg_bdrk_")
    seen = call("GET", f"{simulator}/_simulator/calls")[1]["calls"][-1]
    assert (seen["service"], seen["model"], seen["account"]) == ("bedrock", CLAUDE, "000000000000")
    newest = {**headers, "anthropic-version": "2026-10-21"}
    status, document = call("POST", url, body_of(model=CLAUDE), newest)
    assert (status, "not supported by this model" in document["error"]["message"]) == (400, True)
    assert call("POST", url, body_of(model=CLAUDE), {"anthropic-version": "2023-06-01"})[0] == 401


INVOKE = {"anthropic_version": "bedrock-2023-05-31", "model": None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"container": "c"}, "container: Extra inputs"),
        ({"mcp_servers": []}, "mcp_servers: Extra inputs"),
        ({"context_management": {}}, "context_management: Extra inputs"),
        ({"anthropic_beta": ["files-api-2025-04-14"]}, "invalid beta flag"),
        ({"tools": [{**BASH, "defer_loading": True}]}, "defer_loading: Extra inputs"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        ({"messages": said({"type": "image", "source": {"type": "url", "url": "https://a.test/b"}})}, "not supported"),
    ],
)
def test_claude_on_bedrock_takes_less(simulator: str, change: dict[str, Any], message: str) -> None:
    url, headers = f"{simulator}/model/{CLAUDE}/invoke", {"authorization": "Bearer any"}
    status, document = call("POST", url, body_of(**{**INVOKE, **change}), headers)
    assert (status, message in document["message"]) == (400, True)
    beta = {"anthropic_beta": ["context-management-2025-06-27", "tool-search-tool-2025-10-19"]}
    allowed = {**beta, "context_management": {}, "tools": [{**BASH, "defer_loading": True}], "x_new": 1}
    assert call("POST", url, body_of(**{**INVOKE, **allowed}), headers)[0] == 200
