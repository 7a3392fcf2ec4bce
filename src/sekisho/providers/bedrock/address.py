"""From a model string of the configuration to the region, the host and the path that serve it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from msgspec import Struct

from sekisho.core.errors import ConfigError

_VENDORS = (
    "ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|moonshotai|nvidia|openai|qwen|"
    "stability|twelvelabs|writer|xai|zai"
)
_SCOPES = "global|us-gov|us|eu|apac|jp|au|in|ca|sa|me|af|il|mx"
_PLAIN_ID = re.compile(rf"((?P<scope>{_SCOPES})\.)?(?P<core>({_VENDORS})\.[^/]+)")
_ARN = re.compile(
    r"arn:aws[\w-]*:bedrock:(?P<region>[a-z0-9-]*):(?P<account>\d{12})?:(?P<kind>[a-z-]+)/(?P<id>.+)", re.ASCII
)
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}", re.ASCII)
_PREFIXES = ("bedrock/", "converse/", "converse_like/", "invoke/")
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
}
_DEFAULT_REGION = "us-west-2"  # LiteLLM's

_DNS_SUFFIXES = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("us-iso-", "c2s.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
)
"""The domains of AWS partitions other than the commercial one and GovCloud (botocore's partitions.json)."""


class ModelId(Struct, frozen=True, kw_only=True):
    """A Bedrock model id and what its text tells.

    id: what stands in the URL: a model id, an inference profile id or an ARN.
    scope: the prefix of a cross-region profile (`us`, `global`…), empty for none.
    core: the id without that prefix, by which limits and prices are found; None when the id is opaque.
    region, account: where the id names them.
    """

    id: str
    scope: str = ""
    core: str | None = None
    region: str | None = None
    account: str | None = None


def claims(model: str) -> bool:
    """Whether a `model` of the configuration names something on Amazon Bedrock."""
    return model.startswith(("bedrock/", "converse/")) or _ARN.fullmatch(model) is not None or _is_plain(model)


def _is_plain(model: str) -> bool:
    return _PLAIN_ID.fullmatch(model) is not None


def parse_model(model: str) -> ModelId:
    """Takes a model string apart: LiteLLM's prefixes, `bedrock/<region>/<id>`, ARNs and profile prefixes."""
    region: str | None = None
    rest = model
    while "/" in rest and not rest.startswith("arn:"):
        head, _, tail = rest.partition("/")
        if _REGION.fullmatch(head) and region is None:
            region = head
        elif f"{head}/" not in _PREFIXES:
            break
        rest = tail
    arn = _ARN.fullmatch(rest)
    if arn is None:
        return _plain_model(rest, region)
    named = arn["id"] if arn["kind"] in _OWN_ID_KINDS else None
    plain = _plain_model(named, None) if named is not None else ModelId(id=rest)
    return ModelId(
        id=rest, scope=plain.scope, core=plain.core, region=arn["region"] or region, account=arn["account"] or None
    )


def _plain_model(model: str, region: str | None) -> ModelId:
    match = _PLAIN_ID.fullmatch(model)
    if match is None:
        return ModelId(id=model, region=region)
    return ModelId(id=model, scope=match["scope"] or "", core=match["core"], region=region)


def choose_region(model: ModelId, params: Mapping[str, object], where: str) -> str:
    """The region to call. Raises ConfigError when it is not the name of one.

    In this order: `aws_region_name`, the region in the model string, AWS_REGION_NAME, AWS_REGION, AWS_DEFAULT_REGION,
    the AWS profile's region, the home of the cross-region profile, LiteLLM's default.
    """
    region = (
        params.get("aws_region_name")
        or model.region
        or next((value for name in _REGION_VARIABLES if (value := os.environ.get(name))), None)
        or _profile_region(params.get("aws_profile_name"))
        or _HOME_OF_SCOPE.get(model.scope, _DEFAULT_REGION)
    )
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise ConfigError(f"{region!r} is not the name of an AWS region, such as us-east-1", where=where)
    return region


_REGION_VARIABLES = ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")


def _profile_region(profile: object) -> str | None:
    """The region that the AWS configuration file gives a profile."""
    path = Path(os.environ.get("AWS_CONFIG_FILE", "~/.aws/config")).expanduser()
    if not path.is_file():
        return None
    from botocore.configloader import load_config  # noqa: PLC0415 - slow to import and seldom needed

    name = profile or os.environ.get("AWS_PROFILE") or "default"
    region = load_config(str(path)).get("profiles", {}).get(name, {}).get("region")
    return region if isinstance(region, str) else None


def endpoint_setting(params: Mapping[str, object]) -> object | None:
    """What the deployment or the environment sets as the endpoint, unchecked; None where nothing does.

    In this order: `aws_bedrock_runtime_endpoint`, AWS_BEDROCK_RUNTIME_ENDPOINT (LiteLLM's), and botocore's
    AWS_ENDPOINT_URL_BEDROCK_RUNTIME and AWS_ENDPOINT_URL unless AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is true.
    """
    ignored = os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"
    standard = () if ignored else ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL")
    return params.get("aws_bedrock_runtime_endpoint") or next(
        (value for name in ("AWS_BEDROCK_RUNTIME_ENDPOINT", *standard) if (value := os.environ.get(name))), None
    )


def configured_endpoint(params: Mapping[str, object], where: str) -> str | None:
    """The endpoint that is set, if one is. Raises ConfigError when it is not an http(s) URL."""
    endpoint = endpoint_setting(params)
    if endpoint is None:
        return None
    try:
        parts = urlsplit(str(endpoint))
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, or half an IPv6 address
        usable = False
    if not usable or parts.query or parts.fragment:
        raise ConfigError(f"the Bedrock endpoint {endpoint!r} must be an http(s) URL without a query", where=where)
    return str(endpoint).rstrip("/")


def regional_endpoint(region: str) -> str:
    """Amazon's own endpoint in a region."""
    suffix = next((suffix for start, suffix in _DNS_SUFFIXES if region.startswith(start)), "amazonaws.com")
    return f"https://bedrock-runtime.{region}.{suffix}"


def model_url(endpoint: str, model_id: str, operation: str) -> str:
    """The URL of an operation on a model; the id is percent-encoded whole, as botocore does it."""
    return f"{endpoint}/model/{quote(model_id, safe='-._~')}/{operation}"
