"""Drive the real Codex CLI, headless. It speaks OpenAI's Responses API."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.clients.agent import CompletedRun, run_agent
from tests.clients.npm import installed, platform_name

CODEX_VERSION: Final = "0.169.0"

_TRIPLES: Final = {
    "linux-x64": "x86_64-unknown-linux-musl",
    "linux-arm64": "aarch64-unknown-linux-musl",
    "darwin-x64": "x86_64-apple-darwin",
    "darwin-arm64": "aarch64-apple-darwin",
}


def install_codex() -> Path:
    """The binary of the pinned version; the test is skipped where it cannot be installed, and fails in CI."""
    name = platform_name()
    triple = _TRIPLES.get(name, name)
    version = f"{CODEX_VERSION}-{name}"  # the platforms' binaries are versions of the one package
    return installed("@openai/codex", version, f"@openai/codex/vendor/{triple}/bin/codex")


def run_codex(
    binary: Path,
    *,
    workdir: Path,
    home: Path,
    base_url: str,
    api_key: str,
    model: str,
    prompt: str,
    timeout: float = 120.0,
) -> CompletedRun:
    """Run one task to its end without asking for approval. `base_url` is the root of the gateway."""
    settings = {
        "model_provider": "sekisho",
        "model_providers.sekisho.name": "Sekisho",
        "model_providers.sekisho.base_url": f"{base_url}/v1",
        "model_providers.sekisho.env_key": "SEKISHO_KEY",
        "model_providers.sekisho.wire_api": "responses",
    }
    options = [word for name, value in settings.items() for word in ("-c", f'{name}="{value}"')]
    command = [
        *(str(binary.absolute()), "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"),
        *(*options, "--model", model, prompt),
    ]
    environment = {"SEKISHO_KEY": api_key, "CODEX_HOME": str(home.resolve())}
    return run_agent(command, workdir=workdir, home=home, base_url=base_url, environment=environment, timeout=timeout)
