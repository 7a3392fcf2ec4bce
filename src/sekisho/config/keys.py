"""Every key that LiteLLM's configuration knows, by block: what it takes, or that it has no effect here yet.

The names are LiteLLM 1.109's (its `config_settings` reference), so that nobody's file is met with silence. Those with
meaning now are described in `docs/configuration.md`, and a test compares the two.
"""

from collections.abc import Mapping

from msgspec import Struct

from sekisho.config.kinds import (
    BOOLEAN,
    CLIENT_ERROR,
    COLLECTION,
    COUNT,
    DURATION,
    LIST,
    MAPPING,
    MEGABYTES,
    NUMBER,
    POSITIVE,
    ROLE,
    SECONDS,
    TEXT,
    TEXTS,
    WINDOW,
    ZONE,
    Kind,
)


class Block(Struct, frozen=True):
    """The keys of one block: `active` have meaning, `idle` are known to LiteLLM and have no effect here yet."""

    active: Mapping[str, Kind]
    idle: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """All keys of the block."""
        return (*self.active, *sorted(self.idle))


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


COSTS: dict[str, Kind] = {
    "input_cost_per_token": NUMBER,
    "output_cost_per_token": NUMBER,
    "cache_read_input_token_cost": NUMBER,
    "cache_creation_input_token_cost": NUMBER,
    "cache_creation_input_token_cost_above_1hr": NUMBER,
}

_IDLE_COSTS = _names("""
    input_cost_per_second output_cost_per_second input_cost_per_character output_cost_per_character
    input_cost_per_request input_cost_per_image output_cost_per_image output_cost_per_reasoning_token
    input_cost_per_token_batches output_cost_per_token_batches
    input_cost_per_token_flex output_cost_per_token_flex input_cost_per_token_priority output_cost_per_token_priority
    input_cost_per_token_above_128k_tokens output_cost_per_token_above_128k_tokens
    input_cost_per_token_above_200k_tokens output_cost_per_token_above_200k_tokens
    cache_read_input_token_cost_above_200k_tokens cache_creation_input_token_cost_above_200k_tokens
""")

AWS: dict[str, Kind] = {
    "aws_region_name": TEXT,
    "aws_access_key_id": TEXT,
    "aws_secret_access_key": TEXT,
    "aws_session_token": TEXT,
    "aws_profile_name": TEXT,
    "aws_role_name": TEXT,
    "aws_session_name": TEXT,
    "aws_external_id": TEXT,
    "aws_web_identity_token": TEXT,
    "aws_sts_endpoint": TEXT,
    "aws_session_tags": COLLECTION,
    "aws_bedrock_runtime_endpoint": TEXT,
    "aws_bedrock_control_plane_endpoint": TEXT,
}

FALLBACKS: dict[str, Kind] = {
    "fallbacks": COLLECTION,
    "context_window_fallbacks": COLLECTION,
    "content_policy_fallbacks": COLLECTION,
    "budget_fallbacks": COLLECTION,
}

_BY_FAILURE = (
    "BadRequestError AuthenticationError TimeoutError RateLimitError ContentPolicyViolationError InternalServerError"
)
RETRY_POLICY = Block({f"{name}Retries": COUNT for name in _BY_FAILURE.split()})

ALLOWED_FAILS_POLICY = Block({f"{name}AllowedFails": COUNT for name in _BY_FAILURE.split()})

STRATEGY_ARGS = Block(
    {"lowest_latency_buffer": NUMBER}, _names("ttl max_latency_list_size rolling_window_size rpm tpm redis_kwargs")
)

OVERRIDES = Block(
    {
        **FALLBACKS,
        "default_fallbacks": TEXTS,
        "max_fallbacks": COUNT,
        "num_retries": COUNT,
        "model_group_alias": MAPPING,
        "timeout": SECONDS,
        "stream_timeout": SECONDS,
        "max_attempt_seconds": SECONDS,
        "routing_strategy": TEXT,
        "routing_strategy_args": MAPPING,
        "retry_policy": MAPPING,
        "model_group_retry_policy": MAPPING,
    },
    _names("allowed_fails allowed_fails_policy cooldown_time max_retries retry_after enable_tag_filtering"),
)
"""What `router_settings` of a key or a team may say."""

