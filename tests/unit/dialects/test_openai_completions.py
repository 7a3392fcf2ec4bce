"""Legacy Completions on both sides, judged by the types of the official SDK."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion
from tests.support.openai_wire import encode, read_call, read_whole

from sekisho.core.chat import ChatRequest, Text, Thinking
from sekisho.core.errors import InternalError, InvalidRequest, Unsupported, UpstreamThrottled
from sekisho.core.events import ChatAnswer, Event, Finish, TextDelta, ThinkingDelta, UsageReport
from sekisho.core.model import ModelFacts
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, Piece, WireAnswer, WireFault, WireRequest, WriteOptions
from sekisho.dialects.openai_completions import client, upstream

HEAD = AnswerHead(call_id="0199", model="alias", created=1_790_000_000)
USAGE = Usage(input=10, output=7)
STOP = Finish("stop", "end_turn")
REQUEST = WireRequest(body=b"")
JSON_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
# fmt: off
FIELDS = st.sampled_from([
    "model", "prompt", "suffix", "echo", "max_tokens", "temperature", "top_p", "top_k", "stop", "stream",
    "stream_options", "user", "metadata", "best_of", "n", "seed", "logprobs", "logit_bias", "tags", "extra_body", "new",
])
NAMES = st.sampled_from(["choices", "text", "index", "finish_reason", "usage", "prompt_tokens", "error", "code"])
# fmt: on
SHAPED: Any = st.recursive(
    st.none() | st.integers(-1, 3) | st.sampled_from(["stop", "length", "", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=15,
)


def read(**fields: object) -> ChatRequest:
    return read_whole(client, encode(**({"model": "m", "prompt": "Once upon"} | fields))).chat


def question(**fields: object) -> tuple[str, str]:
    """What the chat model is told, and what it is asked."""
    chat = read(**fields)
    (message,) = chat.messages
    (part,) = message.parts
    assert isinstance(part, Text)
    return chat.system[0].text, part.text


def write_stream(events: list[Event], **fields: object) -> list[Completion]:
    call = read_whole(client, encode(**({"prompt": "Once ", "stream": True} | fields)))
    writer = client.stream_writer(HEAD, call)
    written = b"".join(writer.write(event) for event in events) + writer.end(USAGE, 5)
    *chunks, last, nothing = written.decode().split("\n\n")
    assert (last, nothing) == ("data: [DONE]", "")
    return [Completion.model_construct(**json.loads(chunk.removeprefix("data: "))) for chunk in chunks]


class TestReading:
    def test_a_prompt_is_put_to_a_chat_model(self) -> None:
        system, asked = question()
        assert asked == "Once upon"
        assert "continuation only" in system
        assert question(prompt=["Once upon"]) == (system, asked)

    def test_suffix_makes_a_gap(self) -> None:
        system, asked = question(prompt="def f(", suffix="):\n    return a")
        assert "missing text only" in system
        assert asked.index("def f(") < asked.index("return a")

    def test_empty_suffix_makes_none(self) -> None:
        assert question(suffix="") == question()

    @pytest.mark.parametrize(
        "prompt",
        [
            "<fim_prefix>def f(<fim_suffix>):\n    return a<fim_middle>",
            "<|fim_prefix|>def f(<|fim_suffix|>):\n    return a<|fim_middle|>",
            "<PRE> def f( <SUF> ):\n    return a <MID>",
            "<｜fim▁begin｜>def f(<｜fim▁hole｜>):\n    return a<｜fim▁end｜>",
            "[SUFFIX]):\n    return a[PREFIX]def f(",
        ],
    )
    def test_the_marks_of_code_models_make_the_same_gap(self, prompt: str) -> None:
        assert question(prompt=prompt) == question(prompt="def f(", suffix="):\n    return a")

    def test_files_before_the_marks_are_kept(self) -> None:
        prompt = "<|repo_name|>r\n<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>"
        assert question(prompt=prompt) == question(prompt="<|repo_name|>r\na", suffix="b")

    def test_options(self) -> None:
        chat = read(temperature=0, top_p=0.5, stop=["\n\n", "```"], max_tokens=64, seed=1, presence_penalty=0, x_new=1)
        assert (chat.temperature, chat.top_p, chat.stop, chat.max_output_tokens) == (0.0, 0.5, ["\n\n", "```"], 64)
        assert chat.extras == {"seed": 1, "x_new": 1}
        assert read(stop="a").stop == ["a"]

    def test_few_tokens_by_default(self) -> None:
        assert read().max_output_tokens == 16
        assert read_call(client, encode(prompt="a")).max_output_tokens == 16
        assert read_call(client, encode(prompt="a", max_tokens=64)).max_output_tokens == 64

    def test_envelope(self) -> None:
        call = read_call(client, encode(model="m", stream=True, stream_options={"include_usage": True}, user="u"))
        assert (call.model, call.stream, call.include_usage, call.end_user) == ("m", True, True, "u")
        assert (call.family, call.path) == (upstream.family, "/v1/completions")
        assert read_call(client, encode(model="m"), model="path").model == "path"
        tagged = read_call(client, encode(tags=["a"], metadata={"session_id": "s"}, extra_body={"num_retries": 1}))
        assert (tagged.tags, tagged.session_id, tagged.num_retries) == (["a"], "s", 1)

    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"prompt": [1, 2]}, "prompt"),
            ({"prompt": [[1, 2]]}, "prompt"),
            ({"prompt": ["a", "b"]}, "prompt"),
            ({"best_of": 2}, "best_of"),
        ],
    )
    def test_what_only_the_same_format_carries_is_unsupported(self, fields: dict[str, object], param: str) -> None:
        body = encode(**({"model": "m", "prompt": "a"} | fields))
        assert read_call(client, body).model == "m"
        with pytest.raises(Unsupported) as caught:
            read_whole(client, body)
        assert caught.value.param == param

    @pytest.mark.parametrize("fields", [{"n": 2}, {"logprobs": 3}])
    def test_further_wishes_are_for_the_upstreams_writer_to_refuse(self, fields: dict[str, object]) -> None:
        assert read(**fields).extras == fields

    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"prompt": None}, "prompt"),
            ({"prompt": 5}, "prompt"),
            ({"prompt": []}, "prompt"),
            ({"suffix": 5}, "suffix"),
            ({"echo": "yes"}, "echo"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"temperature": 3}, "temperature"),
            ({"stop": 5}, "stop"),
            ({"n": 0}, "n"),
            ({"logprobs": True}, "logprobs"),
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
    def test_whole(self) -> None:
        answer = ChatAnswer(parts=[Thinking(text="hm"), Text(text="a time")], finish=STOP, usage=USAGE)
        call = read_whole(client, encode(prompt="Once "))
        written = Completion.model_validate(json.loads(client.write_answer(answer, HEAD, call, 5)), strict=True)
        assert (written.id, written.object, written.model) == ("cmpl-0199", "text_completion", "alias")
        (choice,) = written.choices
        assert (choice.text, choice.index, choice.finish_reason) == ("a time", 0, "stop")
        assert written.usage is not None
        assert written.usage.total_tokens == 17

    @pytest.mark.parametrize("echo", [True, False])
    def test_echo(self, echo: bool) -> None:
        answer = ChatAnswer(parts=[Text(text="a")], finish=Finish("length", "max_tokens"), usage=USAGE)
        call = read_whole(client, encode(prompt=["Once "], echo=echo))
        (choice,) = json.loads(client.write_answer(answer, HEAD, call, None))["choices"]
        assert (choice["text"], choice["finish_reason"]) == ("Once a" if echo else "a", "length")
        streamed = write_stream([TextDelta("a"), STOP], echo=echo)
        assert "".join(chunk.choices[0].text for chunk in streamed) == choice["text"]

    def test_stream(self) -> None:
        events: list[Event] = [ThinkingDelta("hm"), TextDelta("a"), TextDelta("b"), STOP, UsageReport(USAGE)]
        call = read_whole(client, encode(prompt="Once ", stream=True, stream_options={"include_usage": True}))
        writer = client.stream_writer(HEAD, call)
        written = b"".join(writer.write(event) for event in events) + writer.end(USAGE, None)
        *chunks, last, _ = [event.removeprefix("data: ") for event in written.decode().split("\n\n")]
        assert last == "[DONE]"
        *deltas, finish, usage = map(json.loads, chunks)
        for delta in deltas:
            assert delta["choices"][0]["finish_reason"] is None
        assert [delta["choices"][0]["text"] for delta in deltas] == ["a", "b"]
        Completion.model_validate(finish, strict=True)
        assert finish["choices"][0]["finish_reason"] == "stop"
        assert (usage["choices"], usage["usage"]["prompt_tokens"]) == ([], 10)
        assert all(chunk["id"] == "cmpl-0199" for chunk in (*deltas, finish, usage))

    def test_usage_only_for_clients_that_asked(self) -> None:
        assert all(chunk.choices for chunk in write_stream([TextDelta("a"), STOP]))

    def test_relay(self) -> None:
        writer = client.stream_writer(HEAD, read_call(client, encode(prompt=[1, 2], echo=True, stream=True)))
        data = b'{"choices":[{"text":"x"}], "x_new": 1.50}'
        assert writer.relay(Piece(None, data, [TextDelta("x")])) == b"data: " + data + b"\n\n"
        assert writer.relay(Piece(None, b'{"choices":[],"usage":{}}', [UsageReport(USAGE)])) == b""
        assert writer.keep_alive().startswith(b":")

    def test_failure_and_error(self) -> None:
        error = UpstreamThrottled("rate limit", verdict="same", native="ThrottlingException")
        writer = client.stream_writer(HEAD, read_call(client, encode(prompt="a", stream=True)))
        assert writer.fail(error) == b"data: " + client.write_error(error) + b"\n\n"
        assert client.answer_headers("0199", None) == ((b"x-request-id", b"0199"),)
        with pytest.raises(InternalError):
            client.write_count(1)


class TestUpstream:
    def test_a_body_is_passed_on_with_its_bytes(self) -> None:
        body = b'{"model":"alias","prompt":[ 1, 2],"x_new": 1.50,"drop_params":true,"stream":true}'
        wire = upstream.pass_request(read_call(client, body), ModelFacts(), WriteOptions(model="m", stream=True))
        assert wire is not None
        assert wire.native
        assert wire.body == (
            b'{"model":"m","prompt":[ 1, 2],"x_new":1.50,"stream":true,"stream_options":{"include_usage":true}}'
        )

    def test_conversations_are_not_translated(self) -> None:
        with pytest.raises(Unsupported):
            upstream.write_request(read(), ModelFacts(), WriteOptions(model="m"))

    def test_whole_answer(self) -> None:
        choices = [{"index": 1, "text": "b"}, {"index": 0, "text": "a", "finish_reason": "length", "logprobs": None}]
        body = encode(choices=choices, usage={"prompt_tokens": 3, "completion_tokens": 2}, object="text_completion")
        assert upstream.read_answer(WireAnswer({}, body), REQUEST) == ChatAnswer(
            parts=[Text(text="a")], finish=Finish("length", "length"), usage=Usage(input=3, output=2)
        )

    def test_what_the_client_side_writes_the_upstream_side_reads(self) -> None:
        call = read_whole(client, encode(prompt="a", stream=True, stream_options={"include_usage": True}))
        writer = client.stream_writer(HEAD, call)
        events: list[Event] = [TextDelta("ü"), TextDelta("🌱"), Finish("length", "length")]
        data = b"".join(writer.write(event) for event in events) + writer.end(USAGE, None)
        for at in range(len(data)):
            reader = upstream.stream_reader(REQUEST)
            pieces = [*reader.feed(data[:at]), *reader.feed(data[at:])]
            assert [event for piece in pieces for event in piece.events] == [*events, UsageReport(USAGE)]
            assert reader.complete
        assert [piece.data for piece in pieces][-1] == b"[DONE]"

    def test_a_server_that_tells_no_usage_is_complete_when_it_says_so(self) -> None:
        reader = upstream.stream_reader(REQUEST)
        reader.feed(b'data: {"choices":[{"text":"a","finish_reason":"stop"}]}\n\n')
        assert not reader.complete
        reader.feed(b"data: [DONE]\n\n")
        assert reader.complete

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"<html>", "corrupt"),
            (b"{}", "corrupt"),
            (b'{"choices":[{"text":5}]}', "corrupt"),
            (b'{"error":{"message":"m","type":"t"}}', "t"),
        ],
    )
    def test_faults(self, body: bytes, code: str) -> None:
        with pytest.raises(WireFault) as caught:
            upstream.read_answer(WireAnswer({}, body), REQUEST)
        assert caught.value.code == code

    def test_json_in_place_of_a_stream_is_corrupt(self) -> None:
        with pytest.raises(WireFault) as caught:
            upstream.stream_reader(REQUEST).feed(b'{"choices":[{"text":"a"}]}')
        assert caught.value.code == "corrupt"

    @given(st.binary() | SHAPED.map(lambda value: json.dumps(value).encode()))
    def test_any_input(self, body: bytes) -> None:
        readers: list[Callable[[], object]] = [
            lambda: upstream.read_answer(WireAnswer({}, body), REQUEST),
            lambda: upstream.stream_reader(REQUEST).feed(body),
            lambda: upstream.stream_reader(REQUEST).feed(b"data: " + body + b"\n\n"),
        ]
        for read_it in readers:
            try:
                read_it()
            except WireFault as fault:
                assert fault.code  # noqa: PT017  # whether it raises is up to hypothesis
