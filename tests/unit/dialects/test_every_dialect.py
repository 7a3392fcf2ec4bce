"""What must be true of every dialect, whoever wrote it: the folders are found as the gateway finds them."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sekisho.assembly import client_dialects, upstream_dialects
from sekisho.core.errors import CallerError
from sekisho.core.events import Event
from sekisho.core.wire import ClientDialect, Endpoint, Inbound, WireAnswer, WireFault, WireRequest

CLIENTS = [(client, endpoint) for client in client_dialects() for endpoint in client.endpoints]
UPSTREAMS = upstream_dialects()
TALKING = {name: upstream for name, upstream in UPSTREAMS.items() if hasattr(upstream, "stream_reader")}
RECORDED = Path(__file__).parent / "recorded"
"""Streams of every upstream's dialect, byte for byte as they came: `recorded/<dialect>/*.bin`."""
FOUND = Path(__file__).parent / "found"
"""Bodies that some reader once failed on."""

scalars = st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=False) | st.text(max_size=8)
# The words that dialects look for, so that arbitrary JSON gets past their first look.
WORDS = """
    model messages role user assistant system content text type input output stream tools name id function arguments
    tool_use tool_result image source data thinking toolUse cachePoint choices delta usage index message max_tokens
    input_text function_call response item reasoning prompt embedding inputText texts anthropic_version
"""
words = st.sampled_from(WORDS.split())
documents = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5),
    max_leaves=25,
)
bodies = st.binary(max_size=200) | documents.map(lambda document: json.dumps(document).encode())


def read(client: ClientDialect, endpoint: Endpoint, body: bytes) -> None:
    model = "sonnet" if "{model}" in endpoint.path else None
    inbound = Inbound(endpoint=endpoint, body=body, header=lambda _: None, model=model)
    client.read_call(inbound).read()


@pytest.mark.parametrize(("client", "endpoint"), CLIENTS, ids=lambda value: getattr(value, "path", ""))
@given(body=bodies)
@example(body=b"")
@example(body=b"[" * 100_000)
@example(body=b'{"model": "\xff"}')
@example(body=b'{"messages": [{"role": "user", "content": "\\ud800"}]}')
def test_a_request_is_read_or_refused_as_the_callers_fault(
    client: ClientDialect, endpoint: Endpoint, body: bytes
) -> None:
    refusal: CallerError | None = None
    try:
        read(client, endpoint, body)
    except CallerError as error:
        refusal = error
    if refusal is not None:
        assert 400 <= refusal.status < 500
        assert isinstance(json.loads(client.write_error(refusal)), dict)


@pytest.mark.parametrize(("client", "endpoint"), CLIENTS, ids=lambda value: getattr(value, "path", ""))
@pytest.mark.parametrize("found", sorted(FOUND.glob("*")), ids=lambda path: path.name)
def test_what_was_found_once_stays_found(client: ClientDialect, endpoint: Endpoint, found: Path) -> None:
    with contextlib.suppress(CallerError):
        read(client, endpoint, found.read_bytes())
    for upstream in TALKING.values():
        with contextlib.suppress(WireFault):
            upstream.read_answer(WireAnswer({}, found.read_bytes()), WireRequest(body=b""))


@pytest.mark.parametrize("name", TALKING)
@given(body=bodies)
def test_an_answer_is_read_or_is_a_fault(name: str, body: bytes) -> None:
    try:
        answer = TALKING[name].read_answer(WireAnswer({}, body), WireRequest(body=b""))
    except WireFault:
        return
    assert answer.usage.total >= 0


@pytest.mark.parametrize("name", TALKING)
@given(
    chunks=st.lists(bodies | documents.map(lambda each: b"data: " + json.dumps(each).encode() + b"\n\n"), max_size=6)
)
def test_a_stream_is_read_or_is_a_fault(name: str, chunks: list[bytes]) -> None:
    reader = TALKING[name].stream_reader(WireRequest(body=b""))
    try:
        pieces = [piece for chunk in chunks for piece in reader.feed(chunk)]
    except WireFault:
        return
    assert all(isinstance(piece.data, bytes) for piece in pieces)


def events_of(name: str, chunks: list[bytes]) -> tuple[list[Event], list[tuple[str | None, bytes]], bool]:
    reader = TALKING[name].stream_reader(WireRequest(body=b""))
    pieces = [piece for chunk in chunks for piece in reader.feed(chunk)]
    events = [event for piece in pieces for event in piece.events]
    return events, [(piece.name, piece.data) for piece in pieces], reader.complete


@pytest.mark.parametrize("name", TALKING)
def test_every_upstream_has_recorded_streams(name: str) -> None:
    assert list((RECORDED / name).glob("*.bin"))


def recordings() -> list[Any]:
    paths = sorted(RECORDED.glob("*/*.bin"))
    return [pytest.param(path.parent.name, path, id=f"{path.parent.name}-{path.stem}") for path in paths]


@pytest.mark.parametrize(("name", "path"), recordings())
def test_a_stream_means_the_same_wherever_it_is_cut(name: str, path: Path) -> None:
    data = path.read_bytes()
    whole = events_of(name, [data])
    assert whole[0]
    assert whole[2]
    for cut in range(1, len(data)):
        assert events_of(name, [data[:cut], data[cut:]]) == whole
    assert events_of(name, [data[index : index + 1] for index in range(len(data))]) == whole
