"""Names of quotas to model ids. The names are as Service Quotas gives them."""

import pytest

from sekisho.core.target import ServiceQuota
from sekisho.providers.bedrock.quotas import QuotaRow, find_quota, read_quota

NAMES = {
    "On-demand model inference tokens per minute for Anthropic Claude 3.5 Sonnet": 1,
    "On-demand model inference tokens per minute for Anthropic Claude 3.5 Sonnet V2": 2,
    "On-demand, latency-optimized model inference tokens per minute for Anthropic Claude 3.5 Haiku": 3,
    "Cross-region model inference tokens per minute for Anthropic Claude Sonnet 4 V1": 4,
    "Cross-region model inference requests per minute for Anthropic Claude Sonnet 4 V1": 5,
    "Cross-region model inference tokens per minute for Anthropic Claude Sonnet 4 V1 1M Context Length": 6,
    "Cross-region model inference tokens per minute for Anthropic Claude Sonnet 4.5 V1": 7,
    "Global cross-region model inference tokens per minute for Anthropic Claude Sonnet 4.5 V1": 8,
    "Global cross-region model inference tokens per day for Anthropic Claude Sonnet 4.5 V1": 9,
    "Model invocation max tokens per day for Anthropic Claude Sonnet 4.5 V1 (doubled for cross-region calls)": 10,
    "Cross-Region InvokeModel tokens per minute for Anthropic Claude Opus 4.7": 11,
    "On-demand model inference tokens per minute for Amazon Nova Lite": 12,
    "On-demand model inference requests per minute for Amazon Nova Lite": 13,
    "On-demand model inference tokens per minute for Amazon Nova 2 Lite": 14,
    "Cross-region model inference tokens per minute for Meta Llama 3.3 70B Instruct": 15,
    "Cross-region model inference tokens per minute for Meta Llama 4 Maverick V1": 16,
    "On-demand model inference tokens per minute for Mistral Large 2407": 17,
    "On-demand model inference tokens per minute for OpenAI gpt-oss-120b": 18,
    "Global cross-region model inference tokens per minute for GPT-6 Sol": 19,
    "Cross-region model inference tokens per minute for DeepSeek R1 V1": 20,
    "Batch inference input file size (in GB) for Claude Sonnet 4": 21,
    "Sum of in-progress and submitted batch inference jobs using a base model for Claude Sonnet 4.5": 22,
    "[bedrock-mantle endpoint] Input tokens per minute for Anthropic Claude Sonnet 4.5": 23,
}
ROWS = [row for name, value in NAMES.items() if (row := read_quota(name, float(value))) is not None]


@pytest.mark.parametrize(
    ("core", "scope", "expected"),
    [
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", "", (1, None, None)),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "", (2, None, None)),
        ("anthropic.claude-sonnet-4-20250514-v1:0", "us", (4, 5, None)),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "apac", (7, None, 10)),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "global", (8, None, 9)),
        ("anthropic.claude-opus-4-7", "eu", (11, None, None)),
        ("amazon.nova-lite-v1:0", "", (12, 13, None)),
        ("amazon.nova-2-lite-v1:0", "", (14, None, None)),
        ("meta.llama3-3-70b-instruct-v1:0", "us", (15, None, None)),
        ("meta.llama4-maverick-17b-instruct-v1:0", "us", (16, None, None)),
        ("mistral.mistral-large-2407-v1:0", "", (17, None, None)),
        ("openai.gpt-oss-120b-1:0", "", (18, None, None)),
        ("openai.gpt-6-sol", "global", (19, None, None)),
        ("deepseek.r1-v1:0", "us", (20, None, None)),
    ],
)
def test_a_model_finds_its_quota(core: str, scope: str, expected: tuple[int | None, int | None, int | None]) -> None:
    tokens, requests, daily = expected
    assert find_quota(ROWS, core, scope) == ServiceQuota(
        tokens_per_minute=tokens, requests_per_minute=requests, tokens_per_day=daily
    )


@pytest.mark.parametrize(
    ("core", "scope"),
    [
        ("anthropic.claude-sonnet-4-6", "us"),
        ("anthropic.claude-sonnet-5", "us"),
        ("anthropic.claude-opus-4-7", ""),
        ("amazon.nova-pro-v1:0", ""),
        ("meta.llama4-scout-17b-instruct-v1:0", "us"),
        ("anthropic.claude-3-5-haiku-20241022-v1:0", ""),
    ],
)
def test_the_quota_of_another_model_is_never_taken(core: str, scope: str) -> None:
    assert find_quota(ROWS, core, scope) is None


def test_quotas_of_other_things_are_passed_over() -> None:
    assert read_quota("Batch inference input file size (in GB) for Claude Sonnet 4", 1) is None
    assert len(ROWS) == len(NAMES) - 4
    assert QuotaRow("on-demand", "tokens", "minute", ("nova", "lite"), 1, 12) in ROWS
