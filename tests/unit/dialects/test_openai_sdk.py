"""The official SDK reads what the OpenAI dialects write: its own parsers of streams and vectors are the judges."""

from collections.abc import Callable, Sequence

import httpx2
import openai
import pytest
from tests.support.openai_wire import read_call, read_whole

from sekisho.core.errors import UpstreamThrottled
from sekisho.core.events import EmbeddingAnswer, Event, Finish, TextDelta, ToolCallDelta, ToolCallStart
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, ChatClient
from sekisho.dialects import openai_chat, openai_completions, openai_embeddings

HEAD = AnswerHead(call_id="0199", model="alias", created=1)
USAGE = Usage(input=10, output=7)
BROKEN = UpstreamThrottled("rate limit", verdict="elsewhere", native="ThrottlingException")


def connect(answer: Callable[[httpx2.Request], httpx2.Response]) -> openai.OpenAI:
    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="k", base_url="http://sekisho.test/v1", http_client=transport, max_retries=0)


def stream_from(dialect: ChatClient, events: Sequence[Event], *, broken: bool = False) -> openai.OpenAI:
    """A connection on which every request is answered with these events."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        writer = dialect.stream_writer(HEAD, read_whole(dialect, request.content))
        body = writer.keep_alive() + b"".join(writer.write(event) for event in events)
        body += writer.fail(BROKEN) if broken else writer.end(USAGE, None)
        return httpx2.Response(200, headers={"content-type": dialect.stream_type.decode()}, content=body)

    return connect(answer)


def test_chat_stream() -> None:
    events: list[Event] = [
        TextDelta("grün"),
        ToolCallStart(0, "c0", "f"),
        ToolCallDelta(0, '{"a":1}'),
        Finish("tool_calls", "tool_use"),
    ]
    sdk = stream_from(openai_chat.client, events)
    with sdk.chat.completions.stream(
        model="m", messages=[{"role": "user", "content": "hi"}], stream_options={"include_usage": True}
    ) as stream:
        final = stream.get_final_completion()
    (choice,) = final.choices
    assert choice.message.content == "grün"
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].function.arguments == '{"a":1}'
    assert choice.finish_reason == "tool_calls"
    assert final.usage is not None
    assert final.usage.total_tokens == 17


def test_completion_stream() -> None:
    sdk = stream_from(openai_completions.client, [TextDelta("a"), TextDelta("b"), Finish("stop", "end_turn")])
    chunks = list(sdk.completions.create(model="m", prompt="Once", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "ab"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_broken_chat_stream_is_an_error() -> None:
    sdk = stream_from(openai_chat.client, [TextDelta("a")], broken=True)
    stream = sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True)
    with pytest.raises(openai.APIError, match="rate limit"):
        list(stream)


def test_a_broken_completion_stream_is_an_error() -> None:
    stream = stream_from(openai_completions.client, [TextDelta("a")], broken=True).completions.create(
        model="m", prompt="a", stream=True
    )
    with pytest.raises(openai.APIError, match="rate limit"):
        list(stream)


def test_embeddings_which_the_sdk_asks_for_in_base64() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        call = read_call(openai_embeddings.client, request.content)
        vectors = [[0.5, -1.0] for _ in call.embedding.inputs]
        body = openai_embeddings.client.write_embeddings(EmbeddingAnswer(vectors=vectors, usage=USAGE), HEAD, call)
        headers = [(b"content-type", b"application/json"), *openai_embeddings.client.answer_headers("0199", None)]
        return httpx2.Response(200, headers=headers, content=body)

    found = connect(answer).embeddings.create(model="m", input=["a", "b"])
    assert [list(item.embedding) for item in found.data] == [[0.5, -1.0], [0.5, -1.0]]
    assert found._request_id == "0199"
