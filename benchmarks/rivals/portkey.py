"""Portkey's gateway (TypeScript), without limits: `npm install --prefix FOLDER/portkey @portkey-ai/gateway`."""

import json
import shutil
from pathlib import Path

from benchmarks.rivals.rival import Launch, Rival
from benchmarks.wires import OPENAI_COMPATIBLE


def find(folder: Path) -> Rival | None:
    """The one in `folder`/portkey."""
    package = folder / "portkey" / "node_modules" / "@portkey-ai" / "gateway"
    node = shutil.which("node")
    if node is None or not package.exists():
        return None

    def prepare(_home: Path, port: int, upstream: str) -> Launch:
        return Launch(
            command=(node, str(package / "build" / "start-server.js"), f"--port={port}", "--headless"),
            environment={"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"},
            headers={"x-portkey-provider": "openai", "x-portkey-custom-host": f"{upstream}/v1"},
        )

    model = OPENAI_COMPATIBLE.model
    version = str(json.loads((package / "package.json").read_text())["version"])
    return Rival(name="Portkey", version=version, models={model: model}, prepare=prepare, alive="/")
