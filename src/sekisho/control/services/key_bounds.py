"""What the configuration says of virtual keys: what those get that ask for nothing else, and the most they may have."""

from collections.abc import Mapping
from typing import Any

from sekisho.control.services.context import Services
from sekisho.core.caller import Caller
from sekisho.core.durations import expiry
from sekisho.core.errors import InvalidRequest
from sekisho.identity.rights import is_administrator

_DURATIONS = ("duration", "budget_duration")
_PLACES = ("user_id", "team_id")
_ENDLESS = ("", "-1")


def complete_key(services: Services, caller: Caller, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a new key with what it leaves open: the defaults, then the bounds. Raises InvalidRequest.

    The user and the team of the defaults are for keys that an administrator makes: others make keys of their own.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    snapshot, defaults = services.worlds.snapshot, services.worlds.snapshot.key_defaults
    if not is_administrator(caller):
        defaults = {name: value for name, value in defaults.items() if name not in _PLACES}
    complete = {**fields, **defaults, **given}
    return bound_key(services, {**dict.fromkeys(snapshot.key_bounds), **complete})


def bound_key(services: Services, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a change to a key, in which a limit that is taken away becomes its bound.

    Raises:
        InvalidRequest: a limit is beyond its bound.
    """
    bounds = services.worlds.snapshot.key_bounds
    bounded = dict(fields)
    for name in bounds.keys() & fields.keys():
        if fields[name] is None:
            bounded[name] = bounds[name]
        elif _size(services, name, fields[name]) > _size(services, name, bounds[name]):
            message = f"{name} may be {bounds[name]} at most here (upperbound_key_generate_params)."
            raise InvalidRequest(message, param=name)
    return bounded


def _size(services: Services, name: str, value: Any) -> float:
    """A number by which a limit can be compared with others of its name."""
    if name not in _DURATIONS:
        return float(value)
    return float("inf") if value in _ENDLESS else expiry(value, services.clock.now())
