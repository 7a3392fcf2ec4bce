"""What a client sent that the neutral form has no field for."""

from sekisho.dialects.common.omissions import Omissions

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


def leave_out_extra(field: str, value: object, notes: Omissions) -> None:
    """Leave out a field that the upstream does not have; None and values that ask for nothing are not named.

    Raises:
        Unsupported: The field would change what the answer is.
    """
    if value is None:
        return
    if field not in _MEANINGFUL:
        notes.drop(field)
    elif value not in _MEANINGFUL[field]:
        notes.refuse(field, f"The model has no `{field}`.")
