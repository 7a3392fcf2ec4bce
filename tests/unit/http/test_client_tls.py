"""TLS to upstreams, and the proxies of the environment."""

import asyncio
import base64
import contextlib
import ssl

import pytest
import trustme
from tests.support.raw_upstream import OK, Upstream, answering, post, running

from sekisho.http.client import UpstreamClient
from sekisho.http.failures import ConnectFailed


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_tls_is_spoken_and_its_names_are_checked(authority: trustme.CA) -> None:
    trusting, doubting = UpstreamClient(client_tls(authority)), UpstreamClient()
    async with running(answering(OK), tls=server_tls(authority, "localhost")) as upstream:
        url = f"https://localhost:{upstream.port}/x"
        assert await post(trusting, url) == (200, b"hi")
        assert await post(trusting, url, b"x" * 500_000) == (200, b"hi")
        assert upstream.connections == 1
        for client, wrong in ((trusting, f"https://127.0.0.1:{upstream.port}/x"), (doubting, url)):
            with pytest.raises(ConnectFailed, match="certificate"):
                await post(client, wrong)
    await trusting.close()
    await doubting.close()


async def proxying(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A proxy: tunnels for CONNECT, and answers itself for the rest."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    upstream.heads.append(head)
    if not head.startswith("CONNECT "):
        await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
        writer.write(OK)
        await writer.drain()
        return
    host, _, port = head.split()[1].rpartition(":")
    beyond, onward = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
            sink.close()

    await asyncio.gather(pass_on(reader, onward), pass_on(beyond, writer))


async def test_proxies_of_the_environment_are_used(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        running(proxying) as proxy,
        running(answering(OK), tls=server_tls(authority, "localhost")) as upstream,
        running(answering(OK)) as plain,
    ):
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://me:p%40ss@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        for name in ("https_proxy", "http_proxy", "no_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        client = UpstreamClient(client_tls(authority))
        url = f"https://localhost:{upstream.port}/x"
        assert await post(client, url) == (200, b"hi")
        assert await post(client, url) == (200, b"hi")
        assert await post(client, f"http://localhost:{plain.port}/y") == (200, b"hi")
        assert await post(client, plain.url) == (200, b"hi")
        await client.close()
        pair = base64.b64encode(b"me:p@ss").decode()
        tunnel, clear = proxy.heads
        assert tunnel.startswith(f"CONNECT localhost:{upstream.port} HTTP/1.1\r\n")
        assert clear.startswith(f"POST http://localhost:{plain.port}/y HTTP/1.1\r\n")
        assert all(f"proxy-authorization: Basic {pair}\r\n" in head for head in (tunnel, clear))
        assert "proxy-authorization" not in upstream.heads[0] + plain.heads[0]
        assert len(plain.heads) == 1  # NO_PROXY


async def test_a_proxy_that_refuses_is_a_failure_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    for refusal in (
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        b"",
        b"nonsense\r\n\r\n",
    ):
        async with running(answering(refusal)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            client = UpstreamClient()
            with pytest.raises(ConnectFailed):
                await post(client, "https://upstream.invalid/x")
            await client.close()
