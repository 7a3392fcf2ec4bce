"""One deployment on Amazon Bedrock: resolved once from the configuration, then addressed, signed and judged by."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from sekisho.config.snapshot import Deployment
from sekisho.core.errors import ConfigError, UpstreamError, UpstreamMisconfigured, UpstreamUnavailable
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price
from sekisho.core.wire import Counterpart, ProviderEnvironment, SignedRequest, WireFault
from sekisho.providers.bedrock.address import (
    ModelId,
    choose_region,
    claims,
    configured_endpoint,
    endpoint_setting,
    model_url,
    parse_model,
    regional_endpoint,
)
from sekisho.providers.bedrock.chain import CredentialFailure, CredentialSettings
from sekisho.providers.bedrock.credentials import CredentialSource, find_default_credentials, source_for
from sekisho.providers.bedrock.errors import MISCONFIGURED_COOLDOWN, NativeError, classify, read_error, read_fault
from sekisho.providers.bedrock.models import configured_facts, find_facts
from sekisho.providers.bedrock.prices import configured_price, find_price
from sekisho.providers.bedrock.signing import Place, Signer

# The account may be a placeholder, as in examples: AWS says better than we could that it does not exist.
_ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::([\w-]+):role/[\w+=,.@/-]+", re.ASCII)
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_BEARER_VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class BedrockTarget:
    """A deployment that speaks Converse. See `core.wire.Target`."""

    provider = "bedrock"
    dialect = "bedrock_converse"

    def __init__(
        self,
        deployment: Deployment,
        environment: ProviderEnvironment,
        *,
        model: ModelId,
        region: str,
        endpoint: str,
        facts: ModelFacts,
        price: Price | None,
        auth: "CredentialSource | str",
        identity: str,
        account: str | None,
        simulated: bool,
    ) -> None:
        self.deployment_id = deployment.id
        self.model_name = deployment.model_name
        self.upstream_model = model.id
        self.facts = facts
        self.price = price
        self.account = account
        self.region = region
        self.bucket = f"{account or identity}|{region}|{model.id}"
        self.simulated = simulated
        self._clock = environment.clock
        self._auth = auth
        self._signer = Signer(region, "bedrock")
        self._whole = Place.of(model_url(endpoint, model.id, "converse"))
        self._stream = Place.of(model_url(endpoint, model.id, "converse-stream"))

    async def sign(self, body: bytes, *, stream: bool) -> SignedRequest:
        """Address and sign a request. Raises UpstreamError when no credentials can be had."""
        place = self._stream if stream else self._whole
        headers = {
            "accept": "application/vnd.amazon.eventstream" if stream else "application/json",
            "content-type": "application/json",
        }
        if isinstance(self._auth, str):
            return SignedRequest(place.url, {**headers, "host": place.host, "authorization": f"Bearer {self._auth}"})
        try:
            keys = await self._auth.keys()
        except CredentialFailure as failure:
            raise _credential_error(failure) from failure
        return SignedRequest(place.url, self._signer.sign(place, headers, body, keys, self._clock.now()))

    def classify_response(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """What an error response means; refused credentials are fetched anew for the next attempt."""
        return self._classify(read_error(status, headers, body))

    def classify_fault(self, fault: WireFault) -> UpstreamError:
        """What a fault inside a stream means."""
        return self._classify(read_fault(fault.code, fault.message))

    def _classify(self, error: NativeError) -> UpstreamError:
        renewable = not isinstance(self._auth, str) and self._auth.renewable
        if error.credentials_refused and not isinstance(self._auth, str):
            self._auth.expire()
        return classify(error, self._clock.now(), renewable=renewable)


def _credential_error(failure: CredentialFailure) -> UpstreamError:
    """The deployment cannot be called for want of keys; another one may have its own."""
    if failure.kind == "unavailable":
        return UpstreamUnavailable(failure.message, verdict="elsewhere", native="CredentialsUnavailable", cooldown=10.0)
    return UpstreamMisconfigured(
        failure.message, verdict="elsewhere", native="CredentialsRefused", cooldown=MISCONFIGURED_COOLDOWN
    )


def resolve(deployment: Deployment, environment: ProviderEnvironment) -> BedrockTarget:
    """Makes a deployment ready to be called, without calling anybody.

    It is simulated when `environment.counterpart` is set and it depends on the default credential chain. Raises
    ConfigError(where=deployment.where) for what cannot work.
    """
    params, where = deployment.params, deployment.where
    named = parse_model(deployment.model)
    called = parse_model(_text(params, "model_id", where) or deployment.model)
    based = parse_model(_text(deployment.model_info, "base_model", where) or "")
    known = based if based.core is not None else named
    region = choose_region(called if called.region else named, params, where)
    counterpart = environment.counterpart if depends_on_default_chain(deployment) else None
    endpoint = counterpart.url.rstrip("/") if counterpart else configured_endpoint(params, where)
    settings = _credential_settings(params, region, where)
    bearer = _bearer_token(params, settings, where)
    if counterpart is not None:
        settings = _simulated_settings(settings, counterpart)
    if bearer is not None:
        _refuse_clear_text(endpoint, where)
    role = _ROLE_ARN.fullmatch(settings.role_arn or "")
    return BedrockTarget(
        deployment,
        environment,
        model=called,
        region=region,
        endpoint=endpoint or regional_endpoint(region),
        facts=configured_facts(find_facts(known.core), deployment.model_info, where),
        price=configured_price(find_price(known.core, known.scope, region), params, deployment.model_info, where),
        auth=bearer if bearer is not None else source_for(settings, environment.clock),
        identity=_identity(settings, bearer, simulated=counterpart is not None),
        account=role[1] if role else called.account,
        simulated=counterpart is not None,
    )


def depends_on_default_chain(deployment: Deployment) -> bool:
    """Whether the deployment names neither keys nor an endpoint of its own, so that the environment must have keys."""
    params = deployment.params
    own = ("api_key", "aws_access_key_id", "aws_profile_name", "aws_web_identity_token")
    if any(params.get(name) for name in own) or (os.environ.get(_BEARER_VARIABLE) and not params.get("aws_role_name")):
        return False
    return endpoint_setting(params) is None


async def detect_simulation(deployments: Iterable[Deployment]) -> bool:
    """Whether any Bedrock deployment needs the default credential chain and the chain finds nothing.

    Then a counterpart is to be started and given to `resolve`. It may take two seconds where no AWS is near.
    """
    if any(claims(deployment.model) and depends_on_default_chain(deployment) for deployment in deployments):
        return not await find_default_credentials()
    return False


def _credential_settings(params: Mapping[str, object], region: str, where: str) -> CredentialSettings:
    """Reads the `aws_*` parameters. Raises ConfigError."""
    key, secret = _text(params, "aws_access_key_id", where), _text(params, "aws_secret_access_key", where)
    if (key is None) != (secret is None):
        raise ConfigError("aws_access_key_id and aws_secret_access_key are needed together", where=where)
    role, token = _text(params, "aws_role_name", where), _text(params, "aws_web_identity_token", where)
    if role is not None and not _ROLE_ARN.fullmatch(role):
        raise ConfigError(
            f"aws_role_name must be a role's ARN (arn:aws:iam::123456789012:role/name), not {role!r}", where=where
        )
    if token is not None and role is None:
        raise ConfigError("aws_web_identity_token needs aws_role_name, the role to assume with it", where=where)
    session_name = _text(params, "aws_session_name", where) or "sekisho"
    if not _SESSION_NAME.fullmatch(session_name):
        raise ConfigError(
            f"aws_session_name must be 2 to 64 letters, digits or any of +=,.@-_, not {session_name!r}", where=where
        )
    return CredentialSettings(
        region=region,
        access_key_id=key,
        secret_access_key=secret,
        session_token=_text(params, "aws_session_token", where) if key else None,
        profile=_text(params, "aws_profile_name", where),
        role_arn=role,
        session_name=session_name,
        external_id=_text(params, "aws_external_id", where),
        session_tags=_session_tags(params.get("aws_session_tags"), where),
        sts_endpoint=_text(params, "aws_sts_endpoint", where),
        web_identity_token=token,
    )


def _session_tags(value: object, where: str) -> tuple[tuple[str, str], ...]:
    """LiteLLM's list of `{Key, Value}`, or a mapping."""
    pairs: list[tuple[object, object]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list) and all(isinstance(tag, dict) for tag in value):
        pairs = [(tag.get("Key"), tag.get("Value")) for tag in value]
    elif value is not None:
        pairs = [(None, None)]
    tags = tuple((key, text) for key, text in pairs if isinstance(key, str) and isinstance(text, str))
    if len(tags) != len(pairs):
        raise ConfigError("aws_session_tags must be a list of {Key: text, Value: text}", where=where)
    return tags


