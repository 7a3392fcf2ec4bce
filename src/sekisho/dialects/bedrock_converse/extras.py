"""What a client sent that the neutral form has no field for, and the pairs that Bedrock should log."""

import re
from collections.abc import Mapping

from sekisho.dialects.bedrock_converse.cache import Json
from sekisho.dialects.bedrock_converse.omissions import Omissions

ADDITIONAL_FIELDS = "additional_model_request_fields"

# Fields that change what the answer is, each with the values at which it changes nothing.
_MEANINGFUL: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "audio": (),
    "modalities": (["text"], []),
    "web_search_options": (),
}
_NOT_IN_METADATA = re.compile(r"[^a-zA-Z0-9\s:_@$#=/+,\-.]", re.ASCII)
_MAX_PAIRS = 16
_MAX_METADATA_LENGTH = 256


def review_extras(extras: Mapping[str, object], notes: Omissions) -> Json:
    """The additional fields that the client passes through to the model; everything else is dropped or refused.

    Raises:
        Unsupported: A field would change what the answer is.
    """
    passed: Json = {}
    for field, value in extras.items():
        if value is None:
            continue
        if field == ADDITIONAL_FIELDS:
            if isinstance(value, dict):
                passed.update(value)
            else:
                notes.refuse(field, f"`{field}` must be an object.")
        elif field not in _MEANINGFUL:
            notes.drop(field)
        elif value not in _MEANINGFUL[field]:
            notes.refuse(field, f"Models on Bedrock have no `{field}`.")
    return passed


def write_metadata(pairs: Mapping[str, str]) -> dict[str, str]:
    """String pairs as Bedrock accepts them: the first 16, cut to length, with `_` for characters it refuses."""
    written: dict[str, str] = {}
    for key, value in pairs.items():
        if key and len(written) < _MAX_PAIRS:
            written[_clean(key)] = _clean(value)
    return written


def _clean(text: str) -> str:
    return _NOT_IN_METADATA.sub("_", text[:_MAX_METADATA_LENGTH])
