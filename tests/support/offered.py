"""A configuration of two models whose targets nobody calls, and a keeper of it to which models can be added."""

import os
from functools import partial
from types import SimpleNamespace
from typing import cast

from sekisho.assembly import resolve_deployment
from sekisho.config.deployments import group_deployments
from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.catalogue import DeploymentHealth
from sekisho.core.clock import ManualClock
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price, Rates, Tier
from sekisho.core.target import ProviderEnvironment, Target
from sekisho.gateway.reloading import Reloaded
from sekisho.gateway.worlds import WorldKeeper
from sekisho.identity.authenticate import Identity
from sekisho.store.engine import Store

_SONNET = Deployment(
    id="deployment-1",
    model_name="sonnet",
    model="us.anthropic.claude-sonnet",
    params={"model": "bedrock/us.anthropic.claude-sonnet", "aws_region_name": "us-east-1"},
    model_info={},
    where="config.yaml:2",
)
_MYSTERY = Deployment(
    id="deployment-2",
    model_name="mystery",
    model="nobody.knows",
    params={"model": "bedrock/nobody.knows"},
    model_info={},
    where="config.yaml:6",
)
OFFERED = Snapshot(
    deployments=(_SONNET, _MYSTERY),
    groups=group_deployments((_SONNET, _MYSTERY)),
    model_group_alias={"claude": "sonnet"},
    hidden_aliases=frozenset({"claude"}),
    fallbacks={"sonnet": ("mystery",)},
)


def _place(deployment_id: str) -> dict[str, str | None]:
    return {"deployment_id": deployment_id, "bucket": deployment_id, "account": None, "region": "us-east-1"}


_TARGETS = {
    "deployment-1": SimpleNamespace(
        **_place("deployment-1"),
        provider="bedrock",
        dialects={"chat": ("bedrock_converse",)},
        facts=ModelFacts(
            max_input_tokens=200_000,
            max_output_tokens=64_000,
            vision=True,
            thinking="budget",
            cache=frozenset({"system", "messages"}),
        ),
        price=Price(
            "2026-11",
            Rates(3 * 10**9, 15 * 10**9, 3 * 10**8, 375 * 10**7, 6 * 10**9),
            (Tier(200_000, Rates(6 * 10**9, 225 * 10**8, 6 * 10**8, 75 * 10**8, 12 * 10**9)),),
        ),
    ),
    "deployment-2": SimpleNamespace(
        **_place("deployment-2"),
        provider="bedrock",
        dialects={"chat": ("bedrock_converse",)},
        facts=ModelFacts(tools=False, tool_choice=False, sampling="none", stop_sequences=False),
        price=None,
    ),
}


class SameFiles:
    """Files of a configuration that say what they said before."""

    async def reload(self) -> Reloaded:
        return Reloaded(changed=False, findings=())


class FineHealth:
    """Deployments that always answer."""

    async def find(self, model: str | None = None, deployment_id: str | None = None) -> list[DeploymentHealth]:
        return [
            DeploymentHealth(
                model_name=each.model_name,
                deployment_id=each.id,
                model=each.model,
                params=each.params,
                error=None,
                milliseconds=1,
                checked_at=0.0,
            )
            for each in OFFERED.deployments
        ]


def keep_offered(store: Store, identity: Identity) -> WorldKeeper:
    """A keeper of these two models, and of what is added in this store."""
    environment = ProviderEnvironment(clock=ManualClock())

    def resolve(deployment: Deployment) -> Target:
        stub = _TARGETS.get(deployment.id)
        return cast(Target, stub) if stub is not None else resolve_deployment(environment, deployment)

    keeper = WorldKeeper(OFFERED, store, resolve, os.environ, partial(_tell, identity))
    identity.follow(keeper.doubt)
    return keeper


def _tell(identity: Identity, snapshot: Snapshot) -> None:
    identity.use_groups(snapshot.access_groups)
    identity.use_defaults(snapshot)
