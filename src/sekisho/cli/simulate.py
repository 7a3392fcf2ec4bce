"""`sekisho simulate bedrock`: the local counterpart alone, for trying other clients and gateways against it.

Beside Bedrock it answers as SageMaker's runtime, Anthropic and OpenAI do, on the same port.
"""

import asyncio
import sys

import uvloop

from sekisho.cli.signals import stop_on_signals
from sekisho.cli.sockets import listen
from sekisho.core.clock import SystemClock
from sekisho.http.server import Server
from sekisho.simulator.app import build_simulator
from sekisho.simulator.settings import DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY, SimulatorSettings
from sekisho.telemetry.log import configure_logging


def simulate_bedrock(host: str, port: int) -> int:
    """Serve until told to stop. Returns the exit status."""
    configure_logging()
    try:
        listener = listen(host, port)
    except OSError as error:
        print(f"sekisho: cannot start: {error}", file=sys.stderr)
        return 2
    url = f"http://{host}:{listener.getsockname()[1]}"
    print(
        f"SIMULATED Amazon Bedrock at {url}\n\n"
        f"  export AWS_ENDPOINT_URL_BEDROCK_RUNTIME={url} AWS_ENDPOINT_URL_STS={url}\n"
        f"  export AWS_ACCESS_KEY_ID={DEFAULT_ACCESS_KEY} AWS_SECRET_ACCESS_KEY={DEFAULT_SECRET_KEY}\n"
        f"  export AWS_REGION=us-east-1 AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME={url}\n"
        f"  export ANTHROPIC_BASE_URL={url} OPENAI_BASE_URL={url}/v1  # any API key opens\n",
        flush=True,
    )

    async def run() -> None:
        stopping: asyncio.Event = stop_on_signals()
        await Server(build_simulator(SimulatorSettings(), SystemClock())).run_until(stopping, listener)

    uvloop.run(run())
    return 0
