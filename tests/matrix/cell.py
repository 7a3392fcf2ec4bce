"""One cell of the matrix at work: a client's API in front of an upstream, through a running gateway."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tests.matrix.clients import Client
from tests.matrix.conversation import Conversation, Outcome, Sent
from tests.matrix.upstreams import Upstream
from tests.support.gateway import Gateway, Simulator

_PATIENCE_SECONDS = 20


class Refused(Exception):
    """The request was refused as one that cannot be served."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"{outcome.status}: {outcome.error}")
        self.outcome = outcome


def record_bodies(simulator: Simulator) -> None:
    """Let the simulator's log of calls keep what it receives."""
    request = Request(f"{simulator.url}/_simulator/recording", data=b'{"on": true}', method="PUT")
    with urlopen(request, timeout=_PATIENCE_SECONDS):
        pass


@dataclass(frozen=True)
class Cell:
    """What a feature is shown with.

    model: the upstream's name in the gateway's configuration.
    native: whether the client speaks the upstream's own format, so that its bytes are passed on.
    """

    client: Client
    model: str
    upstream: Upstream
    native: bool
    stream: bool
    gateway: Gateway
    simulator: Simulator

    def ask(self, conversation: Conversation) -> Outcome:
        """The answer to a request that must succeed. Raises Refused when the request is said to be at fault."""
        outcome = self.try_to_ask(conversation)
        if 400 <= outcome.status < 500:
            raise Refused(outcome)
        assert (outcome.status, outcome.error) == (200, None), str(outcome.error)
        assert outcome.whole
        assert outcome.input_tokens > 0
        assert outcome.output_tokens > 0
        return outcome

    def try_to_ask(self, conversation: Conversation) -> Outcome:
        """The answer, whatever it is."""
        sent = self.client.build(conversation, self.model, stream=self.stream)
        connection = http.client.HTTPConnection(urlsplit(self.gateway.url).netloc, timeout=_PATIENCE_SECONDS)
        try:
            connection.request("POST", sent.path, _encode(sent), self._headers(sent))
            response = connection.getresponse()
            try:
                body = response.read()
            except http.client.IncompleteRead as cut:
                body = cut.partial
        finally:
            connection.close()
        if self.stream and response.status == 200:
            outcome = self.client.read_stream(body)
        else:
            outcome = self.client.read_answer(response.status, body)
        outcome.dropped = response.headers.get("x-sekisho-dropped-params", "")
        return outcome

    def last_body(self) -> str:
        """What the upstream was sent last."""
        body: str = self.simulator.calls()[-1]["body"]
        return body

    @contextmanager
    def asking(self, conversation: Conversation) -> Iterator[socket.socket]:
        """A connection on which the request has been sent; it is closed, maybe before the answer, at the end."""
        sent = self.client.build(conversation, self.model, stream=self.stream)
        body = _encode(sent)
        host = urlsplit(self.gateway.url)
        lines = [f"POST {sent.path} HTTP/1.1", f"Host: {host.netloc}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self._headers(sent).items()]
        with socket.create_connection((host.hostname, host.port), timeout=_PATIENCE_SECONDS) as connection:
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            yield connection

    def await_call(self, **wanted: Any) -> None:
        """Return when the upstream's log of its only call says what is wanted."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        calls: list[dict[str, Any]] = []
        while time.monotonic() < deadline:
            calls = self.simulator.calls()
            if calls and all(calls[-1][name] == value for name, value in wanted.items()):
                return
            time.sleep(0.005)
        raise AssertionError(f"the upstream's log never said {wanted}: {calls}")

    def _headers(self, sent: Sent) -> dict[str, str]:
        key = {"Authorization": f"Bearer {self.gateway.master_key}"}
        return {"Content-Type": "application/json", **key, **sent.headers}


def _encode(sent: Sent) -> bytes:
    return json.dumps(sent.body, ensure_ascii=False).encode()
