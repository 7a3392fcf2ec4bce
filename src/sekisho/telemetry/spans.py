"""A call that is over, as spans in OTLP's encoding: one for the call, and one below it for every attempt.

The call's span has everything on it that the backends need, under OpenTelemetry's names for generative AI and, where
those say too little, under Langfuse's and MLflow's. Attempts have no tokens and no costs: they would be counted twice.
No span has anything of a prompt or an answer on it, nor an error's message, which may quote them.

What repeats from call to call is encoded once and remembered: that makes it cheap.
"""

import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TypeVar

from msgspec import Struct

from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall
from sekisho.core.errors import SekishoError
from sekisho.core.target import Target
from sekisho.core.wire import Endpoint
from sekisho.telemetry.calls import Attempt, Call, name_team
from sekisho.telemetry.protobuf import (
    TextHeads,
    block,
    double_attribute,
    integer_attribute,
    texts_attribute,
    true_attribute,
    varint,
    write_text,
)
from sekisho.telemetry.traceparent import TraceParent

PROVIDERS: Final[Mapping[str, str]] = {"bedrock": "aws.bedrock", "sagemaker": "aws.sagemaker"}
"""OpenTelemetry's names of providers, where they are not those of the folders."""
_OBSERVATIONS: Final = {"chat": "generation", "embeddings": "embedding"}
_MOST_REMEMBERED: Final = 4096
_NEXT_ATTEMPT: Final = 1 << 56
"""What is added to the call's id for that of each attempt: calls count up at the other end (`core.ids`)."""
_SPAN: Final = b"\x12"
_HEAD: Final = struct.Struct("<2s16s2s8sBQBQ").pack
"""The ids of the trace and the span, and its times."""
_TRACE_ID: Final = b"\x0a\x10"
_SPAN_ID: Final = b"\x12\x08"
_PARENT_ID: Final = b"\x22\x08"
_KIND_CLIENT: Final = b"\x30\x03"
_SAMPLED: Final = b"\x85\x01" + struct.pack("<I", 0x101)
_SAMPLED_BELOW_REMOTE: Final = b"\x85\x01" + struct.pack("<I", 0x301)
_STREAMED: Final = true_attribute("gen_ai.request.stream")
_SIMULATED: Final = true_attribute("sekisho.simulated")
_ATTEMPT: Final = block(b"\x2a", b"attempt") + _KIND_CLIENT

_Written = TypeVar("_Written")

_input = integer_attribute("gen_ai.usage.input_tokens")
_output = integer_attribute("gen_ai.usage.output_tokens")
_cache_read = integer_attribute("gen_ai.usage.cache_read.input_tokens")
_cache_write = integer_attribute("gen_ai.usage.cache_write.input_tokens")
_reasoning = integer_attribute("gen_ai.usage.reasoning.output_tokens")
_first_chunk = double_attribute("gen_ai.response.time_to_first_chunk")
_COMPLETION_START: Final = TextHeads("langfuse.observation.completion_start_time")
_USAGE_DETAILS: Final = TextHeads("langfuse.observation.usage_details")
_COST_DETAILS: Final = TextHeads("langfuse.observation.cost_details")
_MLFLOW_COST: Final = TextHeads("mlflow.llm.cost")
_CALL_ID: Final = TextHeads("litellm.call_id")[36]
_status_code = integer_attribute("http.response.status_code")
_ERROR_TYPE: Final = TextHeads("error.type")
_retries = integer_attribute("sekisho.retries")
_overhead = double_attribute("sekisho.overhead")
_SUCCEEDED: Final = _status_code(200)


class _Kind(Struct, frozen=True):
    """What all calls of a caller to a target have on their spans.

    caller, target, endpoint: kept, so that no others can come to have their identity.
    """

    caller: Caller | None
    target: Target | None
    endpoint: Endpoint
    written: bytes


