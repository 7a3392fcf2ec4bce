"""Whose spend a caller may see, and the days of a report."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from sekisho.control.services.context import Services
from sekisho.control.services.ownership import managed_teams, organizations_of, visible_teams
from sekisho.core.caller import Caller
from sekisho.core.errors import AccessDenied, InvalidRequest
from sekisho.identity.rights import sees_everything
from sekisho.store.reports import ReportFilter

_EPOCH: Final = date(1970, 1, 1)
_LONGEST_DAYS: Final = 366
_DATE_LENGTH: Final = len("2026-11-23")


class Owners(Struct, frozen=True, kw_only=True):
    """Whose calls are meant; None is no condition."""

    keys: tuple[str, ...] | None = None
    users: tuple[str, ...] | None = None
    teams: tuple[str, ...] | None = None
    organizations: tuple[str, ...] | None = None


def parse_moment(text: str, param: str, *, end: bool) -> int:
    """Milliseconds since the epoch of a date (its beginning, or its end if `end`) or of a date and time, in UTC.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{param} must be a date such as 2026-11-23, not {text[:40]!r}.", param=param) from None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    try:
        moment += timedelta(days=1) if end and len(text) <= _DATE_LENGTH else timedelta()
    except OverflowError:
        raise InvalidRequest(f"{param} is too far away: {text[:40]!r}.", param=param) from None
    return int(moment.timestamp() * 1000)


def parse_days(start_date: str | None, end_date: str | None) -> tuple[int, int]:
    """The days from one date to another, both included, as a range of days since the epoch.

    Raises:
        InvalidRequest: one is missing or no date, or they are more than a year apart.
    """
    since, last = _parse_date(start_date, "start_date"), _parse_date(end_date, "end_date")
    if last < since:
        raise InvalidRequest("end_date is before start_date.", param="end_date")
    if last - since >= _LONGEST_DAYS:
        raise InvalidRequest(f"A report covers at most {_LONGEST_DAYS} days. Ask for a part of them.", param="end_date")
    return since, last + 1


def show_day(day: int) -> str:
    """The date of a day that is counted from the epoch."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def today(services: Services) -> int:
    """The day (UTC), counted from the epoch."""
    return int(services.clock.now() // 86_400)


async def narrow_owners(services: Services, caller: Caller, wanted: Owners) -> Owners:
    """Leave what the caller may see.

    Everything for those who see everything; what belongs to a team or an organisation for its administrators, when
    these are named; else the calls of the caller's user, or of its key when it belongs to no user.

    Raises:
        AccessDenied: what is asked for is somebody else's.
    """
    if sees_everything(caller) or await _administers(services, caller, wanted):
        return wanted
    if wanted.teams is not None:
        _require_within(wanted.teams, await visible_teams(services, caller), "teams")
    if wanted.organizations is not None:
        _require_within(wanted.organizations, [caller.organization_id], "organisations")
    if caller.user_id is None:
        if wanted.users is not None:
            raise AccessDenied("You may see only the calls of your own key.")
        _require_within(wanted.keys or (), [caller.key_hash], "keys")
        return msgspec.structs.replace(wanted, keys=(caller.key_hash or "",))
    _require_within(wanted.users or (), [caller.user_id], "users")
    return msgspec.structs.replace(wanted, users=(caller.user_id,))


def report_filter(owners: Owners, days: tuple[int, int]) -> ReportFilter:
    """What to add up for these owners on these days."""
    return ReportFilter(since=days[0], until=days[1], **msgspec.structs.asdict(owners))


async def own_teams(services: Services, caller: Caller) -> tuple[str, ...] | None:
    """The teams that a report is about when none is named: those that the caller manages, else is a member of.

    None, for every team, when the caller sees everything.
    """
    if sees_everything(caller):
        return None
    return tuple(await managed_teams(services, caller) or await visible_teams(services, caller))


async def own_organizations(services: Services, caller: Caller) -> tuple[str, ...] | None:
    """The same of organisations."""
    if sees_everything(caller):
        return None
    own = (caller.organization_id,) if caller.organization_id is not None else ()
    return tuple(await organizations_of(services, caller, as_admin=True)) or own


async def _administers(services: Services, caller: Caller, wanted: Owners) -> bool:
    if wanted.teams and set(wanted.teams) <= set(await managed_teams(services, caller)):
        return True
    organized = await organizations_of(services, caller, as_admin=True)
    return bool(wanted.organizations) and set(wanted.organizations or ()) <= set(organized)


def _require_within(wanted: Sequence[str], allowed: Sequence[str | None], what: str) -> None:
    if foreign := [name for name in wanted if name not in allowed]:
        raise AccessDenied(f"You may not see the spend of {foreign[0][:80]!r}: it is not among your {what}.")


def _parse_date(text: str | None, param: str) -> int:
    if text is None:
        raise InvalidRequest("Say from when to when: start_date and end_date, such as 2026-11-23.", param=param)
    try:
        return (date.fromisoformat(text[:_DATE_LENGTH]) - _EPOCH).days
    except ValueError:
        raise InvalidRequest(f"{param} must be a date such as 2026-11-23, not {text[:40]!r}.", param=param) from None
