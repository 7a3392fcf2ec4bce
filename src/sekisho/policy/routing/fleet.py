"""The deployments among which a call may choose, prepared once for all calls, and whom a session prefers."""

from array import array
from collections.abc import Sequence
from hashlib import sha256
from math import log
from typing import Final
from zlib import crc32

from msgspec import Struct

from sekisho.config.snapshot import Deployment
from sekisho.core.money import Price
from sekisho.core.target import Target
from sekisho.core.usage import Usage

_SLOTS: Final = 2048
"""Sessions are told apart by so many numbers; for each the order of preference is worked out once."""
_COMMON: Final = Usage(input=2_000, cache_read=20_000, cache_write_5m=2_000, output=1_000)
"""An agent's step, by which prices are compared."""
_DEARNESS: Final = 3.0
_MOST_DEARNESS: Final = 0.45


class Option(Struct, frozen=True, eq=False, kw_only=True):
    """One deployment that may be chosen, with what is fixed about it.

    index: its place in the fleet. weight: its share of new sessions. dearness: by how much of its quota another must
    be fuller to be passed over for this one, since this one costs more; 0 for the cheapest. most_parallel: how many
    calls may be under way at once.
    """

    index: int
    deployment: Deployment
    target: Target
    id: str
    bucket: str
    order: int
    weight: float
    dearness: float
    price: Price | None
    most_parallel: int | None


class Fleet:
    """The options of one model group, by their place."""

    def __init__(self, pairs: Sequence[tuple[Deployment, Target]], most_parallel: int | None = None) -> None:
        weights = _weigh([deployment for deployment, _ in pairs])
        dearness = _compare_prices([target.price for _, target in pairs])
        self.options = tuple(
            Option(
                index=index,
                deployment=deployment,
                target=target,
                id=deployment.id,
                bucket=target.bucket,
                order=deployment.order or 0,
                weight=weights[index],
                dearness=dearness[index],
                price=target.price,
                most_parallel=deployment.max_parallel_requests or most_parallel,
            )
            for index, (deployment, target) in enumerate(pairs)
        )
        self.by_id = {option.id: option for option in self.options}
        """The options by their deployments."""
        self._preferences: dict[int, array[int]] = {}
        self.has_orders = len({option.order for option in self.options}) > 1
        self.has_bounds = any(option.most_parallel is not None for option in self.options)

    def prefer(self, session: str) -> Sequence[int]:
        """The places of the options as this session prefers them: by `order`, then the cheaper, then its own taste.

        The taste is the same in all processes, and as even over sessions as the weights are (weighted rendezvous
        hashing): when an option is gone, only its own sessions go elsewhere.
        """
        return self.prefer_by(crc32(session.encode("utf-8", "surrogatepass")))

    def prefer_by(self, number: int) -> Sequence[int]:
        """As `prefer`, for whom the number stands."""
        slot = number % _SLOTS if len(self.options) > 1 else 0
        known = self._preferences.get(slot)
        if known is None:
            ordered = sorted(self.options, key=lambda option: (option.order, option.dearness, _taste(slot, option)))
            known = self._preferences[slot] = array("H", [option.index for option in ordered])
        return known


def _taste(slot: int, option: Option) -> float:
    """The lower, the more it is preferred."""
    digest = sha256(f"{slot}\0{option.id}".encode()).digest()
    chance = (int.from_bytes(digest[:7], "big") + 1) / ((1 << 56) + 1)
    return -log(chance) / option.weight


def _weigh(deployments: Sequence[Deployment]) -> list[float]:
    """The first of weight, rpm and tpm that any of them states; a deployment that does not state it weighs little."""
    for name in ("weight", "rpm", "tpm"):
        values = [getattr(deployment, name) for deployment in deployments]
        if any(value is not None for value in values):
            return [max(float(value or 0), 1e-3) for value in values]
    return [1.0] * len(deployments)


def _compare_prices(prices: Sequence[Price | None]) -> list[float]:
    """The dearness of each; what has no price is taken to cost no more than the cheapest."""
    costs = [None if price is None else price.cost(_COMMON) for price in prices]
    cheapest = min((cost for cost in costs if cost), default=0)
    if not cheapest:
        return [0.0] * len(prices)
    return [
        round(min(_MOST_DEARNESS, max(0.0, _DEARNESS * (cost / cheapest - 1))), 2) if cost else 0.0 for cost in costs
    ]