class SpanWriter:
    """Writes spans. `environment` is Langfuse's name for what OpenTelemetry calls the deployment environment."""

    def __init__(self, environment: str | None = None) -> None:
        self._everywhere = write_text("langfuse.environment", environment) if environment else b""
        self._kinds: dict[tuple[object, ...], _Kind] = {}
        self._sessions: dict[tuple[object, ...], tuple[bytes, bytes]] = {}
        self._attempts: dict[tuple[object, ...], tuple[Target, bytes]] = {}
        """With the targets, so that no others can come to have their identity."""

    def write_call(self, call: Call) -> bytes:
        """The spans of a call, as members of `ScopeSpans`."""
        own = bytes.fromhex(call.id.replace("-", ""))
        parent = call.parent
        trace_id, span_id = (parent.trace_id if parent else own), own[8:]
        began = int(call.started * 1e9)
        ended = began + int(call.seconds * 1e9)
        session, brief = self._session(call)
        content = (
            _HEAD(_TRACE_ID, trace_id, _SPAN_ID, span_id, 0x39, began, 0x41, ended),
            _write_parent(parent) if parent else b"",
            self._kind(call),
            session,
            _write_usage(call),
            _write_course(call),
            _SUCCEEDED if call.error is None else _write_failure(call, call.error),
            _SAMPLED_BELOW_REMOTE if parent else _SAMPLED,
        )
        span = b"".join(content)
        parts = [_SPAN, varint(len(span)), span]
        number = int.from_bytes(span_id, "big")
        for attempt in call.attempts:
            number = (number + _NEXT_ATTEMPT) % (1 << 64)
            start = began + attempt.began_ms * 1_000_000
            end = ended if attempt.ms is None else start + attempt.ms * 1_000_000
            head = _HEAD(_TRACE_ID, trace_id, _SPAN_ID, number.to_bytes(8, "big"), 0x39, start, 0x41, end)
            span = b"".join((head, _PARENT_ID, span_id, self._attempt(attempt), brief, _SAMPLED))
            parts += (_SPAN, varint(len(span)), span)
        return b"".join(parts)

    def _kind(self, call: Call) -> bytes:
        """The span's name and kind, who calls, and what was asked of whom."""
        caller, target, asked = call.caller, call.target, call.call
        tags = tuple(asked.tags) if asked is not None and asked.tags else ()
        streamed = asked is not None and asked.stream
        key = (id(caller), id(target), id(call.endpoint), call.requested, call.group, streamed, tags)
        known = self._kinds.get(key)
        if known is None:
            written = _write_road(call, target) + _write_caller(call)
            known = _remember(self._kinds, key, _Kind(caller, target, call.endpoint, written))
        return known.written

    def _session(self, call: Call) -> tuple[bytes, bytes]:
        """The session, whom it is for and by which agent: all of it, and what attempts have, too.

        Langfuse wants user and session on every span.
        """
        caller, asked = call.caller, call.call
        user = caller.user_id if caller is not None else None
        key: tuple[object, ...] = (user,)
        if asked is not None:
            key = (
                user,
                asked.end_user,
                asked.session_id,
                asked.agent,
                asked.agent_version,
                asked.agent_id,
                asked.parent_id,
            )
        known = self._sessions.get(key)
        if known is None:
            brief = self._everywhere + _write_session(call)
            known = _remember(self._sessions, key, (brief + (_write_agent(asked) if asked is not None else b""), brief))
        return known

    def _attempt(self, attempt: Attempt) -> bytes:
        key = (id(attempt.target), attempt.group, attempt.status, attempt.error)
        known = self._attempts.get(key)
        if known is None:
            known = _remember(self._attempts, key, (attempt.target, _write_attempt(attempt)))
        return known[1]


def _remember(blocks: dict[tuple[object, ...], _Written], key: tuple[object, ...], written: _Written) -> _Written:
    if len(blocks) >= _MOST_REMEMBERED:
        blocks.clear()
    blocks[key] = written
    return written


def _write_texts(pairs: Mapping[str, str | None]) -> bytes:
    return b"".join([write_text(key, value) for key, value in pairs.items() if value])


def _write_parent(parent: TraceParent) -> bytes:
    return (block(b"\x1a", parent.state.encode()) if parent.state else b"") + _PARENT_ID + parent.span_id


def _write_session(call: Call) -> bytes:
    caller, asked = call.caller, call.call
    user = (asked.end_user if asked is not None else None) or (caller.user_id if caller is not None else None)
    session = asked.session_id if asked is not None else None
    return _write_texts({"user.id": user, "session.id": session, "gen_ai.conversation.id": session})


def _write_caller(call: Call) -> bytes:
    """Who calls, under the names of LiteLLM's Langfuse callback, which dashboards know, and MLflow's tags."""
    caller = call.caller
    if caller is None:
        return b""
    tags = call.call.tags if call.call is not None else ()
    alias = name_team(caller)
    metadata = {
        "user_api_key_hash": caller.key_hash,
        "user_api_key_alias": caller.key_alias,
        "user_api_key_user_id": caller.user_id,
        "user_api_key_team_id": caller.team_id,
        "user_api_key_team_alias": alias,
        "user_api_key_org_id": caller.organization_id,
        "user_api_key_project_id": caller.project_id,
    }
    pairs = {f"langfuse.trace.metadata.{name}": value for name, value in metadata.items()}
    team = alias or caller.team_id
    pairs |= {"mlflow.traceTag.team": team, "mlflow.traceTag.key_alias": caller.key_alias}
    labels = list(dict.fromkeys([*([f"team:{team}"] if team else []), *caller.tags, *tags]))
    return _write_texts(pairs) + (texts_attribute("langfuse.trace.tags", labels) if labels else b"")


def _write_agent(asked: ClientCall) -> bytes:
    if asked.agent is None:
        return b""
    return _write_texts(
        {
            "gen_ai.agent.name": asked.agent,
            "gen_ai.agent.version": asked.agent_version,
            "gen_ai.agent.id": asked.agent_id,
            "sekisho.parent_id": asked.parent_id,
        }
    )


