"""AWS regions: which one is meant, and the hosts of services in it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from sekisho.core.errors import ConfigError

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}", re.ASCII)
_REGION_VARIABLES = ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")
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


def is_region(text: str) -> bool:
    """Whether a text has the form of a region's name."""
    return _REGION.fullmatch(text) is not None


def choose_region(
    params: Mapping[str, object], where: str, *, named: str | None = None, home: str | None = None
) -> str:
    """The region to call. Raises ConfigError when it is not the name of one.

    In this order: `aws_region_name`, the region that the model's id names, AWS_REGION_NAME, AWS_REGION,
    AWS_DEFAULT_REGION, the AWS profile's region, where the model is at `home`, LiteLLM's default.
    """
    region = (
        params.get("aws_region_name")
        or named
        or next((value for name in _REGION_VARIABLES if (value := os.environ.get(name))), None)
        or _profile_region(params.get("aws_profile_name"))
        or home
        or _DEFAULT_REGION
    )
    if not isinstance(region, str) or not is_region(region):
        raise ConfigError(f"{region!r} is not the name of an AWS region, such as us-east-1", where=where)
    return region


def _profile_region(profile: object) -> str | None:
    """The region that the AWS configuration file gives a profile."""
    path = Path(os.environ.get("AWS_CONFIG_FILE", "~/.aws/config")).expanduser()
    if not path.is_file():
        return None
    from botocore.configloader import load_config  # noqa: PLC0415 - slow to import and seldom needed

    name = profile or os.environ.get("AWS_PROFILE") or "default"
    region = load_config(str(path)).get("profiles", {}).get(name, {}).get("region")
    return region if isinstance(region, str) else None


def regional_endpoint(service: str, region: str) -> str:
    """Amazon's own endpoint of a service (`bedrock-runtime`, `runtime.sagemaker`) in a region."""
    suffix = next((suffix for start, suffix in _DNS_SUFFIXES if region.startswith(start)), "amazonaws.com")
    return f"https://{service}.{region}.{suffix}"


def is_amazons(endpoint: str) -> bool:
    """Whether a URL leads to AWS itself, be it by PrivateLink, and not to a stand-in or somebody's proxy."""
    host = urlsplit(endpoint).hostname or ""
    suffixes = ("amazonaws.com", "api.aws", *(suffix for _, suffix in _DNS_SUFFIXES))
    return host.endswith(tuple(f".{suffix}" for suffix in suffixes))


def environment_endpoint(service: str) -> str | None:
    """What botocore's AWS_ENDPOINT_URL_<service> or AWS_ENDPOINT_URL set, unchecked; `service` as in the variable.

    Nothing when AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is true.
    """
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    return os.environ.get(f"AWS_ENDPOINT_URL_{service}") or os.environ.get("AWS_ENDPOINT_URL") or None
