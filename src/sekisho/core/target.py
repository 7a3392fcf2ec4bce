"""What the gateway asks of one deployment: where it is, what its model can do, and how it is called."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from sekisho.core.clock import Clock
from sekisho.core.errors import UpstreamError
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price
from sekisho.core.wire import Operation, WireFault, WireRequest


class SignedRequest(Struct, frozen=True):
    """Where to POST the body, and with which headers; nothing may be changed after signing."""

    url: str
    headers: dict[str, str]


class Errand(Struct, frozen=True):
    """What a request to an upstream is for, which decides its address: `dialect` is the name of the folder."""

    dialect: str
    operation: Operation = "chat"
    stream: bool = False


class Target(Protocol):
    """One deployment as its provider sees it: where it is, what its model can do, and how to call it."""

    @property
    def deployment_id(self) -> str:
        """The deployment's id."""
        ...

    @property
    def model_name(self) -> str:
        """The name of the model group it serves."""
        ...

    @property
    def provider(self) -> str:
        """The name of the provider folder."""
        ...

    @property
    def upstream_model(self) -> str:
        """The upstream's own id of the model."""
        ...

    @property
    def dialects(self) -> Mapping[Operation, Sequence[str]]:
        """For each operation it serves, the names of the dialect folders it speaks; the preferred one first.

        One of the client's own family is taken before the preferred one.
        """
        ...

    @property
    def facts(self) -> ModelFacts:
        """Limits and abilities of the model."""
        ...

    @property
    def price(self) -> Price | None:
        """The price now; None when unpriced."""
        ...

    @property
    def account(self) -> str | None:
        """The upstream account it bills to, where known without asking."""
        ...

    @property
    def region(self) -> str | None:
        """The upstream region."""
        ...

    @property
    def bucket(self) -> str:
        """The quota it draws on: deployments with the same bucket are throttled together."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether it is served by the local counterpart instead of the real upstream."""
        ...

    async def sign(self, request: WireRequest, errand: Errand) -> SignedRequest:
        """Address and sign a request. Raises UpstreamError when no credentials can be had."""
        ...

    def classify_response(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """What an error response means. Header names are lower case."""
        ...

    def classify_fault(self, fault: WireFault) -> UpstreamError:
        """What a fault inside a stream means."""
        ...


class Counterpart(Struct, frozen=True, kw_only=True):
    """A local stand-in for an upstream, and the key pair it accepts."""

    url: str
    access_key_id: str
    secret_access_key: str


class ProviderEnvironment(Struct, frozen=True, kw_only=True):
    """What a provider is given beside a deployment.

    `counterpart` is set only when it is to be used: by targets that depend on credentials which were not found.
    """

    clock: Clock
    counterpart: Counterpart | None = None
