"""Drive the real Claude Code CLI, headless, in its Anthropic and in its Bedrock mode.

The npm package `@anthropic-ai/claude-code` is a launcher; the program is a self-contained binary in a package of the
platform's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from tests.clients.agent import CompletedRun, run_agent
from tests.clients.npm import installed, platform_name

CLAUDE_CODE_VERSION: Final = "2.1.330"

Mode = Literal["anthropic", "bedrock"]


def install_claude_code() -> Path:
    """The binary of the pinned version; the test is skipped where it cannot be installed, and fails in CI."""
    package = f"@anthropic-ai/claude-code-{platform_name()}"
    return installed(package, CLAUDE_CODE_VERSION, f"{package}/claude")


def run_claude_code(
    binary: Path,
    *,
    workdir: Path,
    home: Path,
    base_url: str,
    api_key: str,
    model: str,
    prompt: str,
    mode: Mode,
    timeout: float = 120.0,
) -> CompletedRun:
    """Run one task to its end, with writing files allowed. `base_url` is the root of the gateway."""
    environment = {
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        **{f"ANTHROPIC_DEFAULT_{name}_MODEL": model for name in ("SONNET", "OPUS", "HAIKU")},
    }
    if mode == "anthropic":
        environment |= {"ANTHROPIC_BASE_URL": base_url, "ANTHROPIC_AUTH_TOKEN": api_key}
    else:
        environment |= {
            "CLAUDE_CODE_USE_BEDROCK": "1",
            "ANTHROPIC_BEDROCK_BASE_URL": base_url,
            "AWS_BEARER_TOKEN_BEDROCK": api_key,
            "AWS_REGION": "us-east-1",
        }
    tools = ["--allowedTools", "Write,Edit,Read,Bash", "--permission-mode", "acceptEdits"]
    command = [str(binary.absolute()), "-p", prompt, "--model", model, *tools]
    return run_agent(command, workdir=workdir, home=home, base_url=base_url, environment=environment, timeout=timeout)