QUEUE = Block({"max_seconds": NUMBER, "max_depth": COUNT, "team_weights": MAPPING})

TOP = Block(
    {
        "model_list": LIST,
        "litellm_settings": MAPPING,
        "router_settings": MAPPING,
        "general_settings": MAPPING,
        "environment_variables": MAPPING,
        "include": TEXTS,
    },
    _names("""
        guardrails mcp_servers credential_list callback_settings assistant_settings files_settings finetune_settings
        vector_store_registry search_tools mcp_tools policies policy_attachments prompts
    """),
)

MODEL = Block({"model_name": TEXT, "litellm_params": MAPPING, "model_info": MAPPING})

LITELLM_PARAMS = Block(
    {
        "model": TEXT,
        "model_id": TEXT,
        "api_key": TEXT,
        "api_base": TEXT,
        "base_url": TEXT,
        "api_version": TEXT,
        "organization": TEXT,
        "extra_headers": MAPPING,
        "rpm": POSITIVE,
        "tpm": POSITIVE,
        "weight": COUNT,
        "order": COUNT,
        "tags": TEXTS,
        "max_parallel_requests": POSITIVE,
        "timeout": SECONDS,
        "stream_timeout": SECONDS,
        "connect_timeout": SECONDS,
        "idle_timeout": SECONDS,
        "total_timeout": SECONDS,
        "num_retries": COUNT,
        "cooldown_time": NUMBER,
        "drop_params": BOOLEAN,
        **AWS,
        "sagemaker_base_url": TEXT,
        **COSTS,
    },
    _IDLE_COSTS
    | _names("""
        custom_llm_provider litellm_credential_name region_name
        itpm otpm tpd rpd max_retries max_budget budget_duration
        mock_response mock_timeout cache_control_injection_points modify_params additional_drop_params
        allowed_openai_params extra_body headers rust use_in_pass_through use_litellm_proxy
        merge_reasoning_content_in_choices configurable_clientside_auth_params default_api_key_tpm_limit
        default_api_key_rpm_limit max_file_size_mb model_info litellm_trace_id guardrails no-log
        temperature top_p top_k max_tokens max_completion_tokens stop seed n presence_penalty frequency_penalty
        reasoning_effort thinking response_format tools tool_choice parallel_tool_calls stream metadata user
        aws_iam_endpoint bedrock_tags performanceConfig guardrailConfig serviceTier
        requestMetadata
        vertex_project vertex_location vertex_credentials gcs_bucket_name tenant_id client_id client_secret
        azure_ad_token azure_username azure_password azure_scope watsonx_region_name s3_bucket_name s3_encryption_key_id
        auto_router_config auto_router_config_path auto_router_default_model auto_router_embedding_model
    """),
)

MODEL_INFO = Block(
    {
        "id": TEXT,
        "mode": TEXT,
        "base_model": TEXT,
        "max_tokens": POSITIVE,
        "max_input_tokens": POSITIVE,
        "max_output_tokens": POSITIVE,
        "supports_vision": BOOLEAN,
        "supports_prompt_caching": BOOLEAN,
        "supports_reasoning": BOOLEAN,
        "supports_function_calling": BOOLEAN,
        "access_groups": TEXTS,
        "cooldown_time": NUMBER,
        "allowed_fails": COUNT,
        "allowed_fails_policy": MAPPING,
        "health_check_model": TEXT,
        "health_check_timeout": SECONDS,
        "disable_background_health_check": BOOLEAN,
        **COSTS,
    },
    _IDLE_COSTS
    | _names("""
        team_id team_public_model_name tier supported_environments
        supports_tool_choice supports_parallel_function_calling supports_system_messages supports_response_schema
        supports_pdf_input supports_audio_input supports_audio_output supports_web_search supports_assistant_prefill
        supports_native_streaming supports_url_context supports_computer_use supports_embedding_image_input
    """),
)

