"""LiteLLM's proxy (Python): `python -m venv FOLDER/litellm`, and `litellm[proxy]` into it.

Without a database, which it needs for virtual keys, budgets and usage rows: so none of these is in its figures.
"""

import json
from pathlib import Path

from benchmarks.rivals.rival import Launch, Rival, ask_version
from benchmarks.wires import BEDROCK_CONVERSE, OPENAI_COMPATIBLE, UpstreamWire

_KEY = "sk-benchmark-master-key"


def find(folder: Path) -> Rival | None:
    """The one in `folder`/litellm."""
    programs = folder / "litellm" / "bin"
    if not (programs / "litellm").exists():
        return None

    def prepare(home: Path, port: int, upstream: str) -> Launch:
        models = [*_entries(OPENAI_COMPATIBLE, f"{upstream}/v1"), *_entries(BEDROCK_CONVERSE, upstream)]
        file = home / "config.json"
        file.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": _KEY}}))
        where = ("--config", str(file), "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False")
        environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
        return Launch(command=(str(programs / "litellm"), *where), environment=environment)

    version = ask_version(programs / "python", "-c", "import importlib.metadata as m; print(m.version('litellm'))")
    names = {wire.model: wire.model for wire in (OPENAI_COMPATIBLE, BEDROCK_CONVERSE)}
    return Rival(
        name="LiteLLM", version=version, models=names, prepare=prepare, alive="/health/liveliness", api_key=_KEY
    )


def _entries(wire: UpstreamWire, address: str) -> list[dict[str, object]]:
    return [
        {"model_name": wire.model, "litellm_params": {**deployment, wire.address_key: address}}
        for deployment in wire.deployments
    ]
