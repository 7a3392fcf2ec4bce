"""What the gateway reads of a Chat Completions request before it knows where the call will go."""

import json

import pytest
from tests.support.openai_wire import encode, read_call, read_whole

from sekisho.core.chat import Opening
from sekisho.core.errors import InternalError, InvalidRequest
from sekisho.core.usage import Usage
from sekisho.dialects.openai_chat import client

HELLO = [{"role": "user", "content": "hello"}]


def turn(role: str, content: object) -> dict[str, object]:
    return {"role": role, "content": content}


def opening(*turns: object) -> Opening:
    return read_call(client, encode(messages=turns)).opening


class TestReadingLater:
    def test_the_conversation_is_read_when_it_is_asked_for(self) -> None:
        call = read_call(client, encode(model="m", messages=HELLO, temperature="hot"))
        assert call.model == "m"
        with pytest.raises(InvalidRequest, match="temperature"):
            _ = call.chat

    @pytest.mark.parametrize("messages", ["hi", 5, [5], [[]], {"role": "user"}])
    def test_broken_messages_are_told_when_they_are_read(self, messages: object) -> None:
        call = read_call(client, encode(model="m", messages=messages, user="u"))
        assert (call.model, call.end_user, call.opening) == ("m", "u", Opening())
        with pytest.raises(InvalidRequest, match="messages"):
            _ = call.chat

    def test_the_body_is_kept_as_it_came(self) -> None:
        body = b'{ "messages":[{"role":"user","content":"\\u00fc"}] , "x_new": 1.50 }'
        assert read_call(client, body).body == body

    def test_wrapped_fields_are_beside_the_others_in_the_body_too(self) -> None:
        body = b'{"messages":[],"temperature":0.50,"extra_body":{"temperature":1,"x":1.50,"stream":true,"tags":["a"]}}'
        call = read_call(client, body)
        assert (call.stream, call.tags) == (True, ["a"])
        assert b'"x":1.50' in call.body
        assert json.loads(call.body) == {"messages": [], "temperature": 0.5, "x": 1.5, "stream": True, "tags": ["a"]}


class TestEnvelope:
    def test_family_and_path(self) -> None:
        call = read_call(client, encode(messages=HELLO))
        assert (call.family, call.path) == (client.family, "/v1/chat/completions")

    def test_model_of_the_path_comes_first(self) -> None:
        assert read_call(client, encode(model="b", messages=HELLO), model="a/b").model == "a/b"

    def test_output_limit(self) -> None:
        assert read_call(client, encode(max_tokens=5)).max_output_tokens == 5
        assert read_call(client, encode(max_tokens=5, max_completion_tokens=7)).max_output_tokens == 7
        assert read_call(client, encode()).max_output_tokens is None

    def test_every_path_is_a_chat(self) -> None:
        paths = {endpoint.path for endpoint in client.endpoints}
        assert {"/v1/chat/completions", "/chat/completions", "/openai/deployments/{model}/chat/completions"} <= paths
        assert {(endpoint.call_type, endpoint.operation) for endpoint in client.endpoints} == {("acompletion", "chat")}

    def test_request_id(self) -> None:
        assert client.answer_headers("0199", Usage()) == ((b"x-request-id", b"0199"),)

    def test_it_counts_no_tokens(self) -> None:
        with pytest.raises(InternalError):
            client.write_count(5)


class TestOpening:
    def test_system_and_first_user_message(self) -> None:
        text, image = {"type": "text", "text": "draw"}, {"type": "image_url", "image_url": {"url": "data:"}}
        assert opening(
            turn("system", "You are Cline."),
            turn("developer", [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]),
            turn("user", [text, image, {"type": "text", "text": "a cat"}]),
            turn("assistant", "no"),
            turn("user", "later"),
        ) == Opening("You are Cline.\nBe brief.", "draw\na cat")

    def test_without_user_or_system(self) -> None:
        assert opening(turn("user", "x")) == Opening("", "x")
        assert opening(turn("system", "x"), turn("assistant", None)) == Opening("x", "")

    def test_content_of_another_type_says_nothing(self) -> None:
        assert opening(turn("system", 5), turn("user", [{"text": 5}])) == Opening()

    def test_cache_marks_do_not_change_it(self) -> None:
        part = {"type": "text", "text": "hi"}
        marked = part | {"cache_control": {"type": "ephemeral"}}
        assert opening(turn("user", [part])) == opening(turn("user", [marked])) == opening(turn("user", "hi"))

    def test_reading_all_of_it_leaves_the_envelope_as_it_was(self) -> None:
        body = encode(model="m", messages=HELLO)
        assert read_whole(client, body).opening == read_call(client, body).opening


@pytest.mark.parametrize("names", [["m"] * 33, ["m" * 501], [{"m": ["a"] * 33}], [{"*": ["a" * 501]}]])
def test_what_nobody_wishes_is_not_looked_up(names: list[object]) -> None:
    with pytest.raises(InvalidRequest, match="at most 32 models") as refusal:
        read_call(client, encode(model="m", messages=[], fallbacks=names))
    assert refusal.value.param == "fallbacks"