LITELLM_SETTINGS = Block(
    {
        **FALLBACKS,
        "default_fallbacks": TEXTS,
        "max_fallbacks": COUNT,
        "num_retries": COUNT,
        "request_timeout": SECONDS,
        "cooldown_time": NUMBER,
        "allowed_fails": COUNT,
        "tag_filtering_match_any": BOOLEAN,
        "drop_params": BOOLEAN,
        "callbacks": TEXTS,
        "success_callback": TEXTS,
        "failure_callback": TEXTS,
        "require_auth_for_metrics_endpoint": BOOLEAN,
        "enable_anthropic_prompt_caching": BOOLEAN,
        "budget_exceeded_status_code": CLIENT_ERROR,
        "max_budget": NUMBER,
        "budget_duration": WINDOW,
        "timezone": ZONE,
        "budget_rollover": BOOLEAN,
        "max_internal_user_budget": NUMBER,
        "internal_user_budget_duration": WINDOW,
        "max_end_user_budget": NUMBER,
        "max_end_user_budget_id": TEXT,
        "tag_budget_config": MAPPING,
        "default_internal_user_params": MAPPING,
        "default_team_params": MAPPING,
        "default_key_generate_params": MAPPING,
        "upperbound_key_generate_params": MAPPING,
        **AWS,
    },
    _names("""
        modify_params cache cache_params budget_reset_time max_user_budget default_team_settings key_generation_settings
        turn_off_message_logging redact_user_api_key_info redact_messages_in_exceptions json_logs set_verbose
        service_callbacks langfuse_default_tags enable_preview_features force_ipv4 mcp_aliases
        disable_end_user_cost_tracking disable_end_user_cost_tracking_prometheus_only
        enable_end_user_cost_tracking_prometheus_only custom_prometheus_metadata_labels custom_prometheus_tags
        prometheus_initialize_budget_metrics prometheus_metrics_config disable_add_transform_inline_image_block
        use_chat_completions_url_for_anthropic_messages disable_hf_tokenizer_download enable_json_schema_validation
        enable_key_alias_format_validation disable_copilot_system_to_assistant store_audit_logs audit_log_callbacks
        forward_traceparent_to_llm_provider s3_callback_params datadog_params langsmith_batch_size sso_callback
        ssl_verify ssl_certificate public_model_groups public_model_groups_links blocked_user_list banned_keywords_list
        global_disable_no_log_param add_function_to_prompt credential_list telemetry model_alias_map api_base api_key
        organization headers num_retries_per_request default_max_internal_user_budget priority_reservation
        priority_reservation_settings guardrails network_mock custom_provider_map post_call_rules ui_theme_config
    """),
)

ROUTER_SETTINGS = Block(
    {
        "default_model": TEXT,
        "default_model_for_unknown": BOOLEAN,
        "failover": BOOLEAN,
        **FALLBACKS,
        "default_fallbacks": TEXTS,
        "max_fallbacks": COUNT,
        "num_retries": COUNT,
        "model_group_alias": MAPPING,
        "timeout": SECONDS,
        "stream_timeout": SECONDS,
        "connect_timeout": SECONDS,
        "idle_timeout": SECONDS,
        "total_timeout": SECONDS,
        "max_attempt_seconds": SECONDS,
        "routing_strategy": TEXT,
        "routing_strategy_args": MAPPING,
        "retry_policy": MAPPING,
        "model_group_retry_policy": MAPPING,
        "cooldown_time": NUMBER,
        "disable_cooldowns": BOOLEAN,
        "allowed_fails": COUNT,
        "allowed_fails_policy": MAPPING,
        "default_max_parallel_requests": POSITIVE,
        "enable_pre_call_checks": BOOLEAN,
        "enable_tag_filtering": BOOLEAN,
        "tag_filtering_match_any": BOOLEAN,
        "queue": MAPPING,
    },
    _names("""
        routing_groups retry_after enable_pre_call_check optional_pre_call_checks ignore_invalid_deployments
        redis_host redis_port redis_password redis_url redis_db cache_responses cache_kwargs caching_groups client_ttl
        default_priority polling_interval default_litellm_params debug_level set_verbose
        max_retries alerting_config provider_budget_config router_general_settings search_tools guardrail_list
        assistants_config deployment_affinity_ttl_seconds model_group_affinity_config
    """),
)

