"""What is asked of Bedrock's control plane and of Service Quotas for a deployment, beside its calls."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

from sekisho.core.clock import Clock
from sekisho.core.target import ServiceQuota
from sekisho.providers.aws.chain import CredentialSettings
from sekisho.providers.aws.control import ControlPlane, NotTold
from sekisho.providers.aws.regions import environment_endpoint, is_amazons
from sekisho.providers.aws.sessions import RoleSessions
from sekisho.providers.aws.signing import Keys
from sekisho.providers.bedrock.address import ModelId
from sekisho.providers.bedrock.profiles import ACTIONS, Behind, can_resolve, find_behind
from sekisho.providers.bedrock.quotas import QuotaRow, find_quota, list_quotas
from sekisho.providers.common.settings import check_url

REFRESH_SECONDS = 3600.0
"""How long a list of quotas is good: raised ones take effect without a restart."""


class QuotaBook:
    """The quotas of one account in one region, listed once for all its deployments."""

    def __init__(self, plane: ControlPlane, clock: Clock) -> None:
        self._plane = plane
        self._clock = clock
        self._reading = asyncio.Lock()
        self._read_at = float("-inf")
        self._rows: tuple[QuotaRow, ...] | NotTold = ()

    async def find(self, core: str, scope: str) -> ServiceQuota | None:
        """The quota of a model; None when the list does not name it. Raises NotTold."""
        async with self._reading:
            if self._clock.monotonic() >= self._read_at + REFRESH_SECONDS:
                try:
                    self._rows = await list_quotas(self._plane)
                except NotTold as failure:
                    self._rows = failure
                self._read_at = self._clock.monotonic()
        if isinstance(self._rows, NotTold):
            raise self._rows.with_traceback(None)
        return find_quota(self._rows, core, scope)


_books: "weakref.WeakValueDictionary[tuple[CredentialSettings, str, Clock], QuotaBook]" = weakref.WeakValueDictionary()


class Control(Struct, frozen=True):
    """The control plane of the account that a deployment is in. A plane that must not be asked is None."""

    sts: ControlPlane | None
    bedrock: ControlPlane | None
    quotas: QuotaBook | None

    async def find_behind(self, model: ModelId) -> Behind | None:
        """What an opaque ARN stands for; None for what is not opaque, or nobody can tell of. Raises NotTold."""
        if not can_resolve(model):
            return None
        if self.bedrock is None:
            raise NotTold("keys", "it is asked only of AWS itself, and not with an API key")
        return await find_behind(model, self.bedrock)

    async def find_quota(self, model: ModelId) -> ServiceQuota | None:
        """What the account may use of a model each minute; None when it is not known. Raises NotTold."""
        if self.quotas is None or model.core is None:
            return None
        return await self.quotas.find(model.core, model.scope)


def find_control(
    params: Mapping[str, object], runtime: str, region: str, settings: CredentialSettings, clock: Clock, where: str
) -> Control:
    """The control plane for a deployment.

    Where the runtime is not Amazon's, the rest of AWS is asked only at endpoints that are set, by
    `aws_bedrock_control_plane_endpoint` or botocore's AWS_ENDPOINT_URL_<service>. Raises ConfigError.
    """
    given = params.get("aws_bedrock_control_plane_endpoint")
    endpoint = check_url(given, "aws_bedrock_control_plane_endpoint", where) if given else None
    sessions = RoleSessions(settings, clock)

    async def keys() -> Keys:
        return await sessions.source(None).keys()

    near = is_amazons(runtime)
    asked = near or endpoint or environment_endpoint("BEDROCK")
    listed = near or environment_endpoint("SERVICE_QUOTAS")
    return Control(
        ControlPlane("sts", region, keys, settings.sts_endpoint),
        ControlPlane("bedrock", region, keys, endpoint) if asked else None,
        _find_book(settings, region, keys, clock) if listed else None,
    )


def _find_book(
    settings: CredentialSettings, region: str, keys: Callable[[], Awaitable[Keys]], clock: Clock
) -> QuotaBook:
    book = _books.get((settings, region, clock))
    if book is None:
        book = _books[settings, region, clock] = QuotaBook(ControlPlane("service-quotas", region, keys), clock)
    return book


def explain_unresolved(model: ModelId, reason: str) -> str:
    """Why it matters that nobody tells which model an ARN is, and what to do about it."""
    return (
        f"{model.id} does not tell which model it is, so its price and abilities are unknown: allow "
        f"{ACTIONS[model.kind or '']}, or set model_info.base_model ({reason})"
    )


def explain_unlisted(region: str, reason: str) -> str:
    """What it means that the quotas cannot be read, and what to do about it."""
    return (
        f"the quotas in {region} cannot be read, so they are learned from refusals: allow "
        f"servicequotas:ListServiceQuotas, or set tpm and rpm ({reason})"
    )
