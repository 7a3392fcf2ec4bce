"""Calls that are over, for the tests of what is told of them."""

from typing import Any

from sekisho.core.caller import Caller, Scope
from sekisho.core.chat import ClientCall
from sekisho.core.usage import Usage
from sekisho.core.wire import Endpoint
from sekisho.telemetry.calls import Attempt, Call

ENDPOINT = Endpoint(path="/v1/chat/completions", call_type="acompletion")
CALL_ID = "01901234-5678-7abc-8def-0123456789ab"
KEY_HASH = "ab" * 32


class Upstream:
    """A target, as far as it is told of."""

    deployment_id = "dep-1"
    model_name = "sonnet"
    provider = "bedrock"
    upstream_model = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    account = "123456789012"
    region = "us-east-1"
    simulated = False
    price = None


def caller(**fields: Any) -> Caller:
    known: dict[str, Any] = {
        "role": "internal_user",
        "key_hash": KEY_HASH,
        "key_alias": "laptop",
        "user_id": "ada",
        "team_id": "t1",
        "organization_id": "o1",
        "scopes": (Scope(kind="key", id="k1"), Scope(kind="team", id="t1", alias="Compilers")),
    }
    return Caller(**{**known, **fields})


def client_call(**fields: Any) -> ClientCall:
    known: dict[str, Any] = {
        "model": "sonnet",
        "body": b"",
        "family": "openai_chat",
        "path": "/v1/chat/completions",
        "read": lambda: None,
        "session_id": "s-1",
        "agent": "claude-code",
        "agent_version": "2.1",
        "tags": ["nightly"],
    }
    return ClientCall(**{**known, **fields})


def attempt(**fields: Any) -> Attempt:
    """One that answered; `fields` are its own, or its target's."""
    target = Upstream()
    for name in fields.keys() & vars(Upstream).keys():
        setattr(target, name, fields.pop(name))
    known: dict[str, Any] = {"target": target, "group": "sonnet", "began_ms": 2, "ms": 800, "status": 200}
    return Attempt(**{**known, **fields})


def ended(**fields: Any) -> Call:
    """A chat that succeeded: it took 1.25 s, of which 0.9 were the upstream's until it answered."""
    known: dict[str, Any] = {
        "id": CALL_ID,
        "endpoint": ENDPOINT,
        "started": 1_700_000_000.0,
        "seconds": 1.25,
        "waited": 0.9,
        "first_byte_after": 0.9005,
        "caller": caller(),
        "call": client_call(),
        "requested": "sonnet",
        "group": "sonnet",
        "target": Upstream(),
        "usage": Usage(input=100, output=50, cache_read=10, cache_write_5m=5, reasoning=20),
        "cost": 1_234_567,
        "output_cost": 825_000,
        "error": None,
        "retries": 0,
        "attempts": [attempt()],
    }
    return Call(**{**known, **fields})
