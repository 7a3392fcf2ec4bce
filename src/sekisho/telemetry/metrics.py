"""What is counted of every call. It is named and written for Prometheus by `exposition`.

Everything that a call adds to is one row of integers for each set of labels. A call finds its rows by one look-up, for
callers and targets stay the same objects from call to call; what the metrics with fewer labels say are sums over rows,
made when somebody asks. Labels are names from the configuration and the
database, and fixed words; nothing that a client may choose. Should there be very many of them all the same, the rest
counts under `other`.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, Literal, TypeVar

from msgspec import Struct

from sekisho.core.caller import Caller
from sekisho.core.target import Target
from sekisho.telemetry.calls import Attempt, Call, name_team
from sekisho.telemetry.counts import Counts, Labels, Row

Delivery = Literal["exported", "queue_full", "refused", "unreachable"]
"""What became of the spans of a call at one destination; only the first is good."""

CALLER_LABELS: Final = ("hashed_api_key", "api_key_alias", "user", "team", "team_alias", "org_id", "project_id")
ROAD_LABELS: Final = ("requested_model", "model_group", "model", "model_id", "api_provider", "region")
END_LABELS: Final = ("route", "status_code", "exception_class")
OTHER: Final = "other"

CALLS: Final = 1
CALL_LABELS: Final = (*CALLER_LABELS, *ROAD_LABELS, *END_LABELS)
CALL_VALUES: Final = ("calls", "spend_nano", "input", "output", "cache_read", "cache_write", "reasoning", "retries")

ATTEMPTS: Final = 2
ATTEMPT_LABELS: Final = ("model_group", "litellm_model_name", "model_id", "api_provider", "region", *END_LABELS[1:])
ATTEMPT_VALUES: Final = ("attempts",)

LATENCIES: Final = 3
_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0)
_SHORT: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
HISTOGRAMS: Final = {"total": _SECONDS, "api": _SECONDS, "first_token": _SECONDS, "overhead": _SHORT}
"""Upper bounds of the buckets in seconds. Their values: a count for each and for what lies above, and the sum in µs."""

EXPORTS: Final = 4
EXPORT_LABELS: Final = ("callback_name", "outcome")
EXPORT_VALUES: Final = ("calls",)

MOST_ROWS: Final = 10_000
"""Sets of labels of a table in one process, beyond which the rest is `other`."""
_MOST_SERIES: Final = 8_192
"""Kinds of calls, and of attempts, whose rows are known without their labels."""
_API: Final = len(_SECONDS) + 2
_FIRST: Final = 2 * _API
_OVERHEAD: Final = 3 * _API
_END: Final = _OVERHEAD + len(_SHORT) + 2
"""Where the values of each histogram begin, and where all end; the sum is the last of each."""
_TOTAL_SUM, _API_SUM, _FIRST_SUM, _OVERHEAD_SUM = _API - 1, _FIRST - 1, _OVERHEAD - 1, _END - 1
_WIDTHS: Final = {
    CALLS: len(CALL_VALUES),
    ATTEMPTS: len(ATTEMPT_VALUES),
    LATENCIES: _END,
    EXPORTS: len(EXPORT_VALUES),
}
_NOBODY: Final = ("",) * len(CALLER_LABELS)


class _Series(Struct, frozen=True):
    """The rows of calls that differ in their numbers only; None where there is no room for one.

    caller, target: kept, so that no others can come to have their identity.
    answered: that of the attempt at the target that answered, if they succeeded.
    """

    caller: Caller | None
    target: Target | None
    calls: int | None
    latencies: int | None
    answered: int | None


class Metrics:
    """The metrics of this process, and of its siblings where they are asked for."""

    def __init__(self, counts: Counts, most_rows: int = MOST_ROWS) -> None:
        self._counts = counts
        self._values = counts.values
        self._most_rows = most_rows
        self._places: dict[int, dict[Labels, int]] = {table: {} for table in _WIDTHS}
        for table, labels, place in counts.places():
            self._places[table][labels] = place
        self._series: dict[tuple[object, ...], _Series] = {}
        self._attempts: dict[tuple[object, ...], int | None] = {}

    def count_call(self, call: Call) -> None:
        """Add a call that is over."""
        error, values, cost = call.error, self._values, call.cost
        ending = None if error is None else (error.status, type(error))
        key = (id(call.caller), id(call.target), call.requested, call.group, call.endpoint.path, ending)
        series = self._series.get(key) or _remember(self._series, key, self._find_series(call))
        if (place := series.calls) is not None:
            usage = call.usage
            read, written = usage.cache_read, usage.cache_write_5m + usage.cache_write_1h
            values[place] += 1
            if cost:
                values[place + 1] += cost
            values[place + 2] += usage.input + read + written
            values[place + 3] += usage.output
            if read:
                values[place + 4] += read
            if written:
                values[place + 5] += written
            if usage.reasoning:
                values[place + 6] += usage.reasoning
            if call.retries:
                values[place + 7] += call.retries
        if series.latencies is not None:
            self._count_latencies(series.latencies, call)
        if error is None and len(call.attempts) == 1 and series.answered is not None:
            values[series.answered] += 1
            return
        for attempt in call.attempts:
            if (place := self._find_attempt(attempt)) is not None:
                values[place] += 1

    def count_exports(self, destination: str, outcome: Delivery, calls: int = 1) -> None:
        """Add calls whose spans were sent to a destination, or given up."""
        place = self._find_row(EXPORTS, (destination, outcome), named=len(EXPORT_LABELS))
        if place is not None:
            self._values[place] += calls

    def read_all(self) -> Iterator[Row]:
        """The rows of all processes of this gateway; those with the same table and labels are to be added."""
        return self._counts.read_all()

    def close(self) -> None:
        """Let go of the memory; nothing can be counted any more."""
        self._values = memoryview(b"").cast("q")
        self._counts.close()

    def _find_series(self, call: Call) -> _Series:
        caller, target = call.caller, call.target
        road = _name_road(call, target)
        labels = (
            *(_name_caller(caller) if caller else _NOBODY),
            *road,
            call.endpoint.path,
            str(call.status),
            call.failure,
        )
        place = self._find_row(CALLS, labels, named=len(END_LABELS))
        if call.error is not None:
            return _Series(caller, target, place, None, None)
        answered = self._find_attempt(call.attempts[-1]) if call.attempts else None
        return _Series(caller, target, place, self._find_row(LATENCIES, road), answered)

    def _count_latencies(self, place: int, call: Call) -> None:
        values, seconds, first = self._values, call.seconds, call.first_byte_after
        overhead = 0.0 if first is None or first < call.waited else first - call.waited
        answering = seconds - overhead
        values[place + bisect_left(_SECONDS, seconds)] += 1
        values[place + _TOTAL_SUM] += int(seconds * 1e6)
        values[place + _API + bisect_left(_SECONDS, answering)] += 1
        values[place + _API_SUM] += int(answering * 1e6)
        values[place + _OVERHEAD + bisect_left(_SHORT, overhead)] += 1
        values[place + _OVERHEAD_SUM] += int(overhead * 1e6)
        if first is not None and (asked := call.call) is not None and asked.stream:
            values[place + _FIRST + bisect_left(_SECONDS, first)] += 1
            values[place + _FIRST_SUM] += int(first * 1e6)

    def _find_attempt(self, one: Attempt) -> int | None:
        """The place of the row that counts such attempts."""
        target = one.target
        key = (target.deployment_id, one.group, target.upstream_model, one.status, one.error)
        if key in self._attempts:
            return self._attempts[key]
        road = (one.group, target.upstream_model, target.deployment_id, target.provider, target.region or "")
        end = ("" if one.status is None else str(one.status), (one.error or "").partition(":")[0])
        return _remember(self._attempts, key, self._find_row(ATTEMPTS, (*road, *end), named=len(end)))

    def _find_row(self, table: int, labels: Labels, named: int = 0) -> int | None:
        """The place of the row with these labels; see `_make_row`."""
        place = self._places[table].get(labels)
        return self._make_row(table, labels, named) if place is None else place

    def _make_row(self, table: int, labels: Labels, named: int) -> int | None:
        """The place of a new row, or of that for the rest, on which the last `named` labels are told all the same.

        None when there is no room at all.
        """
        places = self._places[table]
        place = None
        if len(places) < self._most_rows:
            place = self._counts.add_row(table, labels, _WIDTHS[table])
        if place is None:
            others = len(labels) - named
            labels = (*(OTHER,) * others, *labels[others:])
            place = places.get(labels) or self._counts.add_row(table, labels, _WIDTHS[table])
        if place is not None:
            places[labels] = place
        return place


_Kept = TypeVar("_Kept")


def _remember(known: dict[tuple[object, ...], _Kept], key: tuple[object, ...], value: _Kept) -> _Kept:
    if len(known) >= _MOST_SERIES:
        known.clear()
    known[key] = value
    return value


def _name_caller(caller: Caller) -> Labels:
    return (
        caller.key_hash or "",
        caller.key_alias or "",
        caller.user_id or "",
        caller.team_id or "",
        name_team(caller) or "",
        caller.organization_id or "",
        caller.project_id or "",
    )


def _name_road(call: Call, target: Target | None) -> Labels:
    if target is None:
        return (call.requested, call.group, "", "", "", "")
    group, region = call.group, target.region or ""
    return (call.requested, group, target.upstream_model, target.deployment_id, target.provider, region)
