"""Who AWS says we are with a deployment's keys, and what to do where it says nothing."""

from typing import Any

from sekisho.core.clock import Clock
from sekisho.core.target import Check
from sekisho.providers.aws.chain import CredentialSettings
from sekisho.providers.aws.control import ControlPlane, NotTold
from sekisho.providers.aws.credentials import source_for

UNKEYED = Check("identity", "warning", "an API key, which only a call can check", "run with --call")
SIMULATED = Check(
    "identity", "warning", "simulated by the local counterpart", "give AWS credentials to check the real thing"
)


async def check_identity(
    sts: ControlPlane, settings: CredentialSettings, region: str, clock: Clock, account: str | None
) -> Check:
    """Who we are. `account` is the one that the deployment's ARN is in, where it tells."""
    try:
        identity = await sts.ask(_ask_identity)
    except NotTold as failure:
        return Check("identity", "broken", failure.message, await _advise(failure, settings, region, clock))
    if account is not None and identity["Account"] != account:
        found = f"{identity['Arn']}, but the model is in account {account}"
        return Check("identity", "broken", found, f"set aws_role_name to a role of account {account}")
    return Check("identity", "ok", identity["Arn"])


def _ask_identity(client: Any) -> dict[str, str]:
    answer: dict[str, str] = client.get_caller_identity()
    return answer


async def _advise(failure: NotTold, settings: CredentialSettings, region: str, clock: Clock) -> str:
    """What to do when there are no keys, or none that AWS accepts."""
    if failure.kind == "unreached":
        return f"open the way to STS in {region} (in a closed network, a VPC endpoint for com.amazonaws.{region}.sts)"
    if settings.role_arn is None:
        return "check the keys, the profile, or the role of this machine"
    own = await _name_ourselves(settings, region, clock)
    if own is None:
        return "check the keys with which the role is assumed: they are not accepted either"
    also = " and sts:TagSession" if settings.session_tags else ""
    condition = ", under the external id that aws_external_id gives" if settings.external_id else ""
    return (
        f"see that the role exists, let the trust policy of {settings.role_arn} allow sts:AssumeRole{also} to "
        f"{own}{condition}, and let the policy of the latter allow it, too"
    )


async def _name_ourselves(settings: CredentialSettings, region: str, clock: Clock) -> str | None:
    """Who asks for the role; None when nobody knows."""
    if settings.web_identity_token is not None:
        return "the holder of the web identity token"
    plane = ControlPlane("sts", region, source_for(settings.base(), clock).keys, settings.sts_endpoint)
    try:
        return (await plane.ask(_ask_identity))["Arn"]
    except NotTold:
        return None
