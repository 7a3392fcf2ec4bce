"""How often a target is asked again after a failure, and after which pause."""

from random import Random

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.chat import ClientCall
from sekisho.core.errors import SekishoError, UpstreamError, UpstreamMisconfigured
from sekisho.policy.routing.kinds import find_number

_PAUSE_SECONDS = 0.5
_MAX_PAUSE_SECONDS = 8.0
_LONGEST_WAIT_SECONDS = 60.0
"""Who asks for a longer wait than this is not waited for."""


class Repeats:
    """The rules for one call: what it wishes itself, then the policies of the configuration, then `num_retries`."""

    def __init__(self, call: ClientCall, snapshot: Snapshot, random: Random) -> None:
        self._wish = call.num_retries
        self._snapshot = snapshot
        self._random = random

    def allow(self, error: SekishoError, deployment: Deployment, *, last: bool, way_out: bool) -> int:
        """How often a deployment may be asked again after such a failure.

        Once with fresh credentials. Otherwise only the `last` of its group, for the others are asked first; and once at
        most, where there is a `way_out` to another group.
        """
        if not isinstance(error, UpstreamError):
            return 0
        if isinstance(error, UpstreamMisconfigured) and error.verdict == "same":
            return 1
        if not last or (error.retry_after or 0) > _LONGEST_WAIT_SECONDS:
            return 0
        configured = self._find_configured(deployment.model_name, error)
        if configured is not None:
            return configured
        if error.verdict != "same":
            return 0
        wishes = (self._wish, deployment.num_retries, self._snapshot.num_retries)
        retries = next(wish for wish in wishes if wish is not None)
        if way_out:
            return min(retries, 1)
        return max(retries, error.repeats) if retries else 0

    def choose_wait(self, error: SekishoError, repeats: int) -> float:
        """Seconds until the next attempt at the same target: none with fresh credentials, else with some chance."""
        if isinstance(error, UpstreamMisconfigured):
            return 0.0
        pause = error.retry_after or min(_PAUSE_SECONDS * 2**repeats, _MAX_PAUSE_SECONDS)
        return pause * (1 + self._random.random() / 4)

    def _find_configured(self, group: str, error: UpstreamError) -> int | None:
        """What the policies of the configuration say of such a failure, unless the request has its own number."""
        if self._wish is not None:
            return None
        own = self._snapshot.model_group_retry_policy.get(group)
        number = None if own is None else find_number(own, error)
        return find_number(self._snapshot.retry_policy, error) if number is None else number
