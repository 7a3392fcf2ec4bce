"""How the next token is drawn and where the answer ends: `inferenceConfig`, and what families keep elsewhere."""

from sekisho.core.chat import ChatRequest
from sekisho.core.model import ModelFacts
from sekisho.dialects.bedrock_converse.forms import Json
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.reasoning import ReasoningPlan
from sekisho.dialects.common.sampling import plan_sampling

_MAX_STOP_SEQUENCES = 2500


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
    sampling = plan_sampling(chat, facts, plan, notes, most_stops=_MAX_STOP_SEQUENCES)
    if sampling.temperature is not None:
        config["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        config["topP"] = sampling.top_p
    if sampling.stop:
        config["stopSequences"] = sampling.stop
    return config, {} if sampling.top_k is None else _write_top_k(sampling.top_k, facts, notes)


def _write_top_k(top_k: int, facts: ModelFacts, notes: Omissions) -> dict[str, object]:
    if facts.family == "claude":
        return {"top_k": top_k}
    if facts.family == "nova":
        return {"inferenceConfig": {"topK": top_k}}
    notes.drop("top_k")
    return {}
