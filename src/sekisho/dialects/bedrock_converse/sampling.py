"""How the next token is drawn and where the answer ends: `inferenceConfig`, and what families keep elsewhere."""

from sekisho.core.chat import ChatRequest
from sekisho.core.model import ModelFacts
from sekisho.dialects.bedrock_converse.cache import Json
from sekisho.dialects.bedrock_converse.omissions import Omissions
from sekisho.dialects.bedrock_converse.reasoning import ReasoningPlan

_MAX_STOP_SEQUENCES = 2500
_MIN_TOP_P_THINKING = 0.95


def read_output_limit(chat: ChatRequest, facts: ModelFacts, notes: Omissions) -> int | None:
    """The client's own output limit, no higher than the model's. Raises Unsupported below one."""
    limit = chat.max_output_tokens
    if limit is None:
        return None
    if limit < 1:
        notes.refuse("max_tokens", f"An answer of at most {limit} tokens cannot be asked for.")
        return None
    return min(limit, facts.max_output_tokens or limit)


def write_inference(
    chat: ChatRequest, facts: ModelFacts, plan: ReasoningPlan, notes: Omissions
) -> tuple[Json, dict[str, object]]:
    """The inference settings, and the fields that the model's family wants as additional ones.

    Raises:
        Unsupported: A value is out of range, or stop sequences are given to a model that takes none.
    """
    config: Json = {}
    if plan.max_tokens is not None:
        config["maxTokens"] = plan.max_tokens
    temperature = _read_unit(chat.temperature, "temperature", notes)
    top_p = _read_unit(chat.top_p, "top_p", notes)
    top_k = chat.top_k
    if temperature is not None and _takes_temperature(temperature, facts, plan, notes):
        config["temperature"] = temperature
    if top_p is not None and _takes_top_p(top_p, facts, plan, notes, beside="temperature" in config):
        config["topP"] = top_p
    if stop := _read_stop(chat.stop, facts, notes):
        config["stopSequences"] = stop
    return config, {} if top_k is None else _write_top_k(top_k, facts, plan, notes)


def _read_unit(value: float | None, field: str, notes: Omissions) -> float | None:
    """A number that Converse wants between 0 and 1; with drop_params, the nearest such number."""
    if value is None or 0 <= value <= 1:
        return value
    notes.refuse(field, f"`{field}` is {value}, but models on Bedrock take 0 to 1.")
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


def _write_top_k(top_k: int, facts: ModelFacts, plan: ReasoningPlan, notes: Omissions) -> dict[str, object]:
    if top_k > 0 and facts.sampling != "none" and not plan.claude and not plan.nova_high:
        if facts.family == "claude":
            return {"top_k": top_k}
        if facts.family == "nova":
            return {"inferenceConfig": {"topK": top_k}}
    notes.drop("top_k")
    return {}


def _read_stop(stop: list[str], facts: ModelFacts, notes: Omissions) -> list[str]:
    sequences = [sequence for sequence in stop if sequence]
    if not sequences:
        return []
    if not facts.stop_sequences:
        notes.refuse("stop", "The model takes no stop sequences.")
        return []
    if facts.family == "claude" and any(sequence.isspace() for sequence in sequences):
        notes.refuse("stop", "Claude takes no stop sequence of white space alone.")
        sequences = [sequence for sequence in sequences if not sequence.isspace()]
    if len(sequences) > _MAX_STOP_SEQUENCES:
        notes.refuse("stop", f"Bedrock takes at most {_MAX_STOP_SEQUENCES} stop sequences.")
    return sequences[:_MAX_STOP_SEQUENCES]
