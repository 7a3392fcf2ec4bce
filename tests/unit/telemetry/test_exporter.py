"""The exporter: every call is counted with its fate, and none waits for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
from tests.support.ended import ended
from tests.support.otlp import read_request

from sekisho.telemetry.counts import open_counts
from sekisho.telemetry.destinations import Destination, Export
from sekisho.telemetry.exporter import Answer, Exporter, Post
from sekisho.telemetry.metrics import EXPORTS, Metrics
from sekisho.telemetry.spans import SpanWriter

IDS = [f"01901234-5678-7abc-8def-{number:012x}" for number in range(600)]


class Backend:
    """Answers as it is told to, and keeps the ids of the traces that it has taken."""

    def __init__(self, judge: Callable[[Sequence[str]], int | Answer] = lambda ids: 200) -> None:
        self.judge = judge
        self.taken: list[str] = []
        self.asked = 0
        self.sizes: list[int] = []
        self.headers: Mapping[str, str] = {}
        self.came = asyncio.Event()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Answer:
        assert url == "http://sink/v1/traces"
        self.headers = headers
        message = read_request(body)
        ids = [span.trace_id.hex() for span in message.resource_spans[0].scope_spans[0].spans]
        self.asked += 1
        self.sizes.append(len(ids))
        answer = self.judge(ids)
        answer = Answer(answer) if isinstance(answer, int) else answer
        if answer.status == 200:
            self.taken += ids
        self.came.set()
        return answer

    async def wait_until(self, reached: Callable[[], bool]) -> None:
        """Wait for requests, until it is so."""
        while not reached():
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), 10)


class Running:
    """An exporter, and what it has counted."""

    def __init__(self, post: Post, **settings: object) -> None:
        self.metrics = Metrics(open_counts(None, "run"))
        destination = Destination(name="otel", url="http://sink/v1/traces", headers={"x-team": "a"})
        export = Export(resource={"service.name": "sekisho"}, **{"delay": 0.001, **settings})  # type: ignore[arg-type]  # of any kind
        self.exporter = Exporter(destination, export, "1", post, self.metrics, pauses=(0.0, 0.0))
        self._spans = SpanWriter()

    def put(self, ids: Sequence[str]) -> None:
        for one in ids:
            self.exporter.put(self._spans.write_call(ended(id=one, attempts=[])))

    def fates(self) -> dict[str, int]:
        return {labels[1]: values[0] for table, labels, values in self.metrics.read_all() if table == EXPORTS}


@asynccontextmanager
async def running(post: Post, **settings: object) -> AsyncIterator[Running]:
    one = Running(post, **settings)
    one.exporter.start()
    yield one
    await one.exporter.close()


def hexes(ids: Sequence[str]) -> list[str]:
    return [one.replace("-", "") for one in ids]


async def test_calls_go_in_batches_and_in_order() -> None:
    backend = Backend()
    async with running(backend.post, batch=100) as one:
        one.put(IDS[:250])
        await asyncio.wait_for(backend.came.wait(), 10)
    assert backend.taken == hexes(IDS[:250])
    assert backend.sizes == [100, 100, 50]
    assert backend.headers == {"content-type": "application/x-protobuf", "x-team": "a"}
    assert one.fates() == {"exported": 250}


async def test_what_waits_is_sent_when_the_gateway_stops() -> None:
    backend = Backend()
    async with running(backend.post, delay=3600.0) as one:
        one.put(IDS[:3])
    assert backend.taken == hexes(IDS[:3])
    assert one.fates() == {"exported": 3}


async def test_a_full_batch_does_not_wait() -> None:
    backend = Backend()
    async with running(backend.post, delay=3600.0, batch=10) as one:
        one.put(IDS[:10])
        await asyncio.wait_for(backend.came.wait(), 10)
        assert backend.taken == hexes(IDS[:10])


@pytest.mark.parametrize("status", [0, 429, 500, 503])
async def test_what_passes_is_tried_again(status: int, caplog: pytest.LogCaptureFixture) -> None:
    answers = [status, status, 200]
    backend = Backend(lambda ids: answers.pop(0))
    async with running(backend.post) as one:
        one.put(IDS[:2])
        await backend.wait_until(lambda: not answers)
    assert backend.taken == hexes(IDS[:2])
    assert one.fates() == {"exported": 2}
    assert caplog.text.count("spans are not taken destination=otel") == 1


async def test_what_does_not_pass_is_given_up_and_counted() -> None:
    backend = Backend(lambda ids: 503)
    async with running(backend.post) as one:
        one.put(IDS[:2])
        await backend.wait_until(lambda: backend.asked == 3)
        backend.judge = lambda ids: 200
        one.put(IDS[2:4])
    assert backend.taken == hexes(IDS[2:4])
    assert one.fates() == {"unreachable": 2, "exported": 2}


async def test_when_nobody_takes_them_no_more_than_the_queue_is_kept() -> None:
    gate = asyncio.Event()
    backend = Backend()

    async def post(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Answer:
        await gate.wait()
        return await backend.post(url, headers, body, seconds)

    async with running(post, queue=20, batch=5) as one:
        one.put(IDS[:100])
        assert one.fates() == {"queue_full": 80}
        gate.set()
    assert backend.taken == hexes(IDS[:20])
    assert one.fates() == {"queue_full": 80, "exported": 20}


@pytest.mark.parametrize("status", [400, 422])
async def test_one_wrong_call_does_not_take_the_others_with_it(status: int) -> None:
    wrong = hexes([IDS[137]])[0]
    backend = Backend(lambda ids: status if wrong in ids else 200)
    async with running(backend.post) as one:
        one.put(IDS[:512])
    assert sorted(backend.taken) == sorted(one for one in hexes(IDS[:512]) if one != wrong)
    assert one.fates() == {"exported": 511, "refused": 1}
    assert backend.asked < 25


async def test_a_wrong_destination_is_not_asked_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    backend = Backend(lambda ids: 400)
    async with running(backend.post) as one:
        one.put(IDS[:512])
    assert one.fates() == {"refused": 512}
    assert backend.asked <= 41 + 40
    refusing = Backend(lambda ids: 401)
    async with running(refusing.post) as one:
        one.put(IDS[:512])
    assert (refusing.asked, one.fates()) == (1, {"refused": 512})
    assert "spans are not taken destination=otel status=401" in caplog.text


async def test_stopping_does_not_wait_for_a_destination_that_hangs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sekisho.telemetry.exporter._FLUSH_SECONDS", 0.01)

    async def hang(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError

    async with running(hang) as one:
        one.put(IDS[:7])
    assert "spans of 7 calls were not sent destination=otel" in caplog.text
