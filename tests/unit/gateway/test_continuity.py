"""Responses that go on from earlier ones: kept by us, for the key that they were given to."""

import json
from typing import Any

import pytest
from tests.support.openai_wire import encode, read_call

from sekisho.core.chat import ClientCall, Message, Text, Thinking, ToolCall
from sekisho.core.clock import ManualClock
from sekisho.core.errors import InvalidRequest, NotFound, StoreUnavailable
from sekisho.core.events import ChatAnswer, Finish
from sekisho.core.model import ModelFacts
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, WriteOptions
from sekisho.dialects import openai_chat
from sekisho.dialects.openai_responses import client, upstream
from sekisho.dialects.openai_responses.serving.client import OpenAIResponsesClient
from sekisho.gateway.continuity import Continuity

DAY = 86_400.0
OWNER = "ab" * 32
FIRST = "0198c0de-0000-7000-8000-00000000000a"
SECOND = "0198c0de-0000-7000-8000-00000000000b"


class Memory:
    """Keeps responses in memory; `away` makes it fail as a database does that cannot be reached."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], tuple[bytes, float]] = {}
        self.away = False

    async def put(self, owner: str, response_id: str, body: bytes, expires_at: float) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.kept[owner, response_id] = body, expires_at

    async def get(self, owner: str, response_id: str, now: float) -> bytes | None:
        body, expires_at = self.kept.get((owner, response_id), (None, 0.0))
        return body if expires_at > now else None

    async def delete(self, owner: str, response_id: str) -> bool:
        return self.kept.pop((owner, response_id), None) is not None

    async def purge(self, now: float) -> int:
        expired = [key for key, (_, expires_at) in self.kept.items() if expires_at <= now]
        for key in expired:
            del self.kept[key]
        return len(expired)


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def continuity(memory: Memory, clock: ManualClock) -> Continuity:
    return Continuity(memory, clock, DAY)


def ask(**fields: Any) -> ClientCall:
    return read_call(client, encode(**{"model": "m", "input": "hello", **fields}))


def answer(call: ClientCall, call_id: str, *parts: Text | Thinking | ToolCall) -> bytes:
    whole = ChatAnswer(parts=list(parts), finish=Finish("stop", "end_turn"), usage=Usage())
    return client.write_answer(whole, AnswerHead(call_id=call_id, model="m", created=0), call, None)


async def give_first_answer(continuity: Continuity) -> dict[str, Any]:
    call = ask(instructions="Be brief.")
    await continuity.resume(OWNER, client, call)
    body = answer(call, FIRST, Thinking(text="hm", signature="sig"), Text(text="hi"))
    await continuity.keep(OWNER, client, call, body)
    given: dict[str, Any] = json.loads(body)
    return given


async def test_a_call_goes_on_from_the_answers_before_it(continuity: Continuity) -> None:
    first = await give_first_answer(continuity)
    assert first["store"] is True
    second = ask(input="and?", previous_response_id=first["id"])
    await continuity.resume(OWNER, client, second)
    assert second.chat.system == []
    assert second.chat.messages == [
        Message(role="user", parts=[Text(text="hello")]),
        Message(role="assistant", parts=[Thinking(text="hm", signature="sig"), Text(text="hi")]),
        Message(role="user", parts=[Text(text="and?")]),
    ]
    assert second.opening.first_user == "hello"
    body = answer(second, SECOND, Text(text="so"))
    assert json.loads(body)["previous_response_id"] == first["id"]
    await continuity.keep(OWNER, client, second, body)
    third = ask(input=[{"role": "user", "content": "!"}], previous_response_id=json.loads(body)["id"])
    await continuity.resume(OWNER, client, third)
    assert [message.role for message in third.chat.messages] == ["user", "assistant"] * 2 + ["user"]


async def test_an_upstream_of_the_same_format_is_sent_the_whole_conversation(continuity: Continuity) -> None:
    call = ask(input=[{"role": "user", "content": "hello", "x_new": 1}])
    await continuity.resume(OWNER, client, call)
    output = [{"type": "message", "id": "msg_1", "role": "assistant", "content": [], "x_too": 2}]
    native = {"id": "resp_upstream", "object": "response", "status": "completed", "output": output, "store": False}
    await continuity.keep(OWNER, client, call, json.dumps(native).encode())
    again = ask(input="and?", previous_response_id="resp_upstream")
    await continuity.resume(OWNER, client, again)
    wire = upstream.pass_request(again, ModelFacts(), WriteOptions(model="u"))
    assert wire is not None
    body = json.loads(wire.body)
    assert body["input"] == [
        {"role": "user", "content": "hello", "x_new": 1},
        *output,
        {"type": "message", "role": "user", "content": "and?"},
    ]
    assert "previous_response_id" not in body
    assert body["store"] is False


async def test_references_to_items_are_resolved(continuity: Continuity) -> None:
    first = await give_first_answer(continuity)
    references = [{"type": "item_reference", "id": item["id"]} for item in first["output"]]
    call = ask(input=[{"role": "user", "content": "hello"}, *references, {"role": "user", "content": "and?"}])
    await continuity.resume(OWNER, client, call)
    assert call.chat.messages[1].parts == [Thinking(text="hm", signature="sig"), Text(text="hi")]


async def test_what_is_not_kept_for_this_key_is_refused(continuity: Continuity, clock: ManualClock) -> None:
    first = await give_first_answer(continuity)
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    for fields in ({"previous_response_id": first["id"]}, {"input": [reference]}):
        with pytest.raises(InvalidRequest) as caught:
            await continuity.resume("someone else", client, ask(**fields))
        assert caught.value.param in ("previous_response_id", "input[0]")
    clock.advance(DAY)
    with pytest.raises(InvalidRequest):
        await continuity.resume(OWNER, client, ask(previous_response_id=first["id"]))
    assert await continuity.purge() == 1


async def test_switched_off_nothing_is_kept_and_the_refusal_says_what_to_do(memory: Memory, clock: ManualClock) -> None:
    continuity = Continuity(memory, clock, None)
    first = await give_first_answer(continuity)
    assert first["store"] is False
    assert memory.kept == {}
    with pytest.raises(InvalidRequest, match="response_retention") as caught:
        await continuity.resume(OWNER, client, ask(previous_response_id=first["id"]))
    assert caught.value.param == "previous_response_id"
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    with pytest.raises(InvalidRequest, match="`store` to false"):
        await continuity.resume(OWNER, client, ask(input=[reference]))


@pytest.mark.parametrize("fields", [{"store": False}, {}])
async def test_what_a_client_does_not_want_kept_or_what_broke_is_not_kept(
    continuity: Continuity, memory: Memory, fields: dict[str, Any]
) -> None:
    call = ask(**fields)
    await continuity.resume(OWNER, client, call)
    body = answer(call, FIRST, Text(text="x")) if fields else None
    await continuity.keep(OWNER, client, call, body)
    assert memory.kept == {}


async def test_a_compaction_is_kept_without_what_it_stands_for(continuity: Continuity) -> None:
    call = ask(input=[{"role": "user", "content": "long"}, {"type": "compaction_trigger"}])
    await continuity.resume(OWNER, client, call)
    body = answer(call, FIRST, Text(text="short"))
    await continuity.keep(OWNER, client, call, body)
    again = ask(input="and?", previous_response_id=json.loads(body)["id"])
    await continuity.resume(OWNER, client, again)
    (turn,) = again.chat.messages
    assert [part.text for part in turn.parts if isinstance(part, Text)][1:] == ["and?"]


async def test_a_database_that_is_away_costs_only_the_keeping(continuity: Continuity, memory: Memory) -> None:
    memory.away = True
    await give_first_answer(continuity)
    assert memory.kept == {}


async def test_a_kept_answer_can_be_fetched_and_forgotten_by_its_owner_only(continuity: Continuity) -> None:
    assert isinstance(client, OpenAIResponsesClient)
    first = await give_first_answer(continuity)
    assert json.loads(await continuity.fetch(OWNER, client, first["id"])) == first
    with pytest.raises(NotFound):
        await continuity.forget("someone else", first["id"])
    assert json.loads(await continuity.forget(OWNER, first["id"]))["deleted"] is True
    with pytest.raises(NotFound):
        await continuity.fetch(OWNER, client, first["id"])


async def test_other_formats_are_left_alone(continuity: Continuity, memory: Memory) -> None:
    call = read_call(openai_chat.client, encode(model="m", messages=[{"role": "user", "content": "x"}]))
    await continuity.resume(OWNER, openai_chat.client, call)
    await continuity.keep(OWNER, openai_chat.client, call, b"{}")
    assert memory.kept == {}
