"""Which model is behind an ARN that does not tell: an application inference profile, provisioned throughput and such.

It never changes, so it is asked once.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from sekisho.providers.aws.control import ControlPlane, NotTold
from sekisho.providers.bedrock.address import ModelId, parse_model

_GEOGRAPHIES = (
    ("us-gov", ("us-gov-",)),
    ("us", ("us-",)),
    ("eu", ("eu-",)),
    ("ca", ("ca-",)),
    ("sa", ("sa-",)),
    ("me", ("me-",)),
    ("af", ("af-",)),
    ("il", ("il-",)),
    ("mx", ("mx-",)),
    ("in", ("ap-south-",)),
    ("jp", ("ap-northeast-1", "ap-northeast-3")),
    ("au", ("ap-southeast-2", "ap-southeast-4", "ap-southeast-6")),
    ("apac", ("ap-", "me-")),
)
"""The prefix of a profile by the starts of the regions it spreads over; the first that has them all."""


class Behind(Struct, frozen=True, kw_only=True):
    """What an ARN stands for.

    core: the foundation model's id. scope: the prefix of the system profile it is made from, empty for none.
    shares_quota: whether it draws on the quota of that model or profile, and has none of its own.
    """

    core: str
    scope: str = ""
    shares_quota: bool = False


_known: dict[str, Behind] = {}


def recall(model: ModelId) -> Behind | None:
    """What was found out earlier of a model's ARN."""
    return _known.get(model.id)


def can_resolve(model: ModelId) -> bool:
    """Whether Bedrock can be asked which model it is."""
    return model.core is None and model.kind in _QUESTIONS


async def find_behind(model: ModelId, plane: ControlPlane) -> Behind:
    """What an ARN stands for. Raises NotTold."""
    found = recall(model)
    if found is None:
        question = _QUESTIONS[model.kind or ""]
        found = _known[model.id] = await plane.ask(lambda client: question(client, model.id))
    return found


def _ask_profile(client: Any, arn: str) -> Behind:
    """A profile's models are one model in several regions; ARNs without a region are those of a global profile."""
    profile = client.get_inference_profile(inferenceProfileIdentifier=arn)
    models = [parse_model(each["modelArn"]) for each in profile["models"]]
    core = models[0].core if models else None
    if core is None:
        raise NotTold("failed", f"the profile {arn} names no model")
    return Behind(core=core, scope=_find_scope([model.region for model in models]), shares_quota=True)


def _find_scope(regions: Sequence[str | None]) -> str:
    named = [region for region in regions if region]
    if len(named) < len(regions):
        return "global"
    if len(set(named)) == 1:
        return ""
    return next((scope for scope, starts in _GEOGRAPHIES if all(each.startswith(starts) for each in named)), "global")


def _ask_provisioned(client: Any, arn: str) -> Behind:
    return _of_model(client.get_provisioned_model_throughput(provisionedModelId=arn)["foundationModelArn"], arn)


def _ask_deployment(client: Any, arn: str) -> Behind:
    custom = client.get_custom_model_deployment(customModelDeploymentIdentifier=arn)["modelArn"]
    return _of_model(client.get_custom_model(modelIdentifier=custom)["baseModelArn"], arn)


def _of_model(model_arn: str, arn: str) -> Behind:
    core = parse_model(model_arn).core
    if core is None:
        raise NotTold("failed", f"{arn} is made from {model_arn}, which is not known here")
    return Behind(core=core)


_QUESTIONS = {
    "application-inference-profile": _ask_profile,
    "provisioned-model": _ask_provisioned,
    "custom-model-deployment": _ask_deployment,
}

ACTIONS = {
    "application-inference-profile": "bedrock:GetInferenceProfile",
    "provisioned-model": "bedrock:GetProvisionedModelThroughput",
    "custom-model-deployment": "bedrock:GetCustomModelDeployment and bedrock:GetCustomModel",
}
"""The right that each question takes."""
