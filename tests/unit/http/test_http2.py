"""HTTP/2 as a client sees it: requests, bodies, and how streams and connections end."""

import asyncio
from typing import Any

import pytest
from h2 import events
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from tests.support.http2 import Client, Receive, Scope, Send, Settings, serving, settled

from sekisho.http.asgi import LINE
from sekisho.http.http2_framing import STREAM_WINDOW


async def answer(send: Send, body: bytes = b"", status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        pieces.append(message["body"])
        if not message["more_body"]:
            return b"".join(pieces)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, await read_body(receive))


async def test_a_request_has_the_shape_that_it_has_over_http_1() -> None:
    scopes: list[dict[str, Any]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(dict(scope))
        await answer(send, b"{}", 201, (b"Content-Type", b"application/json"), (b"connection", b"close"))

    async with serving(app) as server, Client.connected(server.port) as client:
        stream = client.request("/model/us.x%3A0/%E9%96%A2?a=b&c", method="POST", x_api_key="k")
        status, headers, body = await client.answer(stream)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = b"POST /model/us.x%3A0/%E9%96%A2?a=b&c HTTP/1.1\r\nHost: gateway.test\r\nX-Api-Key: k\r\n"
        writer.write(head + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 201 ")
        writer.close()
    assert (status, headers["content-type"], body) == (201, "application/json", b"{}")
    assert "date" in headers
    assert "connection" not in headers
    two, one = scopes
    assert two["http_version"] == "2"
    assert one["http_version"] == "1.1"
    assert two["headers"] == [(b"host", b"gateway.test"), (b"x-api-key", b"k")]
    assert two["path"] == "/model/us.x:0/関"
    assert two["client"][0] == "127.0.0.1"
    same = {*one} - {"http_version", "headers", "client", "extensions"}
    assert {name: two[name] for name in same} == {name: one[name] for name in same}


async def test_the_preface_may_come_in_pieces() -> None:
    async with serving(echo) as server, Client.connected(server.port) as client:
        await client.answer(client.request())
        other = Client()
        other.h2.initiate_connection()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for byte in other.h2.data_to_send():
            writer.write(bytes([byte]))
            await writer.drain()
            await client.answer(client.request())  # the server has had a turn
        other._reader, other._writer = reader, writer
        assert (await other.answer(other.request()))[0] == 200
        writer.close()


@pytest.mark.parametrize("start", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", b"P\0"])
async def test_what_only_begins_like_a_preface_is_bad_http_1(start: bytes) -> None:
    async with serving(echo) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(start)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_requests_run_side_by_side() -> None:
    running, all_here = 0, asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal running
        running += 1
        if running == 100:
            all_here.set()
        await all_here.wait()
        await echo(scope, receive, send)

    async with serving(app) as server, Client.connected(server.port) as client:
        streams = [client.request(end=False) for _ in range(100)]
        for stream in streams:
            client.send(stream, b"%d" % stream, end=True)
        assert [(await client.answer(stream))[2] for stream in streams] == [b"%d" % stream for stream in streams]


async def test_large_bodies_pass_small_windows_both_ways() -> None:
    body = bytes(range(256)) * 8192
    settings: Settings = {SettingCodes.INITIAL_WINDOW_SIZE: 5000}
    async with serving(echo) as server, Client.connected(server.port, settings) as client:
        streams = [client.request(end=False) for _ in range(2)]
        for stream in streams:
            await client.upload(stream, body)
        for stream in streams:
            assert (await client.answer(stream))[2] == body


async def test_a_body_that_is_not_read_stops_at_the_window() -> None:
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await echo(scope, receive, send)

    body = b"x" * (3 * STREAM_WINDOW)
    async with serving(app) as server, Client.connected(server.port) as client:
        await client.until(events.RemoteSettingsChanged)
        stream = client.request(end=False)
        uploading = asyncio.create_task(client.upload(stream, body))
        await settled(lambda: client.h2.local_flow_control_window(stream))
        assert not uploading.done()
        assert client.h2.local_flow_control_window(stream) == 0
        go_on.set()
        await uploading
        assert (await client.answer(stream))[2] == body


async def test_a_request_that_is_answered_unread_leaves_the_connection_its_window() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"no", 413)

    async with serving(app) as server, Client.connected(server.port) as client:
        await client.until(events.RemoteSettingsChanged)
        for _ in range(10):  # together more than the connection's window
            stream = client.request(end=False)
            left = 200_000
            while left and stream in client.h2.streams and client.h2.streams[stream].open:
                room = min(client.h2.local_flow_control_window(stream), client.h2.max_outbound_frame_size, left)
                if room:
                    client.send(stream, bytes(room))
                    left -= room
                else:
                    await client.read()
            await client.until(events.StreamReset, stream, error_code=ErrorCodes.NO_ERROR)
            assert (await client.answer(stream))[0] == 413


async def test_a_client_that_grants_no_window_is_sent_nothing() -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 10, "more_body": True})
            sent += 10
        await send({"type": "http.response.body"})

    settings: Settings = {SettingCodes.INITIAL_WINDOW_SIZE: 25}
    async with serving(app) as server, Client.connected(server.port, settings, generous=False) as client:
        stream = client.request()
        await client.until(events.ResponseReceived, stream)
        await settled(lambda: sent)
        assert sent == 20  # and half of the third piece
        client.h2.increment_flow_control_window(9_975, stream)
        client.flush()
        assert (await client.answer(stream))[2] == b"x" * 10_000


