"""Bedrock's control plane and Service Quotas, as far as one asks them before calling a model.

| asked | service | operation |
| --- | --- | --- |
| `GET /inference-profiles`, `GET /inference-profiles/{id}` | bedrock | ListInferenceProfiles, GetInferenceProfile |
| `GET /provisioned-model-throughput/{id}` | bedrock | GetProvisionedModelThroughput |
| `GET /foundation-model-availability/{id}` | bedrock | GetFoundationModelAvailability |
| `POST /` with `x-amz-target` | servicequotas | ListServiceQuotas |

The quotas that are told are the limits that are enforced, for the models of `NAMES`.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from sekisho.simulator.auth import Principal, authenticate
from sekisho.simulator.errors import Refusal, invalid
from sekisho.simulator.faults import raise_fault
from sekisho.simulator.http import Reply, Request
from sekisho.simulator.settings import Limit
from sekisho.simulator.state import CallRecord, World
from sekisho.simulator.wires.aws import decode_object, write_aws_error

NAMES: Final = {
    "anthropic.claude-haiku-4-5-20251001-v1:0": "Anthropic Claude Haiku 4.5",
    "anthropic.claude-sonnet-4-5-20250929-v1:0": "Anthropic Claude Sonnet 4.5 V1",
    "anthropic.claude-opus-4-7": "Anthropic Claude Opus 4.7",
    "amazon.nova-lite-v1:0": "Amazon Nova Lite",
    "amazon.nova-pro-v1:0": "Amazon Nova Pro",
}
"""Foundation models by id, and what Service Quotas calls them."""

_QUOTAS_TARGET = "ServiceQuotasV20190624.ListServiceQuotas"
_REGIONS = {
    "us": ("us-east-1", "us-east-2", "us-west-2"),
    "eu": ("eu-west-1", "eu-west-3", "eu-central-1", "eu-north-1"),
    "apac": ("ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
    "global": ("us-east-1", ""),
}
"""Where the profiles of a prefix lead; an ARN without a region is everywhere."""
_ROADS = {"": "On-demand", "global": "Global cross-region"}
_UNAVAILABLE = "NOT_AVAILABLE"


def is_plane(request: Request) -> bool:
    """Whether a request is for one of these."""
    return _find(request) is not None or request.headers.get("x-amz-target", "").startswith("ServiceQuotas")


def answer_plane(world: World, request: Request) -> Reply:
    """Answers a request for which `is_plane` holds."""
    found = _find(request)
    operation, model = (found[0], request.segments[-1]) if found else ("ListServiceQuotas", None)
    service = "bedrock" if found else "servicequotas"
    call = world.open_call(operation, model, service="bedrock-control" if found else service)
    headers = {"content-type": "application/json", "x-amzn-requestid": call.request_id}
    try:
        principal = authenticate(request, service=service, settings=world.settings, now=world.clock.now())
        call.account, call.region, call.principal = principal.account, principal.region, principal.arn
        if (fault := world.take_fault(None, call)) is not None:
            call.fault = fault.kind
            raise_fault(fault)
        document = found[1](world, call, principal) if found else _list_quotas(world, request, principal)
        call.status = 200
    except Refusal as error:
        call.error = error.kind
        call.status, more, document = write_aws_error(error)
        document |= {} if found else {"__type": error.kind}
        headers |= more
    call.complete = True
    return Reply(status=call.status, headers=headers, body=msgspec.json.encode(document))


def _get_profile(world: World, call: CallRecord, principal: Principal) -> dict[str, Any]:
    name = call.model or ""
    if call.behind is not None:
        _check_owner(name, principal)
        return _write_profile(call.behind, principal, arn=name)
    if not any(profile == name.rpartition("/")[2] for profile in _system_profiles()):
        raise Refusal("ResourceNotFoundException", "The provided inference profile was not found.")
    return _write_profile(name.rpartition("/")[2], principal)


def _list_profiles(world: World, call: CallRecord, principal: Principal) -> dict[str, Any]:
    own = [
        _write_profile(behind, principal, arn=arn)
        for arn, behind in world.settings.profiles.items()
        if ":application-inference-profile/" in arn and arn.split(":")[3:5] == [principal.region, principal.account]
    ]
    return {"inferenceProfileSummaries": [*(_write_profile(name, principal) for name in _system_profiles()), *own]}


def _get_provisioned(world: World, call: CallRecord, principal: Principal) -> dict[str, Any]:
    if call.behind is None:
        raise Refusal("ResourceNotFoundException", "The provisioned model was not found.")
    _check_owner(call.model or "", principal)
    model = f"arn:aws:bedrock:{principal.region}::foundation-model/{call.behind}"
    units = {"modelUnits": 1, "desiredModelUnits": 1}
    arns = {"provisionedModelArn": call.model, "modelArn": model, "desiredModelArn": model, "foundationModelArn": model}
    times = {"creationTime": "2026-01-01T00:00:00Z", "lastModifiedTime": "2026-01-01T00:00:00Z"}
    return {**units, **arns, **times, "provisionedModelName": "simulated", "status": "InService"}


def _get_availability(world: World, call: CallRecord, principal: Principal) -> dict[str, Any]:
    granted = world.is_granted(msgspec.structs.replace(call, service="bedrock", operation="Converse"))
    return {
        "modelId": call.model,
        "agreementAvailability": {"status": "AVAILABLE" if granted else _UNAVAILABLE},
        "authorizationStatus": "AUTHORIZED",
        "entitlementAvailability": "AVAILABLE" if granted else _UNAVAILABLE,
        "regionAvailability": "AVAILABLE" if call.model in NAMES else _UNAVAILABLE,
    }


def _system_profiles() -> list[str]:
    return [f"{scope}.{model}" for scope in _REGIONS for model in NAMES]


def _write_profile(behind: str, principal: Principal, arn: str | None = None) -> dict[str, Any]:
    """The profile `behind`, or with `arn` one that is made from the model or profile `behind`."""
    scope, _, core = behind.partition(".") if behind.partition(".")[0] in _REGIONS else ("", "", behind)
    regions = _REGIONS.get(scope, (principal.region,))
    own = f"arn:aws:bedrock:{principal.region}:{principal.account}:inference-profile/{behind}"
    return {
        "inferenceProfileName": "simulated",
        "inferenceProfileArn": arn or own,
        "inferenceProfileId": arn.rpartition("/")[2] if arn else behind,
        "models": [{"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{core}"} for region in regions],
        "status": "ACTIVE",
        "type": "APPLICATION" if arn else "SYSTEM_DEFINED",
    }


def _check_owner(arn: str, principal: Principal) -> None:
    if arn.split(":")[3:5] != [principal.region, principal.account]:
        raise invalid("The provided ARN is invalid for the service region or account.")


def _list_quotas(world: World, request: Request, principal: Principal) -> dict[str, Any]:
    if request.headers["x-amz-target"] != _QUOTAS_TARGET:
        raise Refusal("UnknownOperationException", f"No operation {request.headers['x-amz-target']}")
    if decode_object(request.body).get("ServiceCode") != "bedrock":
        raise Refusal(
            "NoSuchResourceException", "The request failed because the specified service does not exist.", 400
        )
    return {"Quotas": [_write_quota(name, value) for name, value in _quotas_of(world, principal)]}


def _quotas_of(world: World, principal: Principal) -> Iterator[tuple[str, int]]:
    for core, name in NAMES.items():
        for scope in ("", "us", "global"):
            road = _ROADS.get(scope, "Cross-region")
            limit = _find_limit(world, principal, f"{scope}.{core}" if scope else core)
            if limit is not None and limit.tpm is not None:
                yield f"{road} model inference tokens per minute for {name}", limit.tpm
            if limit is not None and limit.rpm is not None:
                yield f"{road} model inference requests per minute for {name}", limit.rpm


def _find_limit(world: World, principal: Principal, model: str) -> Limit | None:
    asked = {"service": "bedrock", "account": principal.account, "region": principal.region, "model": model}
    return next((limit for limit in world.settings.limits if limit.match.covers(**asked, operation="Converse")), None)


def _write_quota(name: str, value: int) -> dict[str, Any]:
    return {"ServiceCode": "bedrock", "ServiceName": "Amazon Bedrock", "QuotaName": name, "Value": float(value)}


_Answer = Callable[[World, CallRecord, Principal], dict[str, Any]]
_GETS: dict[tuple[str, int], tuple[str, _Answer]] = {
    ("inference-profiles", 1): ("ListInferenceProfiles", _list_profiles),
    ("inference-profiles", 2): ("GetInferenceProfile", _get_profile),
    ("provisioned-model-throughput", 2): ("GetProvisionedModelThroughput", _get_provisioned),
    ("foundation-model-availability", 2): ("GetFoundationModelAvailability", _get_availability),
}


def _find(request: Request) -> tuple[str, _Answer] | None:
    """The operation of Bedrock's control plane that is asked for."""
    segments = request.segments
    return _GETS.get((segments[0], len(segments))) if request.method == "GET" else None
