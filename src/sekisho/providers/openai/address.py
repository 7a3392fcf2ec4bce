"""Where a deployment's calls go: base URLs joined with paths, and Azure's addresses.

Sources: https://platform.openai.com/docs/api-reference; for Azure "Azure OpenAI in Azure AI Foundry Models REST API
reference": dated versions of the API have the deployment in the path and `api-version` in the query, version 1 has
OpenAI's own paths below `/openai/v1`.
"""

import os
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode, urlsplit

from sekisho.config.snapshot import Deployment
from sekisho.core.errors import ConfigError
from sekisho.core.wire import Operation
from sekisho.providers.common.settings import check_url, read_text
from sekisho.providers.openai.servers import ServedModel

_PATHS: dict[tuple[str, Operation], str] = {
    ("openai_chat", "chat"): "/chat/completions",
    ("openai_completions", "chat"): "/completions",
    ("openai_responses", "chat"): "/responses",
    ("openai_responses", "count_tokens"): "/responses/input_tokens",
    ("openai_embeddings", "embeddings"): "/embeddings",
}
_AZURE_DEFAULT_VERSION = "2025-02-01-preview"  # LiteLLM's
_AZURE_FIRST_RESPONSES = "2025-03-01"
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?", re.ASCII)
_UNDATED = ("v1", "latest", "preview")

Urls = Mapping[tuple[str, Operation], str]


def find_base(deployment: Deployment, model: ServedModel) -> str:
    """The base URL: the deployment's own, the environment's, or the server's default. Raises ConfigError."""
    params, where, server = deployment.params, deployment.where, model.server
    given = (
        read_text(params, "api_base", where)
        or read_text(params, "base_url", where)
        or next((value for name in server.base_variables if (value := os.environ.get(name))), None)
        or server.base
    )
    if given is None:
        variable = f", or set {server.base_variables[0]}" if server.base_variables else ""
        raise ConfigError(f"no address for '{deployment.model}': give api_base{variable}", where=where)
    base = check_url(given, "api_base", where)
    for path in _PATHS.values():
        base = base.removesuffix(path)
    if model.prefix in ("ollama", "ollama_chat") and not urlsplit(base).path:
        base += "/v1"  # in LiteLLM the base of Ollama is that of its own API
    return base


def join_urls(base: str, calls: Iterable[tuple[str, Operation]]) -> Urls:
    """The URL of each call, the base as it was given: `/v1` is part of it, as in LiteLLM."""
    return {call: base + _PATHS[call] for call in calls}


def azure_version(deployment: Deployment, base: str) -> str:
    """The version of Azure's API: `v1`, or a dated one. Raises ConfigError."""
    given = read_text(deployment.params, "api_version", deployment.where)
    if given is None and urlsplit(base).path.endswith("/openai/v1"):
        return "v1"
    version = given or os.environ.get("AZURE_API_VERSION") or _AZURE_DEFAULT_VERSION
    if version not in _UNDATED and not _DATED.fullmatch(version):
        raise ConfigError(
            f"api_version must be v1, preview, or a date such as 2024-10-21, not {version!r}", where=deployment.where
        )
    return version


def azure_has_responses(version: str) -> bool:
    """Whether a version of Azure's API has Responses."""
    return version in _UNDATED or version >= _AZURE_FIRST_RESPONSES


def azure_urls(base: str, name: str, version: str, calls: Iterable[tuple[str, Operation]]) -> Urls:
    """The URL of each call to the deployment `name`."""
    root = base.removesuffix("/openai/v1").removesuffix("/openai")
    if version in _UNDATED:
        query = "" if version == "v1" else "?api-version=preview"
        return {call: f"{root}/openai/v1{_PATHS[call]}{query}" for call in calls}
    query = "?" + urlencode({"api-version": version})
    own = base if "/openai/deployments/" in base else f"{root}/openai/deployments/{quote(name, safe='')}"
    outside = root.partition("/openai/deployments/")[0] + "/openai"
    return {call: (outside if call[0] == "openai_responses" else own) + _PATHS[call] + query for call in calls}
