"""One deployment on OpenAI, on Azure, or on a server that is compatible with OpenAI's API."""

import os
from collections.abc import Iterable
from urllib.parse import urlsplit

from msgspec.structs import replace

from sekisho.config.snapshot import Deployment
from sekisho.core.errors import ConfigError
from sekisho.core.target import ProviderEnvironment
from sekisho.core.wire import Operation
from sekisho.providers.common.api import ApiTarget, Service
from sekisho.providers.common.models import configured_facts
from sekisho.providers.common.prices import configured_price
from sekisho.providers.common.settings import check_key, name_key, read_headers, read_key, read_text
from sekisho.providers.openai.address import (
    Urls,
    azure_has_responses,
    azure_urls,
    azure_version,
    find_base,
    join_urls,
)
from sekisho.providers.openai.models import find_facts, find_price
from sekisho.providers.openai.roads import Dialects, choose_dialects
from sekisho.providers.openai.servers import OPENAI, OPENAI_ELSEWHERE, ServedModel, parse_model

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_KEYLESS = "no-key"
_RESPONSES = "openai_responses"


def resolve(deployment: Deployment, environment: ProviderEnvironment) -> ApiTarget:
    """Makes a deployment ready to be called. Raises ConfigError(where=deployment.where) for what cannot work."""
    params, info, where = deployment.params, deployment.model_info, deployment.where
    model = parse_model(deployment.model)
    if not model.name:
        raise ConfigError(f"the model's name is missing after '{model.prefix}/'", where=where)
    base = find_base(deployment, model)
    known = _known_name(deployment, model)
    listed = find_price(known) if model.server.vendor else None
    if model.server is OPENAI and not _is_openai(base):
        model = replace(model, server=OPENAI_ELSEWHERE)
    key = _find_key(deployment, model, base)
    dialects, urls = _choose_roads(deployment, model, known, base)
    service = Service(
        provider="openai",
        title=model.server.title,
        model=model.name,
        dialects=dialects,
        urls=urls,
        headers={**_auth_headers(deployment, model, key), **read_headers(params, where)},
        identity=name_key(key) if key else _KEYLESS,
        listing=None if model.prefix == "azure" else f"{base}/models",  # Azure's deployments are in no list
    )
    return ApiTarget(
        deployment,
        environment.clock,
        service,
        facts=configured_facts(find_facts(known), info, where),
        price=configured_price(listed, params, info, where),
    )


async def detect_simulation(deployments: Iterable[Deployment]) -> bool:
    """These servers have no local counterpart."""
    return False


def _is_openai(base: str) -> bool:
    host = urlsplit(base).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")


def _find_key(deployment: Deployment, model: ServedModel, base: str) -> str | None:
    """The key: the deployment's own, else the environment's. None where a server may be called without.

    A key of the environment was not meant for every address that a deployment names: it crosses no network in clear
    text.
    """
    where, server = deployment.where, model.server
    if (own := read_key(deployment.params, "api_key", where)) is not None:
        return own
    parts = urlsplit(base)
    if parts.scheme == "https" or parts.hostname in _LOOPBACK:
        for name in server.key_variables:
            if key := os.environ.get(name):
                return check_key(key, name, where)
    if server.keyless:
        return None
    raise ConfigError(
        f"no API key for '{deployment.model}': give api_key, or set {server.key_variables[0]}", where=where
    )


def _auth_headers(deployment: Deployment, model: ServedModel, key: str | None) -> dict[str, str]:
    if model.prefix == "azure":
        return {"api-key": key or ""}
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    organization = read_key(deployment.params, "organization", deployment.where)
    if organization is None and model.server.vendor:
        organization = os.environ.get("OPENAI_ORGANIZATION") or None
    if organization is not None:
        headers["openai-organization"] = check_key(organization, "organization", deployment.where)
    return headers


def _known_name(deployment: Deployment, model: ServedModel) -> str:
    """OpenAI's name of the model: of an Azure deployment, which has a name of its own, it is `base_model`."""
    base_model = read_text(deployment.model_info, "base_model", deployment.where)
    return model.name if base_model is None else base_model.rpartition("/")[2]


def _choose_roads(deployment: Deployment, model: ServedModel, known: str, base: str) -> tuple[Dialects, Urls]:
    """The dialects of a deployment, and the URL of each."""
    mode, where = deployment.model_info.get("mode"), deployment.where
    if model.prefix != "azure":
        dialects = choose_dialects(model, known, mode, responses=model.server.vendor, where=where)
        if model.server is OPENAI and _RESPONSES in dialects.get("chat", ()):
            dialects = {**dialects, "count_tokens": (_RESPONSES,)}  # compatible servers have no such path
        return dialects, join_urls(base, _calls(dialects))
    version = azure_version(deployment, base)
    dialects = choose_dialects(model, known, mode, responses=azure_has_responses(version), where=where)
    return dialects, azure_urls(base, model.name, version, _calls(dialects))


def _calls(dialects: Dialects) -> list[tuple[str, Operation]]:
    return [(dialect, operation) for operation, names in dialects.items() for dialect in names]