def _write_road(call: Call, target: Target | None) -> bytes:
    operation = call.endpoint.operation
    name = f"{operation} {call.requested}".rstrip()
    written = block(b"\x2a", name.encode("utf-8", "replace")) + _KIND_CLIENT
    pairs: dict[str, str | None] = {
        "gen_ai.operation.name": operation,
        "gen_ai.request.model": call.requested,
        "langfuse.observation.type": _OBSERVATIONS.get(operation, "span"),
        "langfuse.trace.name": name,
        "mlflow.traceTag.mlflow.traceName": name,
        "http.route": call.endpoint.path,
        "sekisho.model_group": call.group,
    }
    if target is not None:
        pairs |= {
            "gen_ai.provider.name": PROVIDERS.get(target.provider, target.provider),
            "gen_ai.response.model": target.upstream_model,
            "sekisho.deployment_id": target.deployment_id,
            "cloud.account.id": target.account,
            "cloud.region": target.region,
        }
        written += _SIMULATED if target.simulated else b""
    return written + _write_texts(pairs) + (_STREAMED if call.streamed else b"")


def _write_usage(call: Call) -> bytes:
    """Tokens and money; of a failed call too, since the backends would price it by the model otherwise."""
    usage, total = call.usage, call.cost
    fresh, output, reasoning = usage.input, usage.output, usage.reasoning
    read, written = usage.cache_read, usage.cache_write_5m + usage.cache_write_1h
    prompt, kinds = fresh + read + written, b""
    parts = [_input(prompt), _output(output)]
    if read:
        parts.append(_cache_read(read))
        kinds = b',"input_cached_tokens":%d' % read
    if written:
        parts.append(_cache_write(written))
        kinds += b',"input_cache_creation":%d' % written
    if reasoning:
        parts.append(_reasoning(reasoning))
        kinds += b',"output_reasoning_tokens":%d' % reasoning
    details = b'{"input":%d,"output":%d%b,"total":%d}' % (fresh, output - reasoning, kinds, prompt + output)
    parts += (_USAGE_DETAILS[len(details)], details)
    if total is not None:
        nano = (total - call.output_cost, call.output_cost, total)
        details = b'{"input":%de-9,"output":%de-9,"total":%de-9}' % nano  # JSON has decimal exponents
        costs = b'{"input_cost":%de-9,"output_cost":%de-9,"total_cost":%de-9}' % nano
        parts += (_COST_DETAILS[len(details)], details, _MLFLOW_COST[len(costs)], costs)
    return b"".join(parts)


def _write_course(call: Call) -> bytes:
    """When the answer began, and what the gateway took."""
    written = _CALL_ID + call.id.encode()
    if (first := call.first_byte_after) is not None:
        overhead = first - call.waited
        written += _overhead(overhead if overhead > 0.0 else 0.0)
        if call.streamed:
            began = _write_time(call.started + first)
            written += _first_chunk(first) + _COMPLETION_START[len(began)] + began
    return written + _retries(call.retries) if call.retries else written


def _write_time(seconds: float) -> bytes:
    """A time as ISO 8601 has it, with milliseconds."""
    whole = int(seconds)
    return b"%b.%03dZ" % (_write_second(whole), int((seconds - whole) * 1000))


@lru_cache(maxsize=64)
def _write_second(seconds: int) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


def _write_failure(call: Call, error: SekishoError) -> bytes:
    """The status: with the kind of error and the upstream's own word for it, never with its message."""
    return _status_code(call.status) + _write_error(call.failure, error.code)


def _write_attempt(attempt: Attempt) -> bytes:
    target = attempt.target
    pairs = {
        "langfuse.observation.type": "span",
        "sekisho.deployment_id": target.deployment_id,
        "sekisho.model_group": attempt.group,
        "sekisho.provider": target.provider,
        "sekisho.upstream_model": target.upstream_model,
        "cloud.account.id": target.account,
        "cloud.region": target.region,
    }
    written = _ATTEMPT + _write_texts(pairs)
    if attempt.status is not None:
        written += _status_code(attempt.status)
    if attempt.error is None:
        return written
    kind, _, code = attempt.error.partition(":")
    return written + _write_error(kind, code)


def _write_error(kind: str, code: str | None) -> bytes:
    said, named = f"{kind}: {code[:200]}" if code else kind, kind.encode()
    return (
        _ERROR_TYPE[len(named)] + named + block(b"\x7a", block(b"\x12", said.encode("utf-8", "replace")) + b"\x18\x02")
    )


def write_request(spans: Sequence[bytes], prefix: bytes, scope: bytes) -> bytes:
    """An `ExportTraceServiceRequest` of the spans of some calls; `prefix` and `scope` are made by `write_origin`."""
    scoped = b"\x12" + varint(len(scope) + sum(map(len, spans))) + scope
    size = len(prefix) + len(scoped) + sum(map(len, spans))
    return b"".join((b"\x0a", varint(size), prefix, scoped, *spans))


def write_origin(resource: Mapping[str, str], version: str) -> tuple[bytes, bytes]:
    """The encoded resource and scope that all requests have in common."""
    attributes = b"".join(write_text(key, value, b"\x0a") for key, value in resource.items())
    scope = block(b"\x0a", b"sekisho") + block(b"\x12", version.encode())
    return block(b"\x0a", attributes), block(b"\x0a", scope)
