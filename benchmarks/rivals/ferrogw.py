"""Ferro Labs' gateway (Go), with its rate limit and budget: `python -m venv FOLDER/ferrogw`, and `ferrogw` into it."""

import json
from pathlib import Path

from benchmarks.rivals.rival import Launch, Rival, ask_version
from benchmarks.wires import OPENAI_COMPATIBLE

_KEY = "fgw_0123456789abcdef0123456789abcdef"
_MANY = 100_000_000


def _plugin(name: str, kind: str, **settings: float) -> dict[str, object]:
    return {"name": name, "type": kind, "stage": "before_request", "enabled": True, "config": settings}


_CONFIGURATION = {
    "strategy": {"mode": "loadbalance"},
    "targets": [{"virtual_key": "openai", "weight": 1}],
    "plugins": [
        _plugin("rate-limit", "ratelimit", requests_per_second=_MANY, burst=_MANY, key_rpm=_MANY),
        _plugin("budget", "guardrail", spend_limit_usd=1e6, input_per_m_tokens=1.0, output_per_m_tokens=5.0),
    ],
}


def find(folder: Path) -> Rival | None:
    """The one in `folder`/ferrogw."""
    path = folder / "ferrogw" / "bin" / "ferrogw"
    if not path.exists():
        return None

    def prepare(home: Path, port: int, upstream: str) -> Launch:
        file = home / "config.json"
        file.write_text(json.dumps(_CONFIGURATION))
        environment = {
            "GATEWAY_CONFIG": str(file),
            "PORT": str(port),
            "MASTER_KEY": _KEY,
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": upstream,
            "RATE_LIMIT_RPS": str(_MANY),
            "RATE_LIMIT_BURST": str(_MANY),
            "LOG_LEVEL": "error",
        }
        return Launch(command=(str(path), "serve"), environment=environment)

    return Rival(
        name="Ferro",
        version=_read_version(path),
        models={OPENAI_COMPATIBLE.model: "gpt-4o"},
        prepare=prepare,
        alive="/health",
        api_key=_KEY,
    )


def _read_version(path: Path) -> str:
    return ask_version("/bin/sh", "-c", f"'{path}' version | grep -m 1 Version")
