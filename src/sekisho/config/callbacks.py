"""The callbacks that LiteLLM's configuration can name."""

from typing import Final


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


CALLBACKS: Final = _names("prometheus otel opentelemetry langfuse langfuse_otel")
"""Names of LiteLLM's callbacks that have a meaning: where spans go (`docs/telemetry.md`). Metrics are always there."""

IDLE_CALLBACKS: Final = _names("""
    arize arize_phoenix aws_sqs azure_sentinel azure_storage braintrust cloudzero custom_callback_api datadog
    datadog_llm_observability deepeval dynamic_rate_limiter dynamic_rate_limiter_v3 dynamodb focus galileo gcs_bucket
    gcs_pubsub generic_api greenscale helicone humanloop lago langsmith langtrace levo
    literalai litellm_agent logfire lunary mlflow openmeter opik pagerduty posthog
    prompt_injection_detection resend_email s3 s3_v2 sentry sendgrid_email slack smtp_email sqs supabase traceloop
    vantage vector_store_pre_call_hook wandb weave weave_otel websearch_interception webhook
""")
"""Names of those that have no effect here yet; they are kept by name."""
