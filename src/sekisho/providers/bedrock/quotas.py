"""What Service Quotas says of an account's limits on Bedrock's runtime in a region.

The codes of these quotas are documented nowhere, but their names follow a pattern: "Cross-region model inference tokens
per minute for Anthropic Claude Sonnet 4.5 V1", with "On-demand" for a model's own id and "Global cross-region" for the
`global.` profile. A name is matched to a model id by its words; where that fails the quota stays unknown, and the
deployment's own `tpm` and `rpm` say it.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-runtime.html; names as ListServiceQuotas gives them.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from sekisho.core.target import ServiceQuota
from sekisho.providers.aws.control import ControlPlane
from sekisho.providers.bedrock.address import VENDORS

_NAME = re.compile(
    r"(?P<road>global cross-region|cross-region|on-demand) (model inference|invokemodel) "
    r"(?P<measure>tokens|requests) per (?P<period>minute|day) for (?P<model>.+)",
    re.ASCII,
)
_DAILY = re.compile(r"model invocation max tokens per day for (?P<model>[^(]+?)( \(.*\))?", re.ASCII)
_WORD = re.compile(r"[a-z]+|\d+[a-z]*", re.ASCII)
_ID_VERSION = re.compile(r"(-\d{8})?(-v(?P<version>\d+)|-\d(?=:))?(:\w+)*", re.ASCII)
_NAME_VERSION = re.compile(r" v(?P<version>\d+)$", re.ASCII)
_VENDORS = frozenset({"ai", "labs", "z", "mistral", "moonshot", *VENDORS.split("|")})
_SILENT_WORDS = frozenset({"instruct", "chat"})
"""What ids say and names of quotas leave out, beside sizes such as `17b`."""
_SIZE = re.compile(r"\d+[bmx]\w*", re.ASCII)


class QuotaRow(Struct, frozen=True):
    """One quota: by which road (`any` for all), `tokens` or `requests` per `minute` or `day`, for which model."""

    road: str
    measure: str
    period: str
    words: tuple[str, ...]
    version: int
    value: int


async def list_quotas(plane: ControlPlane) -> tuple[QuotaRow, ...]:
    """The quotas that are in force for the account. Raises NotTold."""
    return await plane.ask(_list_rows)


def _list_rows(client: Any) -> tuple[QuotaRow, ...]:
    pages = client.get_paginator("list_service_quotas").paginate(ServiceCode="bedrock")
    rows = (read_quota(quota["QuotaName"], quota["Value"]) for page in pages for quota in page["Quotas"])
    return tuple(row for row in rows if row is not None)


def read_quota(name: str, value: float) -> QuotaRow | None:
    """A quota by its name; None for those of anything but inference at once."""
    text = name.strip().lower()
    match = _NAME.fullmatch(text)
    if match is not None:
        road, measure, period, model = match["road"], match["measure"], match["period"], match["model"]
    elif (daily := _DAILY.fullmatch(text)) is not None:
        road, measure, period, model = "any", "tokens", "day", daily["model"]
    else:
        return None
    version = _NAME_VERSION.search(model)
    words = _words(model[: version.start()] if version else model)
    return QuotaRow(road, measure, period, words, int(version["version"]) if version else 1, int(value))


def find_quota(rows: Iterable[QuotaRow], core: str, scope: str) -> ServiceQuota | None:
    """What the rows say of a model id (without profile prefix) by the profile `scope`; None when they say nothing."""
    road = {"": "on-demand", "global": "global cross-region"}.get(scope, "cross-region")
    words, version = _read_id(core)
    fitting = [row for row in rows if row.road in (road, "any") and row.version == version]
    named = [row for row in fitting if row.words == words] or [row for row in fitting if _leaves_out(row.words, words)]
    named.sort(key=lambda row: row.road != "any")  # what is for one road only counts there
    found = {(row.measure, row.period): row.value for row in named}
    if not found:
        return None
    return ServiceQuota(
        tokens_per_minute=found.get(("tokens", "minute")),
        requests_per_minute=found.get(("requests", "minute")),
        tokens_per_day=found.get(("tokens", "day")),
    )


def _read_id(core: str) -> tuple[tuple[str, ...], int]:
    """The words of a model id after its vendor, and its version."""
    name = core.partition(".")[2]
    for start in range(len(name) + 1):
        if (end := _ID_VERSION.fullmatch(name, start)) is not None:
            return _words(name[:start]), int(end["version"] or 1)
    return _words(name), 1


def _words(text: str) -> tuple[str, ...]:
    """The words and numbers of a name, without its vendor's: `llama3-3-70b` is llama, 3, 3, 70b."""
    return tuple(word for word in _WORD.findall(text.lower()) if word not in _VENDORS)


def _leaves_out(short: Sequence[str], words: Sequence[str]) -> bool:
    """Whether `short` is `words` without some that names of quotas leave out."""
    rest = iter(short)
    expected = next(rest, None)
    if expected is None:
        return False
    for word in words:
        if word == expected:
            expected = next(rest, None)
        elif word not in _SILENT_WORDS and not _SIZE.fullmatch(word):
            return False
    return expected is None
