"""The upstreams of the matrix: one model of each kind, all of them served by one simulator."""

from dataclasses import dataclass
from typing import Any, Literal

from sekisho.simulator.settings import DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ROADLESS = "bedrock"
"""The name of a Claude on Bedrock whose configuration does not say by which of Bedrock's APIs it is to be called."""
_REGION = "us-east-1"


@dataclass(frozen=True)
class Upstream:
    """A kind of upstream.

    title: how the documentation calls it.
    dialect: the folder of the dialect into which requests for it are translated.
    model: an example of a configured `model`, which is what the gateway of the test has.
    marks: the field that marks a prefix for caching; None where the upstream caches by itself.
    reasoning: `signed` and shown; `shown` without a signature; `hidden`, but asked for by a field whose name has that
      word in it; `unknown`: how to ask for it is not known, so that only a client of the same format can.
    """

    title: str
    dialect: str
    model: str
    marks: str | None
    reasoning: Literal["signed", "shown", "hidden", "unknown"]


UPSTREAMS = {
    "bedrock_converse": Upstream(
        "Bedrock Converse, Claude", "bedrock_converse", f"bedrock/converse/{CLAUDE}", "cachePoint", "signed"
    ),
    "bedrock_invoke": Upstream(
        "Bedrock InvokeModel, Claude", "bedrock_invoke", f"bedrock/invoke/{CLAUDE}", "cache_control", "signed"
    ),
    "bedrock_messages": Upstream(
        "Bedrock's Anthropic API, Claude",
        "anthropic_messages",
        f"bedrock/anthropic/{CLAUDE}",
        "cache_control",
        "signed",
    ),
    "anthropic": Upstream(
        "Anthropic", "anthropic_messages", "anthropic/claude-sonnet-4-5-20250929", "cache_control", "signed"
    ),
    "bedrock_nova": Upstream(
        "Bedrock Converse, Nova",
        "bedrock_converse",
        "bedrock/converse/us.amazon.nova-2-lite-v1:0",
        "cachePoint",
        "shown",
    ),
    "bedrock_openai": Upstream(
        "Bedrock's OpenAI API", "openai_chat", "bedrock/openai/us.openai.gpt-6-sol", None, "hidden"
    ),
    "openai": Upstream("OpenAI (here on Azure)", "openai_chat", "azure/gpt-5.1", None, "hidden"),
    "openai_responses": Upstream(
        "OpenAI, Responses only", "openai_responses", "openai/responses/gpt-5.1", None, "hidden"
    ),
    "compatible": Upstream("OpenAI-compatible server", "openai_chat", "hosted_vllm/qwen3-coder", None, "unknown"),
    "sagemaker": Upstream("SageMaker endpoint", "sagemaker_chat", "sagemaker_chat/qwen3-coder", None, "unknown"),
}


def write_config(simulator_url: str) -> dict[str, Any]:
    """The gateway's configuration: every upstream as a model of that name. Nothing is tried twice, or waits."""
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": upstream.model, **_find_params(name, simulator_url)},
            "model_info": {"supports_vision": True},
        }
        for name, upstream in UPSTREAMS.items()
    ]
    both = {"model": f"bedrock/{CLAUDE}", "aws_region_name": _REGION}
    return {
        "model_list": [*models, {"model_name": ROADLESS, "litellm_params": both}],
        "litellm_settings": {"enable_anthropic_prompt_caching": False},
        "router_settings": {"num_retries": 0, "queue": {"max_seconds": 0}},
    }


def _find_params(name: str, url: str) -> dict[str, Any]:
    if name.startswith("bedrock"):
        return {"aws_region_name": _REGION}
    if name == "sagemaker":
        return {
            "aws_region_name": _REGION,
            "sagemaker_base_url": url,
            "aws_access_key_id": DEFAULT_ACCESS_KEY,
            "aws_secret_access_key": DEFAULT_SECRET_KEY,
        }
    if name == "openai":
        return {"api_base": url, "api_version": "2025-04-01-preview", "api_key": "sk-simulated"}
    if name == "anthropic":
        return {"api_base": url, "api_key": "sk-ant-simulated"}
    return {"api_base": f"{url}/v1", "api_key": "sk-simulated"}
