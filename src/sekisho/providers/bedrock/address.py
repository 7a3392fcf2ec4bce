"""From a model string of the configuration to the model, the endpoint and the URLs that serve it."""

import os
import re
from collections.abc import Mapping
from urllib.parse import quote

from msgspec import Struct

from sekisho.core.target import Errand
from sekisho.providers.aws.regions import choose_region as choose_aws_region
from sekisho.providers.aws.regions import environment_endpoint, is_region
from sekisho.providers.common.settings import check_url

VENDORS = (  # as a regular expression
    "ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|moonshotai|nvidia|openai|qwen|"
    "stability|twelvelabs|writer|xai|zai"
)
_SCOPES = "global|us-gov|us|eu|apac|jp|au|in|ca|sa|me|af|il|mx"
_PLAIN_ID = re.compile(rf"((?P<scope>{_SCOPES})\.)?(?P<core>({VENDORS})\.[^/]+)")
_ARN = re.compile(
    r"arn:aws[\w-]*:bedrock:(?P<region>[a-z0-9-]*):(?P<account>\d{12})?:(?P<kind>[a-z-]+)/(?P<id>.+)", re.ASCII
)
_ROADS = {
    "converse": "converse",
    "converse_like": "converse",
    "invoke": "invoke",
    "anthropic": "anthropic",
    "openai": "openai",
}
"""Parts of a model string between `bedrock/` and the id that say by which API it is to be called."""

_OWN_ID_KINDS = frozenset({"foundation-model", "inference-profile"})
"""The kinds of ARN whose last part is a model or system profile id; the ids of all others are opaque."""

_HOME_OF_SCOPE = {
    "us": "us-east-1",
    "eu": "eu-central-1",
    "apac": "ap-northeast-1",
    "jp": "ap-northeast-1",
    "au": "ap-southeast-2",
    "in": "ap-south-1",
    "us-gov": "us-gov-west-1",
    "ca": "ca-central-1",
    "sa": "sa-east-1",
    "me": "me-central-1",
    "af": "af-south-1",
    "il": "il-central-1",
    "mx": "mx-central-1",
}

_NATIVE_PATHS = {
    "anthropic_messages": "/anthropic/v1/messages",
    "openai_chat": "/openai/v1/chat/completions",
    "openai_responses": "/openai/v1/responses",
}
"""Paths of the vendors' own APIs on the runtime's host, where the model stands in the body."""


class ModelId(Struct, frozen=True, kw_only=True):
    """A Bedrock model id and what its text tells.

    id: what stands in the URL: a model id, an inference profile id or an ARN.
    scope: the prefix of a cross-region profile (`us`, `global`…), empty for none.
    core: the id without that prefix, by which limits and prices are found; None when the id is opaque.
    kind: the kind of ARN that the id is, None for a plain id.
    region, account: where the id names them.
    road: the API that the model string asks for (a value of `_ROADS`), None for the usual ones.
    """

    id: str
    scope: str = ""
    core: str | None = None
    kind: str | None = None
    region: str | None = None
    account: str | None = None
    road: str | None = None


def claims(model: str) -> bool:
    """Whether a `model` of the configuration names something on Amazon Bedrock."""
    return (
        model.startswith(("bedrock/", "converse/"))
        or _ARN.fullmatch(model) is not None
        or _PLAIN_ID.fullmatch(model) is not None
    )


def parse_model(model: str) -> ModelId:
    """Takes a model string apart: LiteLLM's prefixes, `bedrock/<region>/<id>`, ARNs and profile prefixes."""
    region: str | None = None
    road: str | None = None
    rest = model.removeprefix("bedrock/")
    while "/" in rest and not rest.startswith("arn:"):
        head, _, tail = rest.partition("/")
        if is_region(head) and region is None:
            region = head
        elif head in _ROADS and road is None:
            road = _ROADS[head]
        else:
            break
        rest = tail
    arn = _ARN.fullmatch(rest)
    if arn is None:
        return _plain_model(rest, region, road)
    named = arn["id"] if arn["kind"] in _OWN_ID_KINDS else None
    plain = _plain_model(named, None, road) if named is not None else ModelId(id=rest)
    return ModelId(
        id=rest,
        scope=plain.scope,
        core=plain.core,
        kind=arn["kind"],
        region=arn["region"] or region,
        account=arn["account"] or None,
        road=road,
    )


def _plain_model(model: str, region: str | None, road: str | None) -> ModelId:
    match = _PLAIN_ID.fullmatch(model)
    if match is None:
        return ModelId(id=model, region=region, road=road)
    return ModelId(id=model, scope=match["scope"] or "", core=match["core"], region=region, road=road)


def choose_region(model: ModelId, params: Mapping[str, object], where: str) -> str:
    """The region to call; a cross-region profile's home comes before LiteLLM's default. Raises ConfigError."""
    return choose_aws_region(params, where, named=model.region, home=_HOME_OF_SCOPE.get(model.scope))


def endpoint_setting(params: Mapping[str, object]) -> object | None:
    """What the deployment or the environment sets as the endpoint, unchecked; None where nothing does.

    In this order: `aws_bedrock_runtime_endpoint`, AWS_BEDROCK_RUNTIME_ENDPOINT (LiteLLM's), and botocore's
    AWS_ENDPOINT_URL_BEDROCK_RUNTIME and AWS_ENDPOINT_URL unless AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is true.
    """
    return (
        params.get("aws_bedrock_runtime_endpoint")
        or os.environ.get("AWS_BEDROCK_RUNTIME_ENDPOINT")
        or environment_endpoint("BEDROCK_RUNTIME")
    )


def configured_endpoint(params: Mapping[str, object], where: str) -> str | None:
    """The endpoint that is set, if one is. Raises ConfigError when it is not an http(s) URL."""
    endpoint = endpoint_setting(params)
    return None if endpoint is None else check_url(endpoint, "the Bedrock endpoint", where)


def call_url(endpoint: str, model: ModelId, errand: Errand) -> str:
    """The URL of a call. Raises KeyError for a dialect that is not spoken here.

    Tokens are counted by the foundation model: CountTokens refuses the ids of profiles.
    """
    if errand.operation == "count_tokens":
        return model_url(endpoint, model.core or model.id, "count-tokens")
    if errand.operation == "embeddings":
        return model_url(endpoint, model.id, "invoke")
    if errand.dialect == "bedrock_converse":
        return model_url(endpoint, model.id, "converse-stream" if errand.stream else "converse")
    if errand.dialect == "bedrock_invoke":
        return model_url(endpoint, model.id, "invoke-with-response-stream" if errand.stream else "invoke")
    return endpoint + _NATIVE_PATHS[errand.dialect]


def model_url(endpoint: str, model_id: str, operation: str) -> str:
    """The URL of an operation on a model; the id is percent-encoded whole, as botocore does it."""
    return f"{endpoint}/model/{quote(model_id, safe='-._~')}/{operation}"
