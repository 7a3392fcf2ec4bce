"""Drive the real Cline CLI, headless.

Facts the driver relies on (Cline 3.0.65):

* the npm package `cline` is a thin Node launcher; the program itself is a self-contained binary in the optional
  dependency `@cline/cli-<os>-<arch>`;
* providers live in `~/.cline/data/settings/providers.json`. `cline auth` takes a base URL only for the OpenAI
  providers, so the file is written directly;
* without `CLINE_SESSION_BACKEND_MODE=local` a hub daemon is started that outlives the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from tests.clients.agent import CompletedRun, run_agent
from tests.clients.npm import installed, platform_name

CLINE_VERSION: Final = "3.0.65"

Provider = Literal["openai", "litellm"]
"""How Cline talks to the gateway: plain OpenAI chat completions, or LiteLLM's variant of them."""

_PROVIDER_IDS: Final[Mapping[Provider, str]] = {"openai": "openai-compatible", "litellm": "litellm"}


def install_cline() -> Path:
    """The binary of the pinned version; the test is skipped where it cannot be installed, and fails in CI."""
    return installed("cline", CLINE_VERSION, f"@cline/cli-{platform_name()}/bin/cline")


def run_cline(
    binary: Path,
    *,
    workdir: Path,
    home: Path,
    base_url: str,
    api_key: str,
    model: str,
    prompt: str,
    provider: Provider = "openai",
    timeout: float = 120.0,
) -> CompletedRun:
    """Run one task to its end, with all tools approved.

    `base_url` is the root of the gateway. In "openai" mode Cline posts to `{base_url}/v1/chat/completions`; in
    "litellm" mode it asks `{base_url}/v1/model/info` and then posts to `{base_url}/chat/completions`.
    """
    _write_settings(home, provider=provider, base_url=base_url, api_key=api_key, model=model)
    command = [
        *(str(binary.absolute()), "--provider", _PROVIDER_IDS[provider], "--model", model),
        *("--cwd", str(workdir.resolve()), "--auto-approve", "true", "--", prompt),
    ]
    environment = {"CLINE_SESSION_BACKEND_MODE": "local", "CLINE_NO_AUTO_UPDATE": "1"}
    return run_agent(command, workdir=workdir, home=home, base_url=base_url, environment=environment, timeout=timeout)


def _write_settings(home: Path, *, provider: Provider, base_url: str, api_key: str, model: str) -> None:
    """Write Cline's provider and global settings into the given home folder."""
    url = base_url.rstrip("/")
    if provider == "openai" and not url.endswith("/v1"):
        url += "/v1"
    name = _PROVIDER_IDS[provider]
    settings = {"provider": name, "apiKey": api_key, "model": model, "baseUrl": url}
    entry = {"settings": settings, "updatedAt": "2026-01-01T00:00:00.000Z", "tokenSource": "manual"}
    providers = {"version": 1, "lastUsedProvider": name, "modes": {}, "providers": {name: entry}}
    folder = home / ".cline" / "data" / "settings"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "providers.json").write_text(json.dumps(providers), encoding="utf-8")
    options = {"telemetryOptOut": True, "autoUpdateEnabled": False}
    (folder / "global-settings.json").write_text(json.dumps(options), encoding="utf-8")
