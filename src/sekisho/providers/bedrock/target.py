"""One deployment on Amazon Bedrock: resolved once from the configuration, then addressed, signed and judged by."""

import os
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from sekisho.config.snapshot import Deployment
from sekisho.core.errors import ConfigError, UpstreamError
from sekisho.core.target import Check, Discovery, Errand, ProviderEnvironment, ServiceQuota, SignedRequest
from sekisho.core.wire import Operation, WireFault, WireRequest
from sekisho.providers.aws.access import AwsAccess
from sekisho.providers.aws.chain import CredentialSettings
from sekisho.providers.aws.checkup import SIMULATED, UNKEYED, check_identity
from sekisho.providers.aws.control import NotTold
from sekisho.providers.aws.credentials import find_default_credentials
from sekisho.providers.aws.regions import regional_endpoint
from sekisho.providers.aws.sessions import RoleSessions
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
from sekisho.providers.bedrock.checkup import check_model, check_quota
from sekisho.providers.bedrock.control import Control, explain_unlisted, explain_unresolved, find_control
from sekisho.providers.bedrock.errors import judge_fault, judge_response
from sekisho.providers.bedrock.models import find_facts
from sekisho.providers.bedrock.prices import find_price
from sekisho.providers.bedrock.profiles import recall
from sekisho.providers.bedrock.roads import Dialects, choose_dialects
from sekisho.providers.common.models import configured_facts
from sekisho.providers.common.prices import check_price, configured_price
from sekisho.providers.common.settings import name_key, read_key, read_text

_BEARER_VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_OWN_QUOTA = frozenset({"provisioned-model", "custom-model-deployment", "imported-model"})
"""The kinds of ARN that have a quota for themselves, whatever model is behind them."""

_FRAMED = frozenset({"bedrock_converse", "bedrock_invoke"})
"""The dialects whose streams are event-streams; those of the others are server-sent events."""


class _Where(Struct, frozen=True, kw_only=True):
    """Where a deployment's calls go.

    called: what stands in their URLs. road: by which API, where the configuration says it. settings: of the keys.
    identity: what tells quotas apart where the account is not known.
    """

    called: ModelId
    road: str | None
    region: str
    endpoint: str
    settings: CredentialSettings
    account: str | None
    identity: str
    simulated: bool


class BedrockTarget:
    """See `core.target.Target`. Which model it is may become known only while it is in use (`discover`)."""

    provider = "bedrock"

    def __init__(
        self,
        deployment: Deployment,
        environment: ProviderEnvironment,
        place: _Where,
        known: ModelId,
        access: AwsAccess,
        control: Control,
    ) -> None:
        self.deployment_id = deployment.id
        self.model_name = deployment.model_name
        self.upstream_model = place.called.id
        self.account = place.account
        self.region = place.region
        self.simulated = place.simulated
        self._deployment = deployment
        self._clock = environment.clock
        self._place = place
        self._access = access
        self._control = control
        self._places: dict[tuple[str, Operation, bool], Place] = {}
        self._be(known)

    def _be(self, known: ModelId) -> None:
        """Take a model's abilities, price and quota; its core is None as long as it is unknown. Raises ConfigError."""
        deployment, place = self._deployment, self._place
        params, info, where = deployment.params, deployment.model_info, deployment.where
        self.dialects = choose_dialects(known.core, place.road, where)
        self.facts = configured_facts(find_facts(known.core), info, where)
        self.price = configured_price(find_price(known.core, known.scope, place.region), params, info, where)
        self._known, self._counted = known, _find_counted(place.called, known)
        self.bucket = f"{place.account or place.identity}|{place.region}|{_name_quota(place.called, self._counted)}"
        called = replace(place.called, core=known.core)
        self._places |= {
            (errand.dialect, errand.operation, errand.stream): Place.of(
                call_url(place.endpoint, called, errand),
                {"accept": _accepted(errand), "content-type": "application/json"},
            )
            for errand in _errands(self.dialects)
        }

    async def discover(self) -> Discovery:
        """Ask Bedrock which model an opaque ARN is, and Service Quotas for its limits. Raises nothing."""
        if self.simulated:
            return Discovery()
        quota: ServiceQuota | None = None
        problems: list[str] = []
        if self._known.core is None:
            try:
                behind = await self._control.find_behind(self._place.called)
                if behind is not None:
                    self._be(replace(self._known, core=behind.core, scope=behind.scope))
            except (NotTold, ConfigError) as failure:
                problems.append(explain_unresolved(self._place.called, failure.message))
        states_quota = self._deployment.tpm is not None and self._deployment.rpm is not None
        if not states_quota and self._counted is not None:
            try:
                quota = await self._control.find_quota(self._counted)
            except NotTold as failure:
                problems.append(explain_unlisted(self.region, failure.message))
        return Discovery(quota, tuple(problems))

    async def examine(self) -> Sequence[Check]:
        """Look at keys, profile, access and quota, without calling the model. Raises nothing."""
        place, control, clock = self._place, self._control, self._clock
        if self.simulated:
            return (SIMULATED,)
        if control.sts is None:
            return (UNKEYED,)
        identity = await check_identity(control.sts, place.settings, place.region, clock, place.called.account)
        if identity.verdict == "broken":
            return (identity,)
        await self.discover()
        checks = await check_model(control, place.called, self._known, place.region)
        checks += await check_quota(control, self._deployment, self._counted)
        return (identity, *checks, *check_price(self.price))

    async def sign(self, request: WireRequest, errand: Errand) -> SignedRequest:
        """Address and sign a request. Raises UpstreamError when no credentials can be had."""
        place = self._places[errand.dialect, errand.operation, errand.stream]
        return await self._access.authorize(place, request.headers, request, errand.sender)

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
        called=called,
        road=named.road,
        region=region,
        endpoint=endpoint or regional_endpoint("bedrock-runtime", region),
        settings=settings,
        account=role_account(settings) or called.account,
        identity=_identity(settings, bearer, simulated=counterpart is not None),
        simulated=counterpart is not None,
    )
    auth = bearer if bearer is not None else RoleSessions(settings, environment.clock)
    control = Control(None, None, None)
    if bearer is None and counterpart is None:
        control = find_control(params, place.endpoint, region, settings, environment.clock, where)
    access = AwsAccess(region, "bedrock", auth, environment.clock)
    return BedrockTarget(deployment, environment, place, _recall(called, known), access, control)


def _recall(called: ModelId, known: ModelId) -> ModelId:
    """What is known of the model, with what was found out earlier."""
    behind = recall(called) if known.core is None else None
    return known if behind is None else replace(known, core=behind.core, scope=behind.scope)


def _find_counted(called: ModelId, known: ModelId) -> ModelId | None:
    """The model or profile whose quota is drawn on, None for one's own: an application profile draws on its model's."""
    if called.kind in _OWN_QUOTA:
        return None
    counted = called if called.core is not None else known
    return None if counted.core is None else counted


def _name_quota(called: ModelId, counted: ModelId | None) -> str:
    if counted is None or counted.core is None:
        return called.id
    return f"{counted.scope}.{counted.core}" if counted.scope else counted.core


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