def _bearer_token(params: Mapping[str, object], settings: CredentialSettings, where: str) -> str | None:
    """A Bedrock API key: the deployment's own, or the environment's where the deployment names nothing else."""
    own = _text(params, "api_key", where)
    if own is not None:
        return own
    named = settings.access_key_id or settings.profile or settings.role_arn
    return None if named else os.environ.get(_BEARER_VARIABLE) or None


def _refuse_clear_text(endpoint: str | None, where: str) -> None:
    """A bearer key is the whole secret: it does not cross a network in clear text (botocore refuses it too)."""
    parts = urlsplit(endpoint or "https://")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigError("a Bedrock API key may only be sent over https; change the endpoint", where=where)


def _simulated_settings(settings: CredentialSettings, counterpart: Counterpart) -> CredentialSettings:
    """The same role, assumed at the counterpart with the counterpart's keys."""
    return CredentialSettings(
        region=settings.region,
        access_key_id=counterpart.access_key_id,
        secret_access_key=counterpart.secret_access_key,
        role_arn=settings.role_arn,
        session_name=settings.session_name,
        external_id=settings.external_id,
        session_tags=settings.session_tags,
        sts_endpoint=counterpart.url,
    )


def _identity(settings: CredentialSettings, bearer: str | None, *, simulated: bool) -> str:
    """What tells quotas apart where the account is not known; never a key itself."""
    if simulated:
        return "simulated"
    secret = bearer or settings.access_key_id
    if secret is not None:
        return f"key-{hashlib.sha256(secret.encode()).hexdigest()[:8]}"
    return f"profile-{settings.profile}" if settings.profile else "default"


def _text(values: Mapping[str, object], name: str, where: str) -> str | None:
    """A text parameter; None when it is absent or empty."""
    value = values.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be text, not {type(value).__name__}", where=where)
    return value