GENERAL_SETTINGS = Block(
    {
        "master_key": TEXT,
        "database_url": TEXT,
        "completion_model": TEXT,
        "max_request_size_mb": MEGABYTES,
        "global_max_parallel_requests": COUNT,
        "installation_limits": MAPPING,
        "background_health_checks": BOOLEAN,
        "health_check_interval": SECONDS,
        "health_check_details": BOOLEAN,
        "health_check_concurrency": POSITIVE,
        "reject_clientside_metadata_tags": BOOLEAN,
        "allow_unpriced_models": BOOLEAN,
        "response_retention": DURATION,
        "maximum_spend_logs_retention_period": DURATION,
    },
    _names("""
        database_connection_pool_limit database_connection_timeout database_connection_pool_timeout database_type
        database_args database_socket_timeout database_extra_connection_params disable_prisma_schema_update
        store_model_in_db supported_db_objects allow_requests_on_db_unavailable use_redis_transaction_buffer
        alerting alerting_threshold alerting_args alert_types alert_to_webhook_url spend_report_frequency
        max_parallel_requests infer_model_from_keys max_response_size_mb
        proxy_batch_write_at proxy_batch_polling_interval proxy_budget_rescheduler_min_time
        proxy_budget_rescheduler_max_time disable_spend_logs disable_spend_updates disable_error_logs
        disable_reset_budget store_prompts_in_spend_logs
        maximum_spend_logs_retention_interval maximum_spend_logs_cleanup_cron user_header_name user_header_mappings
        custom_auth custom_auth_settings custom_key_generate custom_key_update custom_sso custom_ui_sso_sign_in_handler
        pass_through_endpoints use_shared_health_check enable_health_check_routing
        apply_user_budget_to_team_keys fail_closed_budget_enforcement disable_budget_reservation token_rate_limit_type
        key_management_system key_management_settings use_azure_key_vault use_google_kms
        disable_master_key_return disable_adding_master_key_hash_to_db disable_responses_id_security
        disable_retry_on_max_parallel_request_limit_error enable_jwt_auth litellm_jwtauth enable_oauth2_auth
        enable_oauth2_proxy_auth oauth2_config_mappings enforce_user_param enforced_params enforce_rbac role_permissions
        allowed_routes public_routes admin_only_routes allowed_ips
        use_x_forwarded_for mcp_internal_ip_ranges mcp_trusted_proxy_ranges service_account_settings
        image_generation_model embedding_model moderation_model default_team_disabled allow_user_auth
        user_api_key_cache_ttl litellm_key_header_name allow_client_side_credentials ui_access_mode litellm_license
        forward_openai_org_id forward_client_headers_to_llm_api use_client_credentials_pass_through_routes
        user_mcp_management_mode always_include_stream_usage auto_redirect_ui_login_to_sso control_plane_url
        dangerously_permit_weak_or_unset_master_key block_robots disable_llm_api_endpoints disable_admin_endpoints
    """),
)

KEY_BOUNDS = Block(
    {
        "max_budget": NUMBER,
        "budget_duration": WINDOW,
        "duration": WINDOW,
        "tpm_limit": COUNT,
        "rpm_limit": COUNT,
        "max_parallel_requests": COUNT,
    }
)
"""What `upperbound_key_generate_params` may say."""

KEY_DEFAULTS = Block(
    {**KEY_BOUNDS.active, "models": TEXTS, "metadata": MAPPING, "team_id": TEXT, "user_id": TEXT},
)
"""What `default_key_generate_params` may say."""

TEAM_DEFAULTS = Block(
    {"max_budget": NUMBER, "budget_duration": WINDOW, "tpm_limit": COUNT, "rpm_limit": COUNT},
    _names("models team_member_permissions"),
)
"""What `default_team_params` may say. LiteLLM gives the models only to teams that single sign-on makes."""

USER_DEFAULTS = Block(
    {**TEAM_DEFAULTS.active, "max_parallel_requests": COUNT, "models": TEXTS, "user_role": ROLE},
    _names("teams available_teams organizations metadata soft_budget"),
)
"""What `default_internal_user_params` may say."""

INSTALLATION_LIMITS = Block(
    {
        "models": TEXTS,
        "soft_budget": NUMBER,
        "budget_limits": LIST,
        "rpm_limit": COUNT,
        "tpm_limit": COUNT,
        "tpd_limit": COUNT,
        "model_max_budget": MAPPING,
        "model_rpm_limit": MAPPING,
        "model_tpm_limit": MAPPING,
    }
)

WINDOW_LIMIT = Block({"max_budget": NUMBER, "budget_duration": WINDOW}, _names("rpm_limit tpm_limit"))