async def test_a_client_that_does_not_read_holds_the_application_back() -> None:
    total, sent = 64, 0
    piece = b"x" * 1024 * 1024

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(total):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            sent += 1
        await send({"type": "http.response.body"})

    settings: Settings = {SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1}
    async with serving(app) as server, Client.connected(server.port, settings, buffer=65536) as client:
        client.h2.increment_flow_control_window(2**31 - 1 - 65535)
        stream = client.request()
        await settled(lambda: sent)
        assert sent < total // 4  # what the kernel's buffers take
        assert len((await client.answer(stream))[2]) == total * len(piece)


async def test_streams_that_share_a_window_take_turns() -> None:
    size = 2 * 1024 * 1024

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, bytes(size))

    settings: Settings = {SettingCodes.INITIAL_WINDOW_SIZE: size}  # the connection's stays at 64 KiB
    async with serving(app) as server, Client.connected(server.port, settings) as client:
        streams = [client.request() for _ in range(4)]
        await client.until(events.StreamEnded)
        assert min(len(client.bodies[stream]) for stream in streams) > size // 2
        for stream in streams:
            assert len((await client.answer(stream))[2]) == size


async def test_a_reset_reaches_the_application_and_no_other_stream() -> None:
    said: asyncio.Queue[str] = asyncio.Queue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/other":
            await echo(scope, receive, send)
            return
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        said.put_nowait((await receive())["type"])
        await send({"type": "http.response.body", "body": b"nobody gets this", "more_body": True})
        said.put_nowait("done")

    async with serving(app) as server, Client.connected(server.port) as client:
        other, stream = client.request("/other", end=False), client.request()
        await client.until(events.DataReceived, stream)
        client.h2.reset_stream(stream, ErrorCodes.CANCEL)
        client.flush()
        assert await said.get() == "http.disconnect"
        assert await said.get() == "done"
        client.send(other, b"still here", end=True)
        assert (await client.answer(other))[2] == b"still here"


async def test_a_line_is_full_while_the_window_is_closed_and_tells_when_it_opens() -> None:
    room = asyncio.Event()
    parts = [b"%04d" % number * 1000 for number in range(50)]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        line = scope["extensions"][LINE]
        line.begin(200, [])
        for part in parts:
            line.write(part)
        assert line.full
        line.on_room(room.set)
        await room.wait()
        assert not line.full
        line.finish(b"end")

    settings: Settings = {SettingCodes.INITIAL_WINDOW_SIZE: 5_000}
    async with serving(app) as server, Client.connected(server.port, settings) as client:
        assert (await client.answer(client.request()))[2] == b"".join(parts) + b"end"


async def test_a_line_that_is_lost_has_room_for_nothing_and_everything() -> None:
    room = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        line = scope["extensions"][LINE]
        line.begin(200, [])
        line.write(b"x" * 100_000)
        line.on_room(room.set)
        await room.wait()
        assert not line.full
        line.write(b"y" * 100_000)
        line.finish()

    async with serving(app) as server, Client.connected(server.port, generous=False) as client:
        await client.until(events.DataReceived, client.request())
        client.cut()
        await room.wait()


