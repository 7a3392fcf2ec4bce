"""What a client sent that the neutral form has no field for."""

from collections.abc import Mapping

from sekisho.dialects.bedrock_converse.forms import ADDITIONAL_FIELDS, Json
from sekisho.dialects.common.extras import leave_out_extra
from sekisho.dialects.common.omissions import Omissions


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
        else:
            leave_out_extra(field, value, notes)
    return passed
