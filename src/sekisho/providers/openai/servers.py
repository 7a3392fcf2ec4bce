"""Which servers are known: LiteLLM's prefix of each, its base URL, and the variables it is set by.

Sources: each service's documentation of its OpenAI-compatible API, and LiteLLM's "Supported models and providers" for
the names of prefixes and variables.
"""

import re

from msgspec import Struct


class Server(Struct, frozen=True, kw_only=True):
    """A kind of server.

    title: its name for messages.
    base: the base URL where none is given; None where one must be.
    base_variables, key_variables: environment variables for the base URL and the key; the first that is set counts.
    keyless: whether it may be called without a key, as local servers are.
    vendor: whether it serves OpenAI's own models and nothing else.
    completions: whether it has the old Completions API, for all its models.
    """

    title: str
    base: str | None = None
    base_variables: tuple[str, ...] = ()
    key_variables: tuple[str, ...] = ()
    keyless: bool = False
    vendor: bool = False
    completions: bool = True


OPENAI = Server(
    title="OpenAI",
    base="https://api.openai.com/v1",
    base_variables=("OPENAI_API_BASE", "OPENAI_BASE_URL"),
    key_variables=("OPENAI_API_KEY",),
    vendor=True,
    completions=False,
)
OPENAI_ELSEWHERE = Server(
    title="The OpenAI-compatible server",
    key_variables=("OPENAI_API_KEY",),
    keyless=True,
)
"""What `openai/` stands for with another address than OpenAI's."""

AZURE = Server(
    title="Azure OpenAI",
    base_variables=("AZURE_API_BASE",),
    key_variables=("AZURE_API_KEY", "AZURE_OPENAI_API_KEY"),
    vendor=True,
    completions=False,
)
_VLLM = Server(
    title="The vLLM server",
    base_variables=("HOSTED_VLLM_API_BASE",),
    key_variables=("HOSTED_VLLM_API_KEY",),
    keyless=True,
)
_OLLAMA = Server(
    title="Ollama",
    base="http://localhost:11434/v1",
    base_variables=("OLLAMA_API_BASE",),
    key_variables=("OLLAMA_API_KEY",),
    keyless=True,
)
_LIKE_OPENAI = Server(
    title="The OpenAI-compatible server",
    base_variables=("OPENAI_LIKE_API_BASE",),
    key_variables=("OPENAI_LIKE_API_KEY",),
    keyless=True,
)


def _hosted(title: str, base: str, key: str, variable: str | None = None) -> Server:
    """A service with one address; `variable` overrides it."""
    variables = () if variable is None else (variable,)
    return Server(title=title, base=base, base_variables=variables, key_variables=(key,), completions=False)


SERVERS: dict[str, Server] = {
    "openai": OPENAI,
    "text-completion-openai": OPENAI,
    "azure": AZURE,
    "hosted_vllm": _VLLM,
    "vllm": _VLLM,
    "ollama": _OLLAMA,
    "ollama_chat": _OLLAMA,
    "openai_like": _LIKE_OPENAI,
    "custom_openai": _LIKE_OPENAI,
    "lm_studio": Server(
        title="LM Studio",
        base="http://localhost:1234/v1",
        base_variables=("LM_STUDIO_API_BASE",),
        key_variables=("LM_STUDIO_API_KEY",),
        keyless=True,
    ),
    "cerebras": _hosted("Cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "CEREBRAS_API_BASE"),
    "deepseek": _hosted("DeepSeek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "DEEPSEEK_API_BASE"),
    "fireworks_ai": _hosted(
        "Fireworks AI", "https://api.fireworks.ai/inference/v1", "FIREWORKS_AI_API_KEY", "FIREWORKS_AI_API_BASE"
    ),
    "groq": _hosted("Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "GROQ_API_BASE"),
    "mistral": _hosted("Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "MISTRAL_API_BASE"),
    "moonshot": _hosted("Moonshot AI", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", "MOONSHOT_API_BASE"),
    "nvidia_nim": _hosted(
        "NVIDIA NIM", "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY", "NVIDIA_NIM_API_BASE"
    ),
    "openrouter": _hosted("OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "OPENROUTER_API_BASE"),
    "perplexity": _hosted("Perplexity", "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY", "PERPLEXITY_API_BASE"),
    "together_ai": _hosted("Together AI", "https://api.together.xyz/v1", "TOGETHERAI_API_KEY", "TOGETHER_AI_API_BASE"),
    "xai": _hosted("xAI", "https://api.x.ai/v1", "XAI_API_KEY", "XAI_API_BASE"),
}
"""By LiteLLM's prefix of the model."""

_BARE = re.compile(
    r"(ft:)?(gpt-|chatgpt-|codex-|computer-use-|text-embedding-|davinci-002|babbage-002|o[1-9](-|$)).*", re.ASCII
)
"""Names that are OpenAI's without a prefix."""


class ServedModel(Struct, frozen=True, kw_only=True):
    """A model string taken apart. `responses` and `completions`: it asks for that API and no other."""

    server: Server
    prefix: str
    name: str
    responses: bool = False
    completions: bool = False


def claims(model: str) -> bool:
    """Whether a `model` of the configuration is served here."""
    return model.partition("/")[0] in SERVERS if "/" in model else _BARE.fullmatch(model) is not None


def parse_model(model: str) -> ServedModel:
    """Takes a model string apart; `claims` must be true of it. The name may be empty."""
    prefix, slash, name = model.partition("/")
    if not slash:
        return ServedModel(server=OPENAI, prefix="openai", name=model)
    if prefix == "azure":  # LiteLLM's words for what kind of model is behind the deployment's own name
        for series in ("o_series/", "gpt5_series/"):
            name = name.removeprefix(series)
    responses = name.startswith("responses/")
    return ServedModel(
        server=SERVERS[prefix],
        prefix=prefix,
        name=name.removeprefix("responses/"),
        responses=responses,
        completions=prefix == "text-completion-openai",
    )