async def test_a_reset_frees_an_application_that_waits_for_the_window() -> None:
    done = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"x" * 100_000)
        done.set()

    settings: Settings = {SettingCodes.INITIAL_WINDOW_SIZE: 1}
    async with serving(app) as server, Client.connected(server.port, settings, generous=False) as client:
        stream = client.request()
        await client.until(events.DataReceived, stream)
        client.h2.reset_stream(stream)
        client.flush()
        await done.wait()


async def test_a_lost_connection_reaches_every_application() -> None:
    said: asyncio.Queue[str] = asyncio.Queue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/unread":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(1000):
                await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        else:
            await read_body(receive)
        said.put_nowait((await receive())["type"])

    async with serving(app) as server, Client.connected(server.port, generous=False) as client:
        for path in ("/", "/unread", "/unread"):
            client.request(path)
        await client.until(events.DataReceived)
        client.cut()
        assert [await said.get() for _ in range(3)] == ["http.disconnect"] * 3


@pytest.mark.parametrize("how", ["raise", "return"])
async def test_an_answer_that_breaks_is_reset_and_never_looks_complete(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        if how == "raise":
            raise ValueError("broken")

    async with serving(app) as server, Client.connected(server.port) as client:
        stream = client.request()
        reset = await client.until(events.StreamReset, stream)
        assert reset.error_code == ErrorCodes.INTERNAL_ERROR
        assert client.bodies[stream] == b"half"
    assert ("broken" in caplog.text) == (how == "raise")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_application_that_fails_before_its_answer_gives_500(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("broken")

    async with serving(app) as server, Client.connected(server.port) as client:
        assert (await client.answer(client.request(method=method, end=method == "GET")))[0] == 500


async def test_messages_out_of_order_are_the_applications_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.body", "body": b"too early"})

    async with serving(app) as server, Client.connected(server.port) as client:
        assert (await client.answer(client.request()))[0] == 500
    assert "does not belong here" in caplog.text


async def test_a_head_request_gets_no_body() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"12345", 200, (b"content-length", b"5"))

    async with serving(app) as server, Client.connected(server.port) as client:
        status, headers, body = await client.answer(client.request(method="HEAD"))
        assert (status, headers["content-length"], body) == (200, "5", b"")


async def test_a_client_that_expects_100_continue_gets_it_when_its_body_is_wanted() -> None:
    async with serving(echo) as server, Client.connected(server.port) as client:
        stream = client.request(end=False, expect="100-continue")
        await client.until(events.InformationalResponseReceived, stream)
        client.send(stream, b"now", end=True)
        assert (await client.answer(stream))[2] == b"now"


async def test_trailers_end_a_body() -> None:
    async with serving(echo) as server, Client.connected(server.port) as client:
        stream = client.request(end=False)
        client.send(stream, b"body")
        client.h2.send_headers(stream, [("x-checksum", "1")], end_stream=True)
        client.flush()
        assert (await client.answer(stream))[2] == b"body"


async def test_a_ping_is_answered() -> None:
    async with serving(echo) as server, Client.connected(server.port) as client:
        client.h2.ping(b"12345678")
        client.flush()
        assert (await client.until(events.PingAckReceived)).ping_data == b"12345678"


async def test_stopping_lets_streams_end_and_takes_no_new_ones() -> None:
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"to the end"})

    async with serving(app) as server, Client.connected(server.port) as client:
        stream = client.request()
        await client.until(events.ResponseReceived, stream)
        server.stopping.set()
        assert (await client.until(events.ConnectionTerminated)).last_stream_id == stream
        late = client.request()
        assert (await client.until(events.StreamReset, late)).error_code == ErrorCodes.REFUSED_STREAM
        go_on.set()
        assert (await client.answer(stream))[2] == b"to the end"
        await client.hung_up()


async def test_stopping_closes_idle_connections_at_once() -> None:
    async with serving(echo) as server, Client.connected(server.port) as client:
        await client.answer(client.request())
        server.stopping.set()
        await client.until(events.ConnectionTerminated, error_code=ErrorCodes.NO_ERROR)
        await client.hung_up()


async def test_a_client_that_says_goodbye_still_gets_its_answers() -> None:
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await answer(send, b"x" * 100_000)

    async with serving(app) as server, Client.connected(server.port) as client:
        stream = client.request()
        client.h2.say_goodbye()
        client.h2.ping(b"together")  # more frames in the same packet
        client.flush()
        go_on.set()
        assert len((await client.answer(stream))[2]) == 100_000
        await client.hung_up()
