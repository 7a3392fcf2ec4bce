"""Who may call a service, and how its answers name the call: AWS's by signature, the others by API key."""

from abc import ABC, abstractmethod

from msgspec import Struct

from sekisho.simulator.auth import authenticate
from sekisho.simulator.errors import Refusal
from sekisho.simulator.http import Request
from sekisho.simulator.settings import SimulatorSettings


class Caller(Struct, frozen=True, kw_only=True):
    """Whose call it is. `session` is the name of an assumed role's session."""

    account: str
    region: str
    arn: str | None = None
    session: str | None = None


class Service(ABC):
    """One of the simulated services."""

    name: str

    @abstractmethod
    def identify(self, request: Request, settings: SimulatorSettings, now: float) -> Caller:
        """Who calls. Raises Refusal."""

    @abstractmethod
    def name_call(self, request_id: str) -> dict[str, str]:
        """The header that names the call, on every answer."""


class AwsService(Service):
    """A service of AWS, by its name in signatures."""

    def __init__(self, name: str) -> None:
        self.name = name

    def identify(self, request: Request, settings: SimulatorSettings, now: float) -> Caller:
        """The signer, or on Bedrock the holder of an API key."""
        principal = authenticate(request, service=self.name, settings=settings, now=now)
        session = principal.arn.rpartition("/")[2] if principal.assumed else None
        return Caller(account=principal.account, region=principal.region, arn=principal.arn, session=session)

    def name_call(self, request_id: str) -> dict[str, str]:
        """AWS's header."""
        return {"x-amzn-requestid": request_id}


class KeyService(Service):
    """A service that is opened by an API key, in the header `key_header` or as a bearer token."""

    def __init__(self, name: str, key_header: str, call_header: str) -> None:
        self.name = name
        self._key_header = key_header
        self._call_header = call_header

    def identify(self, request: Request, settings: SimulatorSettings, now: float) -> Caller:
        """The holder of a key; keys are not told apart."""
        authorization = request.headers.get("authorization", "")
        bearer = authorization[7:].strip() if authorization[:7].lower() == "bearer " else ""
        key = request.headers.get(self._key_header) or bearer
        if not key:
            words = f"You didn't provide an API key: send it in the header {self._key_header} or as a bearer token."
            raise Refusal("MissingAuthenticationTokenException", words)
        if settings.api_keys and key not in settings.api_keys:
            raise Refusal("UnrecognizedClientException", f"Incorrect API key provided (header {self._key_header}).")
        return Caller(account=self.name, region="global")

    def name_call(self, request_id: str) -> dict[str, str]:
        """The service's own header."""
        return {self._call_header: f"req_{request_id.replace('-', '')}"}


BEDROCK = AwsService("bedrock")
SAGEMAKER = AwsService("sagemaker")
ANTHROPIC = KeyService("anthropic", "x-api-key", "request-id")
OPENAI = KeyService("openai", "api-key", "x-request-id")
