"""The table of OpenAI's and Anthropic's kinds of error: status to the caller, and where to try again."""

import json
from typing import Any

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
from sekisho.providers.common.replies import classify_reply, read_reply, reply_of_fault, reply_of_status

NOW = 1_700_000_000.0  # 20 seconds past a full minute
SERVICE = "Somebody"


def judge(status: int, error: object, headers: dict[str, str] | None = None) -> UpstreamError:
    reply = read_reply(status, headers or {}, json.dumps({"error": error}).encode())
    assert reply is not None
    return classify_reply(reply, NOW, service=SERVICE)


def anthropic(kind: str, text: str = "words") -> dict[str, Any]:
    return {"type": kind, "message": text}


def openai(kind: str | None, code: str | int | None, text: str = "words") -> dict[str, Any]:
    return {"type": kind, "code": code, "message": text, "param": None}


@pytest.mark.parametrize(
    ("status", "error", "kind", "verdict", "told"),
    [
        (529, anthropic("overloaded_error"), UpstreamUnavailable, "elsewhere", 503),
        (429, anthropic("rate_limit_error"), UpstreamThrottled, "elsewhere", 429),
        (401, anthropic("authentication_error"), UpstreamMisconfigured, "elsewhere", 502),
        (403, anthropic("permission_error"), UpstreamMisconfigured, "elsewhere", 502),
        (402, anthropic("billing_error"), UpstreamMisconfigured, "elsewhere", 502),
        (404, anthropic("not_found_error", "model: claude-9"), UpstreamMisconfigured, "elsewhere", 502),
        (413, anthropic("request_too_large"), UpstreamRejected, "never", 413),
        (400, anthropic("invalid_request_error"), UpstreamRejected, "never", 400),
        (
            400,
            anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
            UpstreamMisconfigured,
            "elsewhere",
            502,
        ),
        (500, anthropic("api_error"), UpstreamUnavailable, "same", 503),
        (504, anthropic("timeout_error"), UpstreamUnavailable, "never", 504),
        (429, openai("tokens", "rate_limit_exceeded"), UpstreamThrottled, "elsewhere", 429),
        (429, openai("insufficient_quota", "insufficient_quota"), UpstreamMisconfigured, "elsewhere", 502),
        (429, openai("requests", None), UpstreamThrottled, "elsewhere", 429),
        (401, openai("invalid_request_error", "invalid_api_key"), UpstreamMisconfigured, "elsewhere", 502),
        (404, openai("invalid_request_error", "model_not_found"), UpstreamMisconfigured, "elsewhere", 502),
        (404, openai(None, "DeploymentNotFound"), UpstreamMisconfigured, "elsewhere", 502),
        (404, openai("NotFoundError", 404), UpstreamMisconfigured, "elsewhere", 502),
        (400, openai("invalid_request_error", "context_length_exceeded"), UpstreamRejected, "never", 400),
        (400, openai(None, "content_filter"), UpstreamRejected, "never", 400),
        (400, openai("BadRequestError", 400), UpstreamRejected, "never", 400),
        (422, openai(None, None), UpstreamRejected, "never", 422),
        (503, openai("server_error", "slow_down"), UpstreamUnavailable, "elsewhere", 503),
        (500, openai("server_error", None), UpstreamUnavailable, "same", 503),
        (503, openai(None, None), UpstreamUnavailable, "same", 503),
        (408, openai(None, None), UpstreamUnavailable, "never", 504),
        (418, openai(None, None), UpstreamMisconfigured, "elsewhere", 502),
    ],
)
def test_the_table(status: int, error: object, kind: type[UpstreamError], verdict: str, told: int) -> None:
    judged = judge(status, error)
    assert (type(judged), judged.verdict, judged.status) == (kind, verdict, told)


