"""`router_settings` of keys and teams."""

from typing import Any

import pytest

from sekisho.config.overrides import apply_override, read_override
from sekisho.config.snapshot import PerFailure, Snapshot
from sekisho.core.errors import ConfigError

SNAPSHOT = Snapshot(
    deployments=(),
    groups={},
    fallbacks={"opus": ("sonnet",), "sonnet": ("haiku",)},
    retry_policy=PerFailure(timeout=1),
    default_fallbacks=("haiku",),
    num_retries=3,
)


def test_what_is_said_counts_and_the_rest_stays() -> None:
    override = read_override(
        {
            "fallbacks": [{"opus": ["nova"]}],
            "context_window_fallbacks": {"opus": ["gemini"]},
            "num_retries": 0,
            "timeout": 20,
            "routing_strategy": "least-busy",
            "model_group_alias": {"best": "opus"},
            "retry_policy": None,
        },
        {"opus": ["sonnet", "haiku"]},
    )
    changed = apply_override(SNAPSHOT, override)
    assert changed.fallbacks == {"opus": ("nova",), "sonnet": ("haiku",)}
    assert changed.context_window_fallbacks == {"opus": ("gemini",)}
    assert changed.budget_fallbacks == {"opus": ("sonnet", "haiku")}
    assert (changed.num_retries, changed.request_timeout, changed.routing_strategy) == (0, 20, "least-busy")
    assert changed.model_group_alias == {"best": "opus"}
    assert changed.retry_policy == PerFailure(timeout=1)
    assert changed.default_fallbacks == ("haiku",)


def test_nothing_said_changes_nothing() -> None:
    assert read_override({}) == {}
    assert apply_override(SNAPSHOT, read_override({"retry_policy": {}, "fallbacks": []})).num_retries == 3


def test_a_policy_counts_as_a_whole() -> None:
    override = read_override({"retry_policy": {"RateLimitErrorRetries": 2}, "default_fallbacks": ["opus"]})
    changed = apply_override(SNAPSHOT, override)
    assert (changed.retry_policy, changed.default_fallbacks) == (PerFailure(rate_limit=2), ("opus",))


def test_what_all_share_is_not_changed_by_one() -> None:
    assert read_override({"enable_tag_filtering": False, "cooldown_time": 0, "allowed_fails": 1}) == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_retries": -1}, "router_settings.num_retries`: expected a whole number"),
        ({"num_retry": 1}, "router_settings.num_retry` is not a known key"),
        ({"routing_strategy": "best"}, "there is no strategy `best`"),
        ({"fallbacks": ["opus"]}, "router_settings.fallbacks[0]`: expected a mapping"),
        ({"retry_policy": {"TimeoutErrorRetries": "x"}}, "retry_policy.TimeoutErrorRetries`: expected a whole number"),
    ],
)
def test_mistakes_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_override(settings)
    assert message in caught.value.message
