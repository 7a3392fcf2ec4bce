"""`python -m benchmarks.failover`: what it costs a call that its first deployment refuses it.

Two upstreams, each in a process of its own, answer after a fixed time: one serves, one throttles. Asked in turn are a
model whose deployment serves, one whose first deployment throttles, and the throttling upstream itself. What a failover
adds beyond the round trip to the one that refused is the gateway's own: its CPU time, and the waits of a machine that
has other things to do. Nothing rests, so that every call fails over.
"""

import argparse
import asyncio
import contextlib
import http.client
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import uvloop

from benchmarks import wires
from benchmarks.gateways import HOST, ROOT, Started, make_key, run_configured

_KEYS = {"aws_access_key_id": "AKIABENCHMARK", "aws_secret_access_key": "benchmark", "aws_region_name": "us-east-1"}
_MODEL = "bedrock/converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
_SERVED = ("200 OK", "", wires.converse_answer())
_THROTTLED = ("429 Too Many Requests", "x-amzn-errortype: ThrottlingException\r\n", b'{"message":"Too many tokens"}')
_SETTLE_CALLS = 20


def main() -> None:
    """Measure, and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.failover", description="What a failover costs.")
    parser.add_argument("--calls", type=int, default=300, help="how many calls of each kind (default: 300)")
    parser.add_argument("--delay", type=float, default=20.0, help="an upstream's time to answer, in milliseconds")
    parser.add_argument("--upstream", choices=("serves", "throttles"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.upstream is not None:
        uvloop.run(_answer_forever(_SERVED if arguments.upstream == "serves" else _THROTTLED, arguments.delay / 1000))
        return
    with _run_upstream("serves", arguments.delay) as serving, _run_upstream("throttles", arguments.delay) as throttling:
        figures = _measure(serving, throttling, arguments.calls)
    for name, value in figures.items():
        sys.stdout.write(f"{name:<42} {value:8.2f} ms\n")


def _measure(serving: int, throttling: int, calls: int) -> dict[str, float]:
    models = [_deployment("served", serving), _deployment("failing", throttling, 1), _deployment("failing", serving, 2)]
    configuration = {
        "model_list": models,
        "router_settings": {"routing_strategy": "simple-shuffle", "disable_cooldowns": True},
    }
    with tempfile.TemporaryDirectory() as folder, run_configured(Path(folder) / "home", configuration) as gateway:
        key = make_key(gateway.port)
        targets = {"served": gateway.port, "failing": gateway.port, "refusal": throttling}
        times: dict[str, list[float]] = {name: [] for name in targets}
        with contextlib.ExitStack() as stack:
            connections = {
                name: stack.enter_context(contextlib.closing(http.client.HTTPConnection(HOST, port)))
                for name, port in targets.items()
            }
            for number in range(calls + _SETTLE_CALLS):
                for name, connection in connections.items():
                    seconds = _call(connection, name, key, number, expected=429 if name == "refusal" else 200)
                    if number >= _SETTLE_CALLS:
                        times[name].append(seconds * 1000)
            cpu = {
                name: _spend_cpu(gateway, connections[name], name, key, calls) * 1000 for name in ("served", "failing")
            }
    median = {name: statistics.median(values) for name, values in times.items()}
    added = median["failing"] - median["served"]
    return {
        "a call that is served at once": median["served"],
        "a call whose first deployment refuses": median["failing"],
        "what the failover adds": added,
        "the refusing upstream's round trip": median["refusal"],
        "what the failover adds beyond it": added - median["refusal"],
        "CPU time that the failover adds": cpu["failing"] - cpu["served"],
    }


def _spend_cpu(gateway: Started, connection: http.client.HTTPConnection, model: str, key: str, calls: int) -> float:
    """The gateway's CPU seconds for each of some calls."""
    before = gateway.group.cpu_seconds()
    for number in range(calls):
        _call(connection, model, key, number, expected=200)
    return (gateway.group.cpu_seconds() - before) / calls


def _deployment(name: str, port: int, order: int = 1) -> dict[str, object]:
    endpoint = f"http://{HOST}:{port}"
    params = {"model": _MODEL, "aws_bedrock_runtime_endpoint": endpoint, "order": order, **_KEYS}
    return {"model_name": name, "litellm_params": params}


def _call(connection: http.client.HTTPConnection, model: str, key: str, number: int, expected: int) -> float:
    """One call: how many seconds until the end of its answer."""
    body = msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": f"call {number}"}]})
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    began = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", body, headers)
    with connection.getresponse() as response:
        text = response.read()
    if response.status != expected:
        raise SystemExit(f"{model}: {response.status} {text[:300].decode()}")
    return time.perf_counter() - began


@contextlib.contextmanager
def _run_upstream(kind: str, delay: float) -> Iterator[int]:
    """An upstream for the length of a `with`; gives its port."""
    command = (sys.executable, "-m", "benchmarks.failover", "--upstream", kind, "--delay", str(delay))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


async def _answer_forever(answer: tuple[str, str, bytes], delay: float) -> None:
    """Answer every request alike, each after `delay` seconds; print the port first."""
    status, header, body = answer
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{header}content-length: {len(body)}\r\n\r\n"

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = request.partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                await asyncio.sleep(delay)
                writer.write(head.encode() + body)
        writer.close()

    server = await asyncio.start_server(handle, HOST, 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    main()