@pytest.mark.parametrize(
    ("code", "kind", "verdict"),
    [
        ("overloaded_error", UpstreamUnavailable, "elsewhere"),
        ("rate_limit_error", UpstreamThrottled, "elsewhere"),
        ("rate_limit_exceeded", UpstreamThrottled, "elsewhere"),
        ("insufficient_quota", UpstreamMisconfigured, "elsewhere"),
        ("invalid_request_error", UpstreamRejected, "never"),
        ("context_length_exceeded", UpstreamRejected, "never"),
        ("content_filter", UpstreamRejected, "never"),
        ("api_error", UpstreamUnavailable, "same"),
        ("server_error", UpstreamUnavailable, "same"),
        ("corrupt", UpstreamUnavailable, "elsewhere"),
        ("", UpstreamUnavailable, "same"),
    ],
)
def test_faults_inside_a_stream(code: str, kind: type[UpstreamError], verdict: str) -> None:
    judged = classify_reply(reply_of_fault(WireFault(code, "words")), NOW, service=SERVICE)
    assert (type(judged), judged.verdict) == (kind, verdict)
    assert judged.status >= 400


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "999999"}, 3600.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 40.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1.5s"}, 1.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": "1s"}, 40.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, 40.0),
        ({}, 40.0),
    ],
)
def test_a_throttle_says_rate_limit_and_how_long(headers: dict[str, str], seconds: float) -> None:
    error = judge(429, openai("tokens", "rate_limit_exceeded", "Try later"), headers)
    assert error.cooldown == error.retry_after == pytest.approx(seconds)
    assert "rate limit" in error.message
    assert "Try later" in error.message


def test_an_overloaded_service_rests_as_long_as_it_says_or_briefly() -> None:
    assert judge(529, anthropic("overloaded_error")).cooldown == 10.0
    assert judge(529, anthropic("overloaded_error"), {"retry-after": "3"}).cooldown == 3.0


def test_what_the_operator_must_mend_is_in_the_log_only() -> None:
    error = judge(401, openai(None, "invalid_api_key", "Incorrect API key provided: sk-abc"))
    assert "sk-abc" not in error.message
    assert "your request is not the cause" in error.message
    assert error.__notes__ == ["Somebody says: Incorrect API key provided: sk-abc"]
    assert error.cooldown == 300.0


def test_a_rejection_keeps_the_services_own_words() -> None:
    text = "prompt is too long: 250000 tokens > 200000 maximum"
    assert judge(400, anthropic("invalid_request_error", text)).message == text


@pytest.mark.parametrize(
    ("body", "text", "native"),
    [
        (b'{"error":"model \'x\' not found"}', "model 'x' not found", None),
        (b'{"object":"error","message":"too long","type":"BadRequestError","code":400}', "too long", "BadRequestError"),
        (b'{"error":{}}', "HTTP 400", None),
        (b'{"error":{"message":7,"type":[],"code":"x"}}', "HTTP 400", "x"),
    ],
)
def test_the_forms_of_an_error_response(body: bytes, text: str, native: str | None) -> None:
    reply = read_reply(400, {}, body)
    assert reply is not None
    assert (reply.text, reply.native) == (text, native)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"message":"m"}', b"\xff", b"[" * 5000])
def test_other_bodies_are_not_passed_on(body: bytes) -> None:
    assert read_reply(502, {}, body) is None
    error = classify_reply(reply_of_status(502, {}), NOW, service=SERVICE)
    assert (type(error), error.message) == (UpstreamUnavailable, "Somebody failed: HTTP 502")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    status=st.integers(300, 599),
    error=_json,
    kind=_json,
    wait=st.text(max_size=12),
    body=st.binary(max_size=40) | st.none(),
)
def test_every_response_has_a_meaning(status: int, error: object, kind: object, wait: str, body: bytes | None) -> None:
    sent = body if body is not None else json.dumps({"error": {"type": kind, "code": error, "message": error}}).encode()
    headers = {"retry-after": wait, "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": wait}
    reply = read_reply(status, headers, sent) or reply_of_status(status, headers)
    judged = classify_reply(reply, NOW, service=SERVICE)
    assert judged.status >= 400
    assert judged.message is not None
    assert judged.cooldown >= 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (openai("invalid_request_error", "context_length_exceeded"), "context_window"),
        (
            openai("invalid_request_error", None, "This model's maximum context length is 8192 tokens."),
            "context_window",
        ),
        (openai("BadRequestError", 400, "Your input exceeds the context window of this model."), "context_window"),
        (anthropic("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"), "context_window"),
        (openai(None, "content_filter", "The response was filtered"), "content_policy"),
        (openai("image_generation_user_error", "content_policy_violation"), "content_policy"),
        (openai("invalid_request_error", "unsupported_value"), "request"),
    ],
)
def test_a_rejection_tells_whether_another_model_might_bear_the_request(error: dict[str, Any], reason: str) -> None:
    judged = judge(400, error)
    assert isinstance(judged, UpstreamRejected)
    assert judged.reason == reason


def test_a_wait_that_was_told_is_no_guess() -> None:
    assert judge(429, anthropic("rate_limit_error"), {"retry-after": "7"}).told
    assert not judge(429, anthropic("rate_limit_error")).told
