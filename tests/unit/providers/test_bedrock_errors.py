"""The table of Bedrock's errors: status to the caller, and where to try again."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.errors import (
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from sekisho.core.wire import WireFault
from sekisho.providers.aws.errors import read_error, read_fault
from sekisho.providers.bedrock.errors import classify, judge_fault, judge_response

NOW = 1_700_000_000.0  # 20 seconds past a full minute
ON_DEMAND = (
    "Invocation of model ID anthropic.claude-opus-5-5 with on-demand throughput isn’t supported. Retry your request "
    "with the ID or ARN of an inference profile that contains this model."
)


def judge(status: int, code: str, text: str = "words", *, renewable: bool = True, **fields: object) -> UpstreamError:
    body = json.dumps({"message": text, **fields}).encode()
    return classify(read_error(status, {"x-amzn-errortype": code}, body), NOW, renewable=renewable)


@pytest.mark.parametrize(
    ("status", "code", "text", "kind", "verdict", "told"),
    [
        (429, "ThrottlingException", "Too many tokens, please wait", UpstreamThrottled, "elsewhere", 429),
        (429, "", "slow down", UpstreamThrottled, "elsewhere", 429),
        (400, "ServiceQuotaExceededException", "quota", UpstreamThrottled, "elsewhere", 429),
        (429, "ModelNotReadyException", "cold", UpstreamUnavailable, "same", 503),
        (503, "ServiceUnavailableException", "busy", UpstreamUnavailable, "same", 503),
        (500, "InternalServerException", "oops", UpstreamUnavailable, "same", 503),
        (408, "ModelTimeoutException", "late", UpstreamUnavailable, "never", 504),
        (424, "ModelErrorException", "bad", UpstreamUnavailable, "elsewhere", 502),
        (400, "ValidationException", "messages: at least one is required", UpstreamRejected, "never", 400),
        (400, "ValidationException", "prompt is too long: 9 tokens > 8 maximum", UpstreamRejected, "never", 400),
        (400, "ValidationException", ON_DEMAND, UpstreamMisconfigured, "elsewhere", 502),
        (
            400,
            "ValidationException",
            "The model identifier is invalid.",
            UpstreamMisconfigured,
            "elsewhere",
            502,
        ),
        (403, "AccessDeniedException", "denied", UpstreamMisconfigured, "elsewhere", 502),
        (404, "ResourceNotFoundException", "gone", UpstreamMisconfigured, "elsewhere", 502),
        (403, "ExpiredTokenException", "expired", UpstreamMisconfigured, "same", 502),
        (403, "UnrecognizedClientException", "who?", UpstreamMisconfigured, "same", 502),
        (403, "InvalidSignatureException", "skew", UpstreamMisconfigured, "same", 502),
        (413, "", "large", UpstreamRejected, "never", 413),
        (401, "", "no", UpstreamMisconfigured, "elsewhere", 502),
        (301, "", "moved", UpstreamMisconfigured, "elsewhere", 502),
        (418, "", "teapot", UpstreamMisconfigured, "elsewhere", 502),
        (502, "", "proxy", UpstreamUnavailable, "same", 503),
    ],
)
def test_the_table(status: int, code: str, text: str, kind: type[UpstreamError], verdict: str, told: int) -> None:
    error = judge(status, code, text)
    assert (type(error), error.verdict, error.status) == (kind, verdict, told)
    assert error.native == (code or None)


def test_a_throttle_says_rate_limit_and_when_the_minute_is_over() -> None:
    error = judge(429, "ThrottlingException", "Too many tokens, please wait before trying again.")
    assert "rate limit" in error.message.lower()
    assert "Too many tokens" in error.message
    assert error.retry_after == error.cooldown == 40.0


def test_a_daily_quota_rests_for_an_hour_and_a_given_wait_is_kept() -> None:
    assert judge(429, "ThrottlingException", "Too many tokens per day").cooldown == 3600.0
    headers = {"x-amzn-errortype": "ThrottlingException", "retry-after": "7"}
    assert classify(read_error(429, headers, b"{}"), NOW, renewable=False).retry_after == 7.0


def test_a_rest_that_the_upstream_names_is_told_apart_from_a_guess() -> None:
    assert judge(429, "ThrottlingException", "Too many requests per day").told
    assert not judge(429, "ThrottlingException", "Too many requests").told


def test_a_cold_model_may_be_asked_more_often_than_a_broken_one() -> None:
    assert (judge(429, "ModelNotReadyException").repeats, judge(503, "ServiceUnavailableException").repeats) == (5, 1)


def test_a_rejection_keeps_bedrocks_own_words() -> None:
    text = "input is too long for requested model"
    assert judge(400, "ValidationException", text).message == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Input is too long for requested model.", "context_window"),
        ("prompt is too long: 215000 tokens > 200000 maximum", "context_window"),
        ("input length and `max_tokens` exceed context limit: 190000 + 64000 > 200000", "context_window"),
        ("Input Tokens Exceeded: Number of input tokens exceeds maximum length.", "context_window"),
        ("This model's maximum context length is 128000 tokens.", "context_window"),
        ("messages: at least one message is required", "request"),
        ("max_tokens: 999999 > 64000, which is the maximum allowed number of output tokens", "request"),
        ("Output blocked by content filtering policy", "content_policy"),
    ],
)
def test_a_rejection_tells_whether_another_model_might_bear_the_request(text: str, reason: str) -> None:
    error = judge(400, "ValidationException", text)
    assert isinstance(error, UpstreamRejected)
    assert error.reason == reason


def test_a_misconfigured_target_is_not_blamed_on_the_caller_and_shows_no_account() -> None:
    text = "User: arn:aws:sts::111122223333:assumed-role/r/s is not authorized to perform: bedrock:InvokeModel"
    error = judge(403, "AccessDeniedException", text)
    assert "111122223333" not in error.message
    assert "your request is not the cause" in error.message
    assert error.__notes__ == [f"Amazon Bedrock says: {text}"]
    assert error.cooldown == 300.0


def test_keys_that_cannot_be_renewed_are_not_tried_again() -> None:
    error = judge(403, "ExpiredTokenException", renewable=False)
    assert (error.verdict, error.cooldown) == ("elsewhere", 300.0)
    assert judge(403, "ExpiredTokenException").cooldown == 0.0


def test_a_models_own_client_error_is_a_rejection() -> None:
    error = judge(424, "ModelErrorException", "bad input", originalStatusCode=400)
    assert (type(error), error.verdict, error.status) == (UpstreamRejected, "never", 400)
    assert judge(424, "ModelErrorException", originalStatusCode=503).verdict == "elsewhere"


@pytest.mark.parametrize(
    ("headers", "body", "code", "text"),
    [
        ({"x-amzn-errortype": "FooException:http://a.com/x/"}, b'{"message":"m"}', "FooException", "m"),
        ({}, b'{"__type":"com.amazon.coral#FooException","Message":"M"}', "FooException", "M"),
        ({"x-amzn-errortype": "ThrottlingException"}, b"<html>secret</html>", "ThrottlingException", "HTTP 400"),
        ({}, b"[1]", "", "HTTP 400"),
        ({}, b'{"message":7}', "", "HTTP 400"),
    ],
)
def test_the_forms_of_an_error_response(headers: dict[str, str], body: bytes, code: str, text: str) -> None:
    error = read_error(400, headers, body)
    assert (error.code, error.text) == (code, text)


@pytest.mark.parametrize(
    ("code", "kind", "verdict"),
    [
        ("throttlingException", UpstreamThrottled, "elsewhere"),
        ("internalServerException", UpstreamUnavailable, "same"),
        ("serviceUnavailableException", UpstreamUnavailable, "same"),
        ("modelStreamErrorException", UpstreamUnavailable, "elsewhere"),
        ("modelTimeoutException", UpstreamUnavailable, "never"),
        ("validationException", UpstreamRejected, "never"),
        ("corrupt", UpstreamUnavailable, "elsewhere"),
        ("malformed_output", UpstreamUnavailable, "same"),
        ("neverHeardOfException", UpstreamUnavailable, "same"),
    ],
)
def test_faults_inside_a_stream(code: str, kind: type[UpstreamError], verdict: str) -> None:
    error = classify(read_fault(code, "words"), NOW, renewable=True)
    assert (type(error), error.verdict) == (kind, verdict)


@given(
    status=st.integers(300, 599), code=st.text(max_size=30), body=st.binary(max_size=60) | st.just(b'{"message":"x"}')
)
def test_every_response_has_a_meaning(status: int, code: str, body: bytes) -> None:
    error = classify(read_error(status, {"x-amzn-errortype": code}, body), NOW, renewable=True)
    assert error.status >= 400
    assert error.message


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "verdict", "native"),
    [
        (
            529,
            {},
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            UpstreamUnavailable,
            "elsewhere",
            "overloaded_error",
        ),
        (
            400,
            {},
            {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long"}},
            UpstreamRejected,
            "never",
            "invalid_request_error",
        ),
        (
            429,
            {},
            {"error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "Slow"}},
            UpstreamThrottled,
            "elsewhere",
            "rate_limit_exceeded",
        ),
        (
            403,
            {"x-amzn-errortype": "ExpiredTokenException"},
            {"error": {"message": "expired"}},
            UpstreamMisconfigured,
            "same",
            "ExpiredTokenException",
        ),
    ],
)
def test_errors_of_the_vendors_own_paths_are_understood(
    status: int, headers: dict[str, str], body: object, kind: type[UpstreamError], verdict: str, native: str
) -> None:
    error, own = judge_response(status, headers, json.dumps(body).encode(), NOW, renewable=True)
    assert (type(error), error.verdict, error.native) == (kind, verdict, native)
    assert (own is not None) == ("x-amzn-errortype" in headers)


@pytest.mark.parametrize(
    ("code", "kind", "verdict"),
    [
        ("throttlingException", UpstreamThrottled, "elsewhere"),
        ("corrupt", UpstreamUnavailable, "elsewhere"),
        ("overloaded_error", UpstreamUnavailable, "elsewhere"),
        ("rate_limit_exceeded", UpstreamThrottled, "elsewhere"),
        ("invalid_request_error", UpstreamRejected, "never"),
        ("api_error", UpstreamUnavailable, "same"),
    ],
)
def test_faults_of_every_stream_are_understood(code: str, kind: type[UpstreamError], verdict: str) -> None:
    error, _ = judge_fault(WireFault(code, "words"), NOW, renewable=True)
    assert (type(error), error.verdict) == (kind, verdict)
