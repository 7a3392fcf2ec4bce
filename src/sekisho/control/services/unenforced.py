"""The fields of LiteLLM's API that are taken, kept and given back, but have no effect here.

A field that stands neither here nor in the body of a request is refused: a misspelt `max_budget` must not make a key
without a budget.
"""

from typing import Final

_EVERYWHERE: Final = frozenset(
    {
        "aliases",
        "allowed_cache_controls",
        "allowed_passthrough_routes",
        "allowed_vector_store_indexes",
        "budget_fallbacks",
        "config",
        "default_estimated_output_tokens",
        "default_estimated_output_tokens_per_model",
        "denied_passthrough_routes",
        "disable_global_guardrails",
        "enable_prompt_caching",
        "end_user_budget_id",
        "enforced_params",
        "guardrails",
        "logging",
        "mcp_rpm_limit",
        "object_permission",
        "permissions",
        "policies",
        "prompts",
        "router_settings",
        "rpm_limit_type",
        "secret_manager_settings",
        "tag_rpm_limit",
        "throttle_on_budget_exceeded",
        "tpm_limit_type",
    }
)
KEY_ROUTING: Final = frozenset({"aliases", "router_settings", "budget_fallbacks"})
TEAM_ROUTING: Final = frozenset({"model_aliases", "router_settings", "budget_fallbacks", "tags"})
"""What a key or a team says of the routing of its calls. It is kept like the rest and has effect."""

KEY_EXTRAS: Final = (_EVERYWHERE - KEY_ROUTING) | {"agent_id", "auto_rotate", "rotation_interval", "send_invite_email"}
TEAM_EXTRAS: Final = (_EVERYWHERE - TEAM_ROUTING) | {
    "allow_team_guardrail_config",
    "team_member_key_duration",
}
USER_EXTRAS: Final = _EVERYWHERE | {"send_invite_email", "sso_user_id"}
LEVEL_EXTRAS: Final = _EVERYWHERE | {"model_aliases", "tags", "allowed_model_region", "model_info"}
