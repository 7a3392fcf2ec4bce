"""Every client's API × every upstream × every feature, streamed and not."""

import pytest

from tests.matrix.cell import Cell, Refused
from tests.matrix.clients import CLIENTS
from tests.matrix.expectations import PASSED_ON, find_rule, list_cells
from tests.matrix.features import FEATURES
from tests.matrix.upstreams import ROADLESS, UPSTREAMS
from tests.support.gateway import Gateway, Simulator


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("client", "upstream", "feature"), list_cells())
def test_cell(
    matrix_gateway: Gateway, matrix_simulator: Simulator, client: str, upstream: str, feature: str, stream: bool
) -> None:
    matrix_simulator.reset()
    native = upstream in PASSED_ON[client]
    cell = Cell(CLIENTS[client], upstream, UPSTREAMS[upstream], native, stream, matrix_gateway, matrix_simulator)
    rule = find_rule(client, upstream, feature)
    if rule is None or rule.kind == "noted":
        FEATURES[feature].run(cell)
        return
    with pytest.raises(Refused) as refusal:
        FEATURES[feature].run(cell)
    assert rule.words in str(refusal.value.outcome.error)


_OWN_OPERATIONS = {
    "openai_chat": ("ChatCompletion", "InvokeEndpoint"),
    "anthropic_messages": ("Messages", "InvokeModel"),
    "openai_responses": ("Response",),
    "bedrock_converse": ("Converse",),
    "bedrock_invoke": ("Messages", "InvokeModel"),
    "openai_completions": ("Completion",),
}


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_is_passed_on_where_the_page_says_so(
    matrix_gateway: Gateway, matrix_simulator: Simulator, client: str, upstream: str
) -> None:
    matrix_simulator.reset()
    native = upstream in PASSED_ON[client]
    cell = Cell(CLIENTS[client], upstream, UPSTREAMS[upstream], native, False, matrix_gateway, matrix_simulator)
    FEATURES["text"].run(cell)
    (call,) = matrix_simulator.calls()
    assert (call["operation"] in _OWN_OPERATIONS[client]) == native


@pytest.mark.parametrize("client", CLIENTS)
def test_claude_on_bedrock_without_a_road_is_called_as_the_page_says(
    matrix_gateway: Gateway, matrix_simulator: Simulator, client: str
) -> None:
    matrix_simulator.reset()
    upstream = UPSTREAMS["bedrock_converse"]
    cell = Cell(CLIENTS[client], ROADLESS, upstream, False, False, matrix_gateway, matrix_simulator)
    FEATURES["text"].run(cell)
    (call,) = matrix_simulator.calls()
    anthropic = client in ("anthropic_messages", "bedrock_invoke")
    assert call["operation"] == ("InvokeModel" if anthropic else "Converse")
