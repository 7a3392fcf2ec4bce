"""What is known of the models on Amazon Bedrock (`models.toml`)."""

from sekisho.core.model import ModelFacts
from sekisho.providers.common.models import claude_fields, find_fields, load_table, make_facts

_ANTHROPIC = "anthropic."


def find_facts(core: str | None) -> ModelFacts:
    """The facts of a model id without profile prefix; the defaults when it is opaque or unknown."""
    if core is None:
        return ModelFacts()
    shared = claude_fields(core.removeprefix(_ANTHROPIC)) if core.startswith(_ANTHROPIC) else None
    return make_facts(shared, find_fields(load_table(__package__, "models.toml"), core))
