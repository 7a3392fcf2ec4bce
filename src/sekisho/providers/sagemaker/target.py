"""One SageMaker endpoint: `sagemaker/NAME` or `sagemaker_chat/NAME`.

The container behind it must take OpenAI's chat completions, as those of vLLM, LMI and TGI do. Two parameters are
LiteLLM's: `sagemaker_base_url`, the runtime's URL where it is not the region's own, and `model_id`, the inference
component to ask.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from sekisho.config.snapshot import Deployment
from sekisho.core.errors import ConfigError, UpstreamError
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price
from sekisho.core.target import Check, Errand, ProviderEnvironment, Sender, SignedRequest
from sekisho.core.wire import Operation, WireFault, WireRequest
from sekisho.providers.aws.access import AwsAccess
from sekisho.providers.aws.chain import CredentialSettings
from sekisho.providers.aws.checkup import check_identity
from sekisho.providers.aws.control import ControlPlane, NotTold
from sekisho.providers.aws.credentials import source_for
from sekisho.providers.aws.errors import read_error
from sekisho.providers.aws.regions import choose_region, environment_endpoint, is_amazons, regional_endpoint
from sekisho.providers.aws.sessions import RoleSessions, name_sender
from sekisho.providers.aws.settings import name_identity, read_credentials, role_account
from sekisho.providers.aws.signing import Place
from sekisho.providers.common.models import configured_facts
from sekisho.providers.common.prices import configured_price
from sekisho.providers.common.settings import check_url, read_text
from sekisho.providers.sagemaker.errors import classify, classify_fault

_PREFIXES = ("sagemaker/", "sagemaker_chat/")
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", re.ASCII)
_DIALECT = "sagemaker_chat"


def claims(model: str) -> bool:
    """Whether a `model` of the configuration names a SageMaker endpoint."""
    return model.startswith(_PREFIXES)


class SageMakerTarget:
    """See `core.wire.Target`."""

    provider = "sagemaker"
    dialects: Mapping[Operation, tuple[str, ...]] = {"chat": (_DIALECT,)}
    simulated = False

    def __init__(
        self,
        deployment: Deployment,
        environment: ProviderEnvironment,
        access: AwsAccess,
        settings: CredentialSettings,
        *,
        name: str,
        component: str | None,
        region: str,
        endpoint: str,
        account: str | None,
        identity: str,
        facts: ModelFacts,
        price: Price | None,
    ) -> None:
        self.deployment_id = deployment.id
        self.model_name = deployment.model_name
        self.upstream_model = name
        self.facts = facts
        self.price = price
        self.account = account
        self.region = region
        self.bucket = f"{account or identity}|{region}|{name}" + (f"|{component}" if component else "")
        self._clock = environment.clock
        self._access = access
        self._settings = name_sender(settings, Sender())
        self._component = {} if component is None else {"x-amzn-sagemaker-inference-component": component}
        path = f"{endpoint}/endpoints/{quote(name, safe='')}"
        self._whole = Place.of(f"{path}/invocations")
        self._stream = Place.of(f"{path}/invocations-response-stream")

    async def examine(self) -> Sequence[Check]:
        """Look at the keys, and whether the endpoint is in service. Raises nothing."""
        settings, region = self._settings, self.region
        keys = source_for(settings, self._clock).keys
        sts = ControlPlane("sts", region, keys, settings.sts_endpoint)
        identity = await check_identity(sts, settings, region, self._clock, None)
        if identity.verdict == "broken" or not is_amazons(self._whole.url):
            return (identity,)
        return (identity, await _check_endpoint(ControlPlane("sagemaker", region, keys), self.upstream_model))

    async def sign(self, request: WireRequest, errand: Errand) -> SignedRequest:
        """Address and sign a request. Raises UpstreamError when no credentials can be had."""
        headers = {"content-type": "application/json", **request.headers, **self._component}
        if errand.stream:
            headers["x-amzn-sagemaker-accept"] = "text/event-stream"  # what the container is asked for
            headers["accept"] = "application/vnd.amazon.eventstream"
        else:
            headers["accept"] = "application/json"
        place = self._stream if errand.stream else self._whole
        return await self._access.authorize(place, headers, request, errand.sender)

    def classify_response(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """What an error response means; refused credentials are fetched anew for the next attempt."""
        error = read_error(status, headers, body)
        self._access.note(error)
        return classify(error, self._clock.now(), renewable=self._access.renewable)

    def classify_fault(self, fault: WireFault) -> UpstreamError:
        """What a fault inside a stream means."""
        return classify_fault(fault, self._clock.now())


def resolve(deployment: Deployment, environment: ProviderEnvironment) -> SageMakerTarget:
    """Makes a deployment ready to be called. Raises ConfigError(where=deployment.where) for what cannot work."""
    params, info, where = deployment.params, deployment.model_info, deployment.where
    name = deployment.model.partition("/")[2]
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is not the name of a SageMaker endpoint", where=where)
    region = choose_region(params, where)
    settings = read_credentials(params, region, where)
    given = read_text(params, "sagemaker_base_url", where) or environment_endpoint("SAGEMAKER_RUNTIME")
    endpoint = check_url(given, "the SageMaker endpoint's URL", where) if given else None
    return SageMakerTarget(
        deployment,
        environment,
        AwsAccess(region, "sagemaker", RoleSessions(settings, environment.clock), environment.clock),
        settings,
        name=name,
        component=_read_component(params, where),
        region=region,
        endpoint=endpoint or regional_endpoint("runtime.sagemaker", region),
        account=role_account(settings),
        identity=name_identity(settings),
        facts=configured_facts(ModelFacts(), info, where),
        price=configured_price(None, params, info, where),
    )


async def _check_endpoint(plane: ControlPlane, name: str) -> Check:
    try:
        status = await plane.ask(lambda client: client.describe_endpoint(EndpointName=name)["EndpointStatus"])
    except NotTold as failure:
        if failure.kind in ("denied", "unreached"):
            return Check("model", "warning", failure.message, "allow sagemaker:DescribeEndpoint, or run with --call")
        return Check("model", "broken", failure.message, "check the endpoint's name and the region")
    if status not in ("InService", "Updating", "SystemUpdating"):
        return Check("model", "broken", f"the endpoint is {status}", "bring it into service")
    return Check("model", "ok", f"the endpoint is {status}")


def _read_component(params: Mapping[str, object], where: str) -> str | None:
    component = read_text(params, "model_id", where)
    if component is not None and not _NAME.fullmatch(component):
        raise ConfigError(f"model_id: {component!r} is not the name of an inference component", where=where)
    return component


async def detect_simulation(deployments: Iterable[Deployment]) -> bool:
    """An endpoint is somebody's own model: the local counterpart has nothing to stand in for it with."""
    return False
