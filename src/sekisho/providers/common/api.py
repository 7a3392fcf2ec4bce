"""A deployment behind plain HTTP: a fixed address for each dialect and operation, and a key in a header."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from sekisho.config.snapshot import Deployment
from sekisho.core.clock import Clock
from sekisho.core.errors import UpstreamError
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price
from sekisho.core.target import Check, Errand, SignedRequest
from sekisho.core.wire import Operation, WireFault, WireRequest
from sekisho.providers.common.listing import check_listing
from sekisho.providers.common.prices import check_price
from sekisho.providers.common.replies import classify_reply, read_reply, reply_of_fault, reply_of_status

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Service(Struct, frozen=True, kw_only=True):
    """Where a deployment is and how it is called.

    provider: the provider folder's name. title: the service's name for messages.
    model: the service's own id of the model.
    urls: by dialect and operation. headers: what proves the sender, and what the configuration adds.
    identity: what tells its quota from those of others; never a key itself.
    listing: the URL of its list of models, where it has one. listing_headers: what that needs beside the key.
    """

    provider: str
    title: str
    model: str
    dialects: Mapping[Operation, Sequence[str]]
    urls: Mapping[tuple[str, Operation], str]
    headers: Mapping[str, str]
    identity: str
    listing: str | None = None
    listing_headers: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"Service({self.title}, {self.model!r})"  # the headers hold a key


class ApiTarget:
    """See `core.wire.Target`."""

    account: str | None = None
    region: str | None = None
    simulated = False

    def __init__(
        self, deployment: Deployment, clock: Clock, service: Service, facts: ModelFacts, price: Price | None
    ) -> None:
        self.deployment_id = deployment.id
        self.model_name = deployment.model_name
        self.provider = service.provider
        self.upstream_model = service.model
        self.dialects = service.dialects
        self.facts = facts
        self.price = price
        self._clock = clock
        self._service = service
        hosts = {errand: _host_of(url) for errand, url in service.urls.items()}
        self._signed = {
            (*errand, stream): _sign(service, url, hosts[errand], stream=stream)
            for errand, url in service.urls.items()
            for stream in (False, True)
        }
        self.bucket = f"{service.identity}|{next(iter(hosts.values()))}|{service.model}"

    async def sign(self, request: WireRequest, errand: Errand) -> SignedRequest:
        """The address of a request, and its headers with the key; the same for all that bring none of their own."""
        signed = self._signed[errand.dialect, errand.operation, errand.stream]
        if not request.headers:
            return signed
        return SignedRequest(signed.url, {**request.headers, **signed.headers})

    async def examine(self) -> Sequence[Check]:
        """Look whether the key is taken, and the model listed. Raises nothing."""
        service = self._service
        if service.listing is None:
            return (Check("key", "warning", "there is nothing to check it by", "run with --call"),)
        headers = {"accept": "application/json", **service.listing_headers, **service.headers}
        return [*await check_listing(service.listing, headers, service.model), *check_price(self.price)]

    def classify_response(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """What an error response means."""
        reply = read_reply(status, headers, body) or reply_of_status(status, headers)
        return classify_reply(reply, self._clock.now(), service=self._service.title)

    def classify_fault(self, fault: WireFault) -> UpstreamError:
        """What a fault inside a stream means."""
        return classify_reply(reply_of_fault(fault), self._clock.now(), service=self._service.title)


def _sign(service: Service, url: str, host: str, *, stream: bool) -> SignedRequest:
    accepted = "text/event-stream" if stream else "application/json"
    headers = {"accept": accepted, "content-type": "application/json", **service.headers, "host": host}
    return SignedRequest(url, headers)


def _host_of(url: str) -> str:
    """The Host header for a URL."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    if parts.port is not None and parts.port == _DEFAULT_PORTS.get(parts.scheme):
        host = host.rpartition(":")[0]
    return host
