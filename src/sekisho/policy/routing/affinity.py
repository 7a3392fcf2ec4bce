"""Which deployment holds the prompt cache of a session, and what it costs to leave it."""

from collections import OrderedDict
from typing import Final

from msgspec import Struct

from sekisho.core.money import Price
from sekisho.core.usage import Usage

_SHORT_SECONDS: Final = 300.0
_LONG_SECONDS: Final = 3600.0
"""For how long upstreams keep a prompt after its last use."""
_REMEMBERED: Final = 20_000
"""Sessions; some 6 MB. Of more, those that were quiet for the longest time lose their home."""
_SECOND_OF_WAITING: Final = 20_000_000
"""What a second of a developer's time is worth, in nano-dollars: 72 dollars an hour."""
_MILLION: Final = 1_000_000


class Home(Struct):
    """Where a session's prompt is cached: `cached` tokens, until `until` (monotonic) unless they are used again.

    waited: for how many seconds its calls have waited so far for room there.
    """

    deployment_id: str
    cached: int
    until: float
    lifetime: float = _SHORT_SECONDS
    waited: float = 0.0


class Affinity:
    """The homes of sessions, as far as this process has seen their calls."""

    def __init__(self) -> None:
        self._homes: OrderedDict[str, Home] = OrderedDict()

    def __len__(self) -> int:
        return len(self._homes)

    def find(self, session: str, now: float) -> Home | None:
        """The session's home, if its cache is still warm."""
        home = self._homes.get(session)
        return home if home is not None and home.until > now else None

    def settle_in(self, session: str, deployment_id: str, now: float) -> None:
        """A deployment has begun to answer the session: from now on its prompt is cached there."""
        home = self._homes.get(session)
        if home is None or home.deployment_id != deployment_id or home.until <= now:
            self._keep(session, Home(deployment_id, 0, now + _SHORT_SECONDS))

    def learn(self, session: str, deployment_id: str, usage: Usage, now: float) -> None:
        """A call of the session has ended at the deployment: so much lies in the cache there."""
        home = self._homes.get(session)
        cached = usage.cache_read + usage.cache_write_5m + usage.cache_write_1h
        if home is None or home.deployment_id != deployment_id or home.until <= now:
            home = self._keep(session, Home(deployment_id, cached, now))
        else:
            # One short prompt of a helper does not drop a long conversation; several say that it was shortened.
            half = home.cached // 2
            home.cached = cached if cached > half else half
            self._homes.move_to_end(session)
        if usage.cache_write_1h:
            home.lifetime = _LONG_SECONDS
        home.until = now + home.lifetime

    def wait(self, session: str, home: Home, seconds: float) -> None:
        """A call of the session waits for so long at its home."""
        home.waited += seconds
        self._homes.move_to_end(session)

    def _keep(self, session: str, home: Home) -> Home:
        homes = self._homes
        homes[session] = home
        homes.move_to_end(session)
        if len(homes) > _REMEMBERED:
            homes.popitem(last=False)
        return home


def cost_of_leaving(cached: int, home: Price | None, elsewhere: Price | None, delay: float = 0.0) -> int:
    """What it costs to have `cached` tokens written to a cache elsewhere instead of read at home, in nano-dollars.

    The price of it, none where a price is not known; and the time of those who are delayed there, seconds in all,
    because what is written uses up a quota and what is read does not.
    """
    extra = 0
    if home is not None and elsewhere is not None:
        extra = elsewhere.rates_for(cached).cache_write_5m - home.rates_for(cached).cache_read
    return max(0, cached * extra // _MILLION) + int(delay * _SECOND_OF_WAITING)


def seconds_for(cost: int) -> float:
    """How long waiting costs as much as `cost` nano-dollars."""
    return cost / _SECOND_OF_WAITING


def is_worth_waiting(seconds: float, waited: float, cost: int) -> bool:
    """Whether to wait so long rather than to pay `cost` nano-dollars for leaving.

    What was waited before (as far as that would have been saved elsewhere) counts too: who waits at every step had
    better leave once.
    """
    return (waited + seconds) * _SECOND_OF_WAITING < cost
