"""Model names with `*`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.config import load
from sekisho.config.deployments import list_wildcards
from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.policy.naming import find_group, find_wildcard
from sekisho.policy.wildcards import expand, find_patterns

_CONFIG = """
model_list:
  - {model_name: sonnet, litellm_params: {model: bedrock/jp.anthropic.claude-sonnet-4-5-20250929-v1:0}}
  - {model_name: "*", litellm_params: {model: "openai/*", api_base: http://localhost}}
  - {model_name: "bedrock/*", litellm_params: {model: "bedrock/*", aws_region_name: us-east-1}}
  - {model_name: "bedrock/*", litellm_params: {model: "bedrock/*", aws_region_name: eu-west-1}}
  - {model_name: "bedrock/us.*", litellm_params: {model: "bedrock/converse/us.*"}}
  - {model_name: "lab/*/fast-*", litellm_params: {model: "openai/*-*"}}
  - {model_name: "old-*", litellm_params: {model: bedrock/us.amazon.nova-lite-v1:0}}
  - {model_name: "*-two-*", litellm_params: {model: "openai/*"}}
router_settings:
  model_group_alias: {best: sonnet}
"""


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(_CONFIG)
    return load(path, {}).snapshot


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("bedrock/eu.amazon.nova-pro-v1:0", "bedrock/*"),
        ("bedrock/us.amazon.nova-pro-v1:0", "bedrock/us.*"),  # the most specific
        ("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock/us.*"),  # asked for by its whole id
        ("gpt-4o", "*"),
        ("sonnet", None),
        ("best", None),
        ("bedrock/jp.anthropic.claude-sonnet-4-5-20250929-v1:0", None),  # the id of a deployment, as configured
        ("claude-sonnet-4-5", None),  # nearer than `*`
        ("bedrock/*", None),  # a pattern is no model
        ("x" * 300, None),
        ("two\nlines", None),
    ],
)
def test_what_a_name_falls_under(snapshot: Snapshot, name: str, pattern: str | None) -> None:
    assert find_wildcard(snapshot, name) == pattern


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("bedrock/eu.amazon.nova-pro-v1:0", ["bedrock/eu.amazon.nova-pro-v1:0"] * 2),
        ("bedrock/us.amazon.nova-pro-v1:0", ["bedrock/converse/us.amazon.nova-pro-v1:0"]),
        ("lab/blue/fast-7b", ["openai/blue-7b"]),
        ("old-thing", ["bedrock/us.amazon.nova-lite-v1:0"]),
        ("one-two-three", ["one-two-three"]),  # more was matched than there is room for
    ],
)
def test_what_it_stands_for(snapshot: Snapshot, name: str, models: list[str]) -> None:
    pattern = find_wildcard(snapshot, name)
    assert pattern is not None
    found = expand(snapshot, pattern, name)
    assert [deployment.model for deployment in found] == models
    assert [deployment.params["model"] for deployment in found] == models
    assert {deployment.model_name for deployment in found} == {name}
    assert len({deployment.id for deployment in found}) == len(found)


def test_a_pattern_is_not_a_name_that_can_be_called(snapshot: Snapshot) -> None:
    assert find_group(snapshot, "bedrock/*") is None
    assert find_group(snapshot, "us.amazon.nova-lite-v1:0") is None  # of a deployment that serves `old-*` only


@given(
    st.lists(st.text("ab.*", min_size=1, max_size=6), min_size=1, max_size=6, unique=True), st.text("ab.", max_size=8)
)
def test_the_most_specific_pattern_comes_first(names: list[str], asked: str) -> None:
    deployments = tuple(
        Deployment(id=name, model_name=name, model="m", params={}, model_info={}, where="") for name in names
    )
    groups: dict[str, tuple[Deployment, ...]] = {one.model_name: (one,) for one in deployments}
    snapshot = Snapshot(deployments=deployments, groups=groups, wildcards=list_wildcards(groups))
    found = list(find_patterns(snapshot, asked))
    letters = [len(pattern.replace("*", "")) for pattern in found]
    assert letters == sorted(letters, reverse=True)
    assert set(found) == {name for name in names if "*" in name and _matches(name, asked)}


def _matches(pattern: str, text: str) -> bool:
    """By trying every way to share the text out."""
    head, star, rest = pattern.partition("*")
    if not star:
        return pattern == text
    return text.startswith(head) and any(_matches(rest, text[cut:]) for cut in range(len(head), len(text) + 1))
