"""What the gateway asks of one deployment: where it is, what its model can do, and how it is called."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

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


class Sender(Struct, frozen=True, kw_only=True):
    """Whose call it is, for upstreams that keep a record of that; never a key or another secret."""

    user_id: str | None = None
    team_id: str | None = None
    organization_id: str | None = None
    key_alias: str | None = None


class Errand(Struct, frozen=True):
    """What a request to an upstream is for, which decides its address: `dialect` is the name of the folder.

    `sender` is None where no caller's call is sent, as for a check of health.
    """

    dialect: str
    operation: Operation = "chat"
    stream: bool = False
    sender: Sender | None = None


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


class ServiceQuota(Struct, frozen=True, kw_only=True):
    """What an upstream says it lets through; None where it says nothing."""

    tokens_per_minute: int | None = None
    requests_per_minute: int | None = None
    tokens_per_day: int | None = None


class Discovery(Struct, frozen=True):
    """What an upstream told of a deployment. `problems` are things it did not tell, and what to do about it."""

    quota: ServiceQuota | None = None
    problems: tuple[str, ...] = ()


@runtime_checkable
class Discoverable(Protocol):
    """A target whose upstream can be asked what the configuration does not say."""

    async def discover(self) -> Discovery:
        """Ask, which may take seconds. From then on the target knows its model, and so its price. Raises nothing."""
        ...


class Check(Struct, frozen=True):
    """One thing that was looked at before anybody depends on a deployment.

    what: what was looked at, in a word. verdict: `broken` when calls will fail for it, `warning` when something is not
    known or not as good as it could be. found: what was seen. advice: what to do.
    """

    what: Literal["config", "identity", "key", "model", "access", "quota", "price", "call"]
    verdict: Literal["ok", "warning", "broken"]
    found: str
    advice: str = ""


@runtime_checkable
class Examinable(Protocol):
    """A target that can be examined without calling its model."""

    async def examine(self) -> Sequence[Check]:
        """Look at what a call depends on, without changing anything. It takes seconds, and raises nothing."""
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
