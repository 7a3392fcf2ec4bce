"""Every key of the table is described in `docs/configuration.md`, and nothing else is."""

import re
from pathlib import Path

import pytest

from sekisho.config import keys
from sekisho.config.keys import Block

_TEXT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
_BLOCKS = {
    "The top of the file": keys.TOP,
    "model_list[]": keys.MODEL,
    "litellm_params": keys.LITELLM_PARAMS,
    "model_info": keys.MODEL_INFO,
    "litellm_settings": keys.LITELLM_SETTINGS,
    "router_settings": keys.ROUTER_SETTINGS,
    "router_settings.retry_policy": keys.RETRY_POLICY,
    "router_settings.allowed_fails_policy": keys.ALLOWED_FAILS_POLICY,
    "router_settings.routing_strategy_args": keys.STRATEGY_ARGS,
    "router_settings.queue": keys.QUEUE,
    "general_settings": keys.GENERAL_SETTINGS,
    "installation_limits": keys.INSTALLATION_LIMITS,
}


def chapter(title: str) -> tuple[str, str]:
    """The part of a chapter before and after its list of keys without effect."""
    body = re.split(r"^## ", _TEXT.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]
    described, _, idle = body.partition("\nKnown, no effect yet:")
    return described, idle


@pytest.mark.parametrize(("title", "block"), [(title.strip("`"), block) for title, block in _BLOCKS.items()])
def test_every_key_is_documented(title: str, block: Block) -> None:
    described, idle = chapter(title if title.startswith("The") else f"`{title}`")
    rows = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \| .+ \| .+ \|$", described, flags=re.MULTILINE)
    documented = [key for row in rows for key in re.findall(r"`([^`]+)`", row)]
    assert sorted(documented) == sorted(block.active)
    assert set(re.findall(r"`([^`]+)`", idle)) == block.idle
