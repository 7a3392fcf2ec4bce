"""One deployment on Anthropic's API: `anthropic/NAME`, or a bare `claude-…`.

Source of addresses and headers: https://docs.claude.com/en/api/overview.
"""

import os
from collections.abc import Iterable

from sekisho.config.snapshot import Deployment
from sekisho.core.errors import ConfigError
from sekisho.core.target import ProviderEnvironment
from sekisho.providers.anthropic.prices import find_price
from sekisho.providers.common.api import ApiTarget, Service
from sekisho.providers.common.models import claude_fields, configured_facts, make_facts
from sekisho.providers.common.prices import configured_price
from sekisho.providers.common.settings import check_key, check_url, name_key, read_headers, read_key, read_text

_PREFIX = "anthropic/"
_DEFAULT_BASE = "https://api.anthropic.com"
_MESSAGES = "/v1/messages"
_KEY_VARIABLE = "ANTHROPIC_API_KEY"
_BASE_VARIABLES = ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")
_DIALECT = "anthropic_messages"


def claims(model: str) -> bool:
    """Whether a `model` of the configuration is served by Anthropic's API."""
    return model.startswith((_PREFIX, "claude-"))


def resolve(deployment: Deployment, environment: ProviderEnvironment) -> ApiTarget:
    """Makes a deployment ready to be called. Raises ConfigError(where=deployment.where) for what cannot work."""
    params, info, where = deployment.params, deployment.model_info, deployment.where
    name = deployment.model.removeprefix(_PREFIX)
    if not name:
        raise ConfigError("the model's name is missing after 'anthropic/'", where=where)
    known = (read_text(info, "base_model", where) or name).removeprefix(_PREFIX)
    key = _find_key(deployment)
    url = _messages_url(deployment)
    service = Service(
        provider="anthropic",
        title="Anthropic",
        model=name,
        dialects={"chat": (_DIALECT,), "count_tokens": (_DIALECT,)},
        urls={(_DIALECT, "chat"): url, (_DIALECT, "count_tokens"): f"{url}/count_tokens"},
        headers={"x-api-key": key, **read_headers(params, where)},
        identity=name_key(key),
        listing=f"{url.removesuffix(_MESSAGES)}/v1/models?limit=1000",
        listing_headers={"anthropic-version": "2023-06-01"},
    )
    return ApiTarget(
        deployment,
        environment.clock,
        service,
        facts=configured_facts(make_facts(claude_fields(known)), info, where),
        price=configured_price(find_price(known), params, info, where),
    )


async def detect_simulation(deployments: Iterable[Deployment]) -> bool:
    """Anthropic's API has no local counterpart."""
    return False


def _find_key(deployment: Deployment) -> str:
    where = deployment.where
    if (own := read_key(deployment.params, "api_key", where)) is not None:
        return own
    if key := os.environ.get(_KEY_VARIABLE):
        return check_key(key, _KEY_VARIABLE, where)
    raise ConfigError(f"no API key for '{deployment.model}': give api_key, or set {_KEY_VARIABLE}", where=where)


def _messages_url(deployment: Deployment) -> str:
    """The URL of Messages; the base may be given with it, with `/v1`, or without, as in LiteLLM."""
    params, where = deployment.params, deployment.where
    given = read_text(params, "api_base", where) or read_text(params, "base_url", where)
    base = given or next((value for name in _BASE_VARIABLES if (value := os.environ.get(name))), _DEFAULT_BASE)
    return check_url(base, "api_base", where).removesuffix(_MESSAGES).removesuffix("/v1") + _MESSAGES
