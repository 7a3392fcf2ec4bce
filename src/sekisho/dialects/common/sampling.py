"""How the next token is drawn and where the answer ends, as far as the model takes it."""

from msgspec import Struct

from sekisho.core.chat import ChatRequest
from sekisho.core.model import ModelFacts
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.reasoning import ReasoningPlan

_MIN_TOP_P_THINKING = 0.95


class Sampling(Struct, frozen=True, kw_only=True):
    """The values to send; None and empty for those that are not."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = []


def read_output_limit(chat: ChatRequest, facts: ModelFacts, notes: Omissions) -> int | None:
    """The client's own output limit, no higher than the model's. Raises Unsupported below one."""
    limit = chat.max_output_tokens
    if limit is None:
        return None
    if limit < 1:
        notes.refuse("max_tokens", f"An answer of at most {limit} tokens cannot be asked for.")
        return None
    return min(limit, facts.max_output_tokens or limit)


def plan_sampling(
    chat: ChatRequest, facts: ModelFacts, plan: ReasoningPlan, notes: Omissions, *, most_stops: int | None = None
) -> Sampling:
    """The settings that the model takes; `most_stops` is how many stop sequences the upstream takes.

    Raises:
        Unsupported: A value is out of range, or stop sequences are given to a model that takes none.
    """
    temperature, top_p, top_k = chat.temperature, chat.top_p, chat.top_k
    if temperature is not None:
        temperature = _read_unit(temperature, "temperature", notes)
    if top_p is not None:
        top_p = _read_unit(top_p, "top_p", notes)
    if temperature is not None and not _takes_temperature(temperature, facts, plan, notes):
        temperature = None
    if top_p is not None and not _takes_top_p(top_p, facts, plan, notes, beside=temperature is not None):
        top_p = None
    if top_k is not None and not _takes_top_k(top_k, facts, plan):
        notes.drop("top_k")
        top_k = None
    stop = _read_stop(chat, facts, notes, most_stops) if chat.stop else []
    return Sampling(temperature=temperature, top_p=top_p, top_k=top_k, stop=stop)


def _read_unit(value: float, field: str, notes: Omissions) -> float:
    """A number that the upstream wants between 0 and 1; with drop_params, the nearest such number."""
    if 0 <= value <= 1:
        return value
    notes.refuse(field, f"`{field}` is {value}, but the model takes 0 to 1.")
    return 1.0 if value > 1 else 0.0


def _takes_temperature(temperature: float, facts: ModelFacts, plan: ReasoningPlan, notes: Omissions) -> bool:
    if facts.sampling != "none" and not plan.claude and not plan.nova_high:
        return True
    # 1 is the default, so that a model that takes none does as asked.
    if temperature != 1:
        notes.drop("temperature")
    return False


def _takes_top_p(top_p: float, facts: ModelFacts, plan: ReasoningPlan, notes: Omissions, *, beside: bool) -> bool:
    fits = facts.sampling == "both" or (facts.sampling == "one" and not beside)
    if fits and not plan.nova_high and not (plan.claude and top_p < _MIN_TOP_P_THINKING):
        return True
    if top_p != 1:
        notes.drop("top_p")
    return False


def _takes_top_k(top_k: int, facts: ModelFacts, plan: ReasoningPlan) -> bool:
    return top_k > 0 and facts.sampling != "none" and not plan.claude and not plan.nova_high


def _read_stop(chat: ChatRequest, facts: ModelFacts, notes: Omissions, most: int | None) -> list[str]:
    sequences = [sequence for sequence in chat.stop if sequence]
    if not sequences:
        return []
    if not facts.stop_sequences:
        notes.refuse("stop", "The model takes no stop sequences.")
        return []
    if facts.family == "claude" and any(sequence.isspace() for sequence in sequences):
        notes.refuse("stop", "Claude takes no stop sequence of white space alone.")
        sequences = [sequence for sequence in sequences if not sequence.isspace()]
    if most is not None and len(sequences) > most:
        notes.refuse("stop", f"The model takes at most {most} stop sequences.")
    return sequences[:most]
