"""The string pairs that Bedrock writes into its invocation logs with a call; the limits are the service model's."""

import re
from collections.abc import Mapping

_NOT_IN_METADATA = re.compile(r"[^a-zA-Z0-9\s:_@$#=/+,\-.]", re.ASCII)
MAX_PAIRS = 16
_MAX_METADATA_LENGTH = 256


def write_metadata(pairs: Mapping[str, str]) -> dict[str, str]:
    """String pairs as Bedrock accepts them: the first 16, cut to length, with `_` for characters it refuses."""
    whole = "".join([*pairs, *pairs.values()])
    if len(pairs) <= MAX_PAIRS and len(whole) <= _MAX_METADATA_LENGTH and not _NOT_IN_METADATA.search(whole):
        return {key: value for key, value in pairs.items() if key} if "" in pairs else {**pairs}
    written: dict[str, str] = {}
    for key, value in pairs.items():
        if key and len(written) < MAX_PAIRS:
            written[_clean(key)] = _clean(value)
    return written


def _clean(text: str) -> str:
    return _NOT_IN_METADATA.sub("_", text[:_MAX_METADATA_LENGTH])
