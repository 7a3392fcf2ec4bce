"""Whether a deployment on Bedrock can be called, found out without calling it."""

from typing import Any

from sekisho.config.snapshot import Deployment
from sekisho.core.target import Check, ServiceQuota
from sekisho.providers.aws.control import ControlPlane, NotTold
from sekisho.providers.bedrock.address import ModelId, parse_model
from sekisho.providers.bedrock.control import Control
from sekisho.providers.bedrock.profiles import ACTIONS, can_resolve

_NOT_ASKED = Check(
    "model",
    "warning",
    "not asked about: the endpoint of the runtime is not Amazon's",
    "set aws_bedrock_control_plane_endpoint, or run with --call",
)


async def check_model(control: Control, called: ModelId, known: ModelId, region: str) -> list[Check]:
    """Whether there is such a model or profile here, and whether this account may use it."""
    if control.bedrock is None:
        return [_NOT_ASKED]
    checks = [await _check_profile(control, control.bedrock, called, known, region)]
    if known.core is not None:
        checks.append(await _check_access(control.bedrock, known.core, region, alone=not known.scope))
    return checks


async def _check_profile(control: Control, plane: ControlPlane, called: ModelId, known: ModelId, region: str) -> Check:
    if can_resolve(called):
        return await _check_opaque(control, called)
    if known.core is None:
        advice = "set model_info.base_model, for its price and abilities"
        return Check("model", "warning", f"{called.id} does not tell which model it is", advice)
    if not called.scope or called.core is None:
        return Check("model", "ok", known.core)
    try:
        regions = await plane.ask(lambda client: _ask_regions(client, called.id))
    except NotTold as failure:
        if failure.kind == "denied":
            return Check("model", "warning", failure.message, "allow bedrock:GetInferenceProfile")
        if failure.kind == "unreached":
            return Check("model", "warning", failure.message, _reach(region))
        others = await _list_siblings(plane, called.core)
        advice = f"use one of {', '.join(others)}" if others else "choose another region, or another model"
        return Check("model", "broken", f"there is no profile {called.id} in {region}", advice)
    return Check("model", "ok", f"{called.id}, which leads to {', '.join(regions)}")


async def _check_opaque(control: Control, called: ModelId) -> Check:
    try:
        behind = await control.find_behind(called)
    except NotTold as failure:
        if failure.kind in ("denied", "unreached"):
            advice = f"allow {ACTIONS[called.kind or '']}, or set model_info.base_model"
            return Check("model", "warning", failure.message, advice)
        return Check("model", "broken", failure.message, f"check the ARN {called.id}, its account and its region")
    found = "unknown" if behind is None else f"{behind.scope}.{behind.core}" if behind.scope else behind.core
    return Check("model", "ok", f"a profile of {found}")


def _ask_regions(client: Any, profile: str) -> list[str]:
    models = client.get_inference_profile(inferenceProfileIdentifier=profile)["models"]
    return [parse_model(model["modelArn"]).region or "every region" for model in models]


async def _list_siblings(plane: ControlPlane, core: str) -> list[str]:
    """The ids of the profiles in this region that have the same model."""
    try:
        names = await plane.ask(_list_profiles)
    except NotTold:
        return []
    return [name for name in names if parse_model(name).core == core]


def _list_profiles(client: Any) -> list[str]:
    pages = client.get_paginator("list_inference_profiles").paginate(typeEquals="SYSTEM_DEFINED")
    return [each["inferenceProfileId"] for page in pages for each in page["inferenceProfileSummaries"]]


async def _check_access(plane: ControlPlane, core: str, region: str, *, alone: bool) -> Check:
    """`alone`: it is called by its own id, so that it must be in this very region."""
    try:
        told = await plane.ask(lambda client: client.get_foundation_model_availability(modelId=core))
    except NotTold as failure:
        if failure.kind == "denied":
            return Check("access", "warning", failure.message, "allow bedrock:GetFoundationModelAvailability")
        if failure.kind == "unreached":
            return Check("access", "warning", failure.message, _reach(region))
        return Check("access", "broken", failure.message, "check the model's id and the region")
    if told["authorizationStatus"] != "AUTHORIZED":
        advice = f"allow bedrock:InvokeModel on {core} in {region}; a policy of the organisation may forbid it"
        return Check("access", "broken", "the account is not authorised to use the model", advice)
    if told["agreementAvailability"]["status"] != "AVAILABLE" or told["entitlementAvailability"] != "AVAILABLE":
        advice = "accept its terms in the Bedrock console (Model access); Anthropic's need the use-case form once"
        return Check("access", "broken", f"nobody in the account has agreed to the terms of {core}", advice)
    if alone and told["regionAvailability"] != "AVAILABLE":
        advice = "choose another region, or the id of a cross-region profile"
        return Check("access", "broken", f"{core} is not offered in {region}", advice)
    return Check("access", "ok", "granted")


async def check_quota(control: Control, deployment: Deployment, counted: ModelId | None) -> list[Check]:
    """How much the account may use each minute of the model or profile whose quota is drawn on."""
    tokens, requests = deployment.tpm, deployment.rpm
    if tokens is not None and requests is not None:
        return [Check("quota", "ok", f"{tokens:,} tokens and {requests:,} requests a minute, as configured")]
    if control.quotas is None or counted is None:
        return []
    try:
        quota = await control.find_quota(counted)
    except NotTold as failure:
        advice = "allow servicequotas:ListServiceQuotas, or set tpm and rpm"
        return [Check("quota", "warning", failure.message, advice)]
    if quota is None:
        found = "Service Quotas names none for this model"
        return [Check("quota", "warning", found, "set tpm and rpm, or let them be learned from refusals")]
    return [_judge_quota(quota)]


def _judge_quota(quota: ServiceQuota) -> Check:
    parts = (
        (quota.tokens_per_minute, "tokens a minute"),
        (quota.requests_per_minute, "requests a minute"),
        (quota.tokens_per_day, "tokens a day"),
    )
    found = ", ".join(f"{value:,} {unit}" for value, unit in parts if value is not None)
    if any(value == 0 for value, _ in parts):
        return Check("quota", "broken", found, "ask for more in Service Quotas; new accounts begin with nothing")
    return Check("quota", "ok", found)


def _reach(region: str) -> str:
    return f"open the way to Bedrock's control plane in {region}"
