"""TensorZero's gateway (Rust), out of its Python package, with rate limits.

`apt-get install redis-server`, `python -m venv FOLDER/tensorzero`, and `tensorzero` into it.

Its limits are kept in Redis, whose work is in the figures: it has no other way to hold them without a database.
"""

import shutil
from pathlib import Path

from benchmarks.rivals.rival import Launch, Rival, ask_version
from benchmarks.servers import free_port
from benchmarks.wires import BEDROCK_CONVERSE, OPENAI_COMPATIBLE

_CONFIGURATION = """
gateway.observability.enabled = false

[models.{open_model}]
routing = ["upstream"]
[models.{open_model}.providers.upstream]
type = "openai"
model_name = "open-model-0"
api_base = "{upstream}/v1/"
api_key_location = "none"

[models.{bedrock_model}]
routing = ["upstream"]
[models.{bedrock_model}.providers.upstream]
type = "aws_bedrock"
model_id = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
region = "us-east-1"
endpoint_url = "{upstream}"

[rate_limiting]
enabled = true
[[rate_limiting.rules]]
model_inferences_per_hour = 1000000000
tokens_per_hour = 1000000000000
always = true
"""

# The port is its own choice: it prints it.
_PROGRAM = """
import signal, subprocess, sys
from tensorzero.tensorzero import _start_http_gateway
config, redis, port = sys.argv[1:]
server = subprocess.Popen([redis, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
for _ in range(100):
    try:
        gateway = _start_http_gateway(config_file=config, clickhouse_url=None, postgres_url=None,
                                      valkey_url="redis://127.0.0.1:" + port, async_setup=False)
        break
    except Exception as error:
        last = error
else:
    raise last
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
print(gateway.base_url, flush=True)
try:
    signal.pause()
finally:
    server.terminate()
    server.wait()
"""


def find(folder: Path) -> Rival | None:
    """The one in `folder`/tensorzero."""
    python, redis = folder / "tensorzero" / "bin" / "python", shutil.which("redis-server")
    if redis is None or not python.exists():
        return None
    wires = (OPENAI_COMPATIBLE, BEDROCK_CONVERSE)

    def prepare(home: Path, _port: int, upstream: str) -> Launch:
        file = home / "tensorzero.toml"
        names = {"open_model": OPENAI_COMPATIBLE.model, "bedrock_model": BEDROCK_CONVERSE.model}
        file.write_text(_CONFIGURATION.format(upstream=upstream, **names))
        return Launch(
            command=(str(python), "-c", _PROGRAM, str(file), redis, str(free_port())),
            environment={
                "AWS_ACCESS_KEY_ID": "AKIABENCHMARKEXAMPLE",
                "AWS_SECRET_ACCESS_KEY": "none",
                "RUST_LOG": "off",
            },
        )

    return Rival(
        name="TensorZero",
        version=ask_version(python, "-c", "import importlib.metadata as m; print(m.version('tensorzero'))"),
        models={wire.model: f"tensorzero::model_name::{wire.model}" for wire in wires},
        prepare=prepare,
        alive=None,
        path="/openai",
    )
