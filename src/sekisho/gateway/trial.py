"""The smallest call to one target, outside of any caller's account: does it answer at all?"""

from collections.abc import Mapping
from typing import Any, Final

from sekisho.core.chat import ChatRequest, Message, Text
from sekisho.core.clock import Clock
from sekisho.core.errors import SekishoError, UpstreamMisconfigured, UpstreamThrottled, UpstreamUnavailable
from sekisho.core.target import Check, Errand, Target
from sekisho.core.wire import UpstreamDialect, WriteOptions
from sekisho.gateway.reply import Reply, explain
from sekisho.http.client import UpstreamClient
from sekisho.http.failures import CallFailed, Timeouts

_TIMEOUTS: Final = Timeouts(connect=10.0, first=60.0)
_MOST_ERROR_BYTES: Final = 64 * 1024
_EMBEDS: Final = Check("call", "warning", "not called: it makes embeddings", "ask it for some through the gateway")


async def try_target(target: Target, client: UpstreamClient, dialects: Mapping[str, Any], clock: Clock) -> Check:
    """Ask the target for one token. `dialects` are those of upstreams, by name. Raises nothing."""
    if "chat" not in target.dialects:
        return _EMBEDS
    began = clock.monotonic()
    try:
        await _ask(target, client, dialects)
    except SekishoError as error:
        found = " ".join([error.message, *getattr(error, "__notes__", ())])
        return Check("call", "warning" if isinstance(error, UpstreamThrottled) else "broken", found, _advise(error))
    return Check("call", "ok", f"answered in {(clock.monotonic() - began) * 1000:.0f} ms")


def _advise(error: SekishoError) -> str:
    if isinstance(error, UpstreamThrottled):
        return "it can be called, but its quota is used up: wait, or ask for more"
    if isinstance(error, UpstreamUnavailable):
        return "try again, and check the way there if it fails again"
    if isinstance(error, UpstreamMisconfigured):
        return "check what its rights and its model's id are"
    return "check its model's id, and what model_info says of its abilities"


async def _ask(target: Target, client: UpstreamClient, dialects: Mapping[str, Any]) -> None:
    """Raises UpstreamError, or Unsupported."""
    name = target.dialects["chat"][0]
    dialect: UpstreamDialect = dialects[name]
    question = ChatRequest(system=[], messages=[Message(role="user", parts=[Text(text="ping")])], max_output_tokens=1)
    wire = dialect.write_request(question, target.facts, WriteOptions(model=target.upstream_model))
    signed = await target.sign(wire, Errand(name))
    try:
        response = await client.post(signed.url, signed.headers, wire.body, _TIMEOUTS)
    except CallFailed as failure:
        raise explain(failure, target) from failure
    try:
        if response.status != 200:
            body = await response.read(_MOST_ERROR_BYTES)
            raise target.classify_response(response.status, response.headers, body)
        await Reply(target, dialect, wire, response).await_answer()
    except CallFailed as failure:
        raise explain(failure, target) from failure
    finally:
        response.close()
