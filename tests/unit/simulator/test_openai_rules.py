"""OpenAI's own limits hold for its own models; servers that copied its API have none of them."""

import pytest

from sekisho.simulator.errors import Refusal
from sekisho.simulator.wires.chat.read import read_chat
from sekisho.simulator.wires.openai.models import is_own
from sekisho.simulator.wires.openai.rules import check_name, check_stop

LONG = "mcp.files." + "x" * 70


@pytest.mark.parametrize("model", ["gpt-5.1", "o3", "openai.gpt-6-sol", "us.openai.gpt-6-sol", "openai/gpt-4o"])
def test_openais_own_models(model: str) -> None:
    assert is_own(model)
    assert check_stop(list("abcd"), model) == list("abcd")
    with pytest.raises(Refusal, match="maximum length 4"):
        check_stop(list("abcde"), model)


@pytest.mark.parametrize("model", ["qwen3-coder", "openai.gpt-oss-120b-1:0", "llama"])
def test_models_of_others(model: str) -> None:
    assert not is_own(model)
    assert check_stop(list("abcde"), model) == list("abcde")


def test_names_of_tools() -> None:
    assert check_name(LONG, "name", free=True) == LONG
    for name in (LONG, "a.b"):
        with pytest.raises(Refusal):
            check_name(name, "name")
    body = {
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": {"name": LONG, "parameters": {}}}],
    }
    assert [spec["name"] for spec in read_chat("qwen3-coder", body).specs] == [LONG]
    with pytest.raises(Refusal):
        read_chat("gpt-5.1", body)
