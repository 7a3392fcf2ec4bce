"""One deployment on Amazon Bedrock: resolved once from the configuration, then addressed, signed and judged by."""

import os
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from sekisho.config.snapshot import Deployment
from sekisho.core.errors import ConfigError, UpstreamError
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price
from sekisho.core.target import Errand, ProviderEnvironment, SignedRequest
from sekisho.core.wire import WireFault, WireRequest
from sekisho.providers.aws.access import AwsAccess
from sekisho.providers.aws.chain import CredentialSettings
from sekisho.providers.aws.credentials import find_default_credentials, source_for
from sekisho.providers.aws.regions import regional_endpoint
from sekisho.providers.aws.settings import (
    name_identity,
    names_own_keys,
    read_credentials,
    role_account,
    simulated_credentials,
)
from sekisho.providers.aws.signing import Place
from sekisho.providers.bedrock.address import (
    ModelId,
    call_url,
    choose_region,
    claims,
    configured_endpoint,
    endpoint_setting,
    parse_model,
)
from sekisho.providers.bedrock.errors import judge_fault, judge_response
from sekisho.providers.bedrock.models import find_facts
from sekisho.providers.bedrock.prices import find_price
from sekisho.providers.bedrock.roads import Dialects, choose_dialects
from sekisho.providers.common.models import configured_facts
from sekisho.providers.common.prices import configured_price
from sekisho.providers.common.settings import name_key, read_key, read_text

_BEARER_VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_FRAMED = frozenset({"bedrock_converse", "bedrock_invoke"})
"""The dialects whose streams are event-streams; those of the others are server-sent events."""


class _Where(Struct, frozen=True, kw_only=True):
    """Where a deployment's calls go. `identity` tells quotas apart where the account is not known."""

    model: ModelId
    region: str
    endpoint: str
    account: str | None
    identity: str
    simulated: bool


class BedrockTarget:
    """See `core.wire.Target`."""

    provider = "bedrock"

    def __init__(
        self,
        deployment: Deployment,
        environment: ProviderEnvironment,
        place: _Where,
        access: AwsAccess,
        dialects: Dialects,
        facts: ModelFacts,
        price: Price | None,
    ) -> None:
        self.deployment_id = deployment.id
        self.model_name = deployment.model_name
        self.upstream_model = place.model.id
        self.dialects = dialects
        self.facts = facts
        self.price = price
        self.account = place.account
        self.region = place.region
        self.bucket = f"{place.account or place.identity}|{place.region}|{place.model.id}"
        self.simulated = place.simulated
        self._clock = environment.clock
        self._access = access
        self._places = {
            errand: Place.of(call_url(place.endpoint, place.model, errand)) for errand in _errands(dialects)
        }

    async def sign(self, request: WireRequest, errand: Errand) -> SignedRequest:
        """Address and sign a request. Raises UpstreamError when no credentials can be had."""
        headers = {"accept": _accepted(errand), "content-type": "application/json", **request.headers}
        return await self._access.authorize(self._places[errand], headers, request.body)

    def classify_response(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """What an error response means; refused credentials are fetched anew for the next attempt."""
        renewable = self._access.renewable
        error, native = judge_response(status, headers, body, self._clock.now(), renewable=renewable)
        if native is not None:
            self._access.note(native)
        return error

    def classify_fault(self, fault: WireFault) -> UpstreamError:
        """What a fault inside a stream means."""
        error, native = judge_fault(fault, self._clock.now(), renewable=self._access.renewable)
        if native is not None:
            self._access.note(native)
        return error


def _errands(dialects: Dialects) -> list[Errand]:
    """Everything that a target may be asked for."""
    return [
        Errand(dialect, operation, stream)
        for operation, names in dialects.items()
        for dialect in names
        for stream in ((False, True) if operation == "chat" else (False,))
    ]


def _accepted(errand: Errand) -> str:
    if not errand.stream:
        return "application/json"
    return "application/vnd.amazon.eventstream" if errand.dialect in _FRAMED else "text/event-stream"


def resolve(deployment: Deployment, environment: ProviderEnvironment) -> BedrockTarget:
    """Makes a deployment ready to be called, without calling anybody.

    It is simulated when `environment.counterpart` is set and it depends on the default credential chain. Raises
    ConfigError(where=deployment.where) for what cannot work.
    """
    params, where = deployment.params, deployment.where
    named = parse_model(deployment.model)
    called = parse_model(read_text(params, "model_id", where) or deployment.model)
    based = parse_model(read_text(deployment.model_info, "base_model", where) or "")
    known = based if based.core is not None else named
    region = choose_region(called if called.region else named, params, where)
    counterpart = environment.counterpart if depends_on_default_chain(deployment) else None
    endpoint = counterpart.url.rstrip("/") if counterpart else configured_endpoint(params, where)
    settings = read_credentials(params, region, where)
    bearer = _bearer_token(params, settings, where)
    if counterpart is not None:
        settings = simulated_credentials(settings, counterpart)
    if bearer is not None:
        _refuse_clear_text(endpoint, where)
    place = _Where(
        model=replace(called, core=known.core),
        region=region,
        endpoint=endpoint or regional_endpoint("bedrock-runtime", region),
        account=role_account(settings) or called.account,
        identity=_identity(settings, bearer, simulated=counterpart is not None),
        simulated=counterpart is not None,
    )
    auth = bearer if bearer is not None else source_for(settings, environment.clock)
    return BedrockTarget(
        deployment,
        environment,
        place,
        AwsAccess(region, "bedrock", auth, environment.clock),
        choose_dialects(known.core, named.road, where),
        facts=configured_facts(find_facts(known.core), deployment.model_info, where),
        price=configured_price(find_price(known.core, known.scope, region), params, deployment.model_info, where),
    )


def depends_on_default_chain(deployment: Deployment) -> bool:
    """Whether the deployment names neither keys nor an endpoint of its own, so that the environment must have keys."""
    params = deployment.params
    if params.get("api_key") or names_own_keys(params):
        return False
    if os.environ.get(_BEARER_VARIABLE) and not params.get("aws_role_name"):
        return False
    return endpoint_setting(params) is None


async def detect_simulation(deployments: Iterable[Deployment]) -> bool:
    """Whether any Bedrock deployment needs the default credential chain and the chain finds nothing.

    Then a counterpart is to be started and given to `resolve`. It may take two seconds where no AWS is near.
    """
    if any(claims(deployment.model) and depends_on_default_chain(deployment) for deployment in deployments):
        return not await find_default_credentials()
    return False


def _bearer_token(params: Mapping[str, object], settings: CredentialSettings, where: str) -> str | None:
    """A Bedrock API key: the deployment's own, or the environment's where the deployment names nothing else."""
    own = read_key(params, "api_key", where)
    if own is not None:
        return own
    named = settings.access_key_id or settings.profile or settings.role_arn
    return None if named else os.environ.get(_BEARER_VARIABLE) or None


def _refuse_clear_text(endpoint: str | None, where: str) -> None:
    """A bearer key is the whole secret: it does not cross a network in clear text (botocore refuses it too)."""
    parts = urlsplit(endpoint or "https://")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigError("a Bedrock API key may only be sent over https; change the endpoint", where=where)


def _identity(settings: CredentialSettings, bearer: str | None, *, simulated: bool) -> str:
    if simulated:
        return "simulated"
    return name_key(bearer) if bearer is not None else name_identity(settings)
