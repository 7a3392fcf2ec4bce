"""A small STS over real HTTP: it issues keys, or fails as it is told to, and remembers what it was asked."""

import datetime
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from sekisho.core.clock import ManualClock

_ANSWER = (
    "<{op}Response xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><{op}Result><Credentials>"
    "<AccessKeyId>ASIA{serial:012d}</AccessKeyId><SecretAccessKey>secret-{serial}</SecretAccessKey>"
    "<SessionToken>token-{serial}</SessionToken><Expiration>{expires}</Expiration>"
    "</Credentials></{op}Result></{op}Response>"
)
_ERROR = (
    "<ErrorResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><Error><Type>Sender</Type>"
    "<Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
)


class StsStub:
    """The stub. `failure` is the status and code to fail with; while `gate` is not set nobody is answered."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.url = ""
        self.requests: list[dict[str, str]] = []
        self.failure: tuple[int, str] | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.lifetime = 3600.0

    def answer(self, form: dict[str, str]) -> tuple[int, str]:
        """Status and body of the answer to a request."""
        self.requests.append(form)
        self.gate.wait(10)
        if self.failure is not None:
            return self.failure[0], _ERROR.format(code=self.failure[1])
        expires = datetime.datetime.fromtimestamp(self.clock.now() + self.lifetime, datetime.UTC)
        return 200, _ANSWER.format(
            op=form["Action"], serial=len(self.requests), expires=f"{expires:%Y-%m-%dT%H:%M:%SZ}"
        )


@contextmanager
def running_sts(clock: ManualClock) -> Iterator[StsStub]:
    """Runs the stub on a free port."""
    stub = StsStub(clock)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
            form["authorization"] = self.headers.get("authorization", "")
            status, body = stub.answer(form)
            self.send_response(status)
            self.send_header("content-type", "text/xml")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stub
    finally:
        stub.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
