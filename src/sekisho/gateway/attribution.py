"""Who and what a call belongs to beyond its key: session, agent, end user, tags; and the wishes carried in headers."""

from hashlib import sha256
from typing import Final

from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall, Opening
from sekisho.core.errors import InvalidRequest
from sekisho.gateway.agents import recognise_agent
from sekisho.gateway.exchange import Exchange

_MAX_LENGTH = 250
_SESSION_HEADERS: Final = (
    b"x-sekisho-session-id",
    b"x-sekisho-task-id",
    b"x-litellm-session-id",
    b"x-litellm-trace-id",
    b"x-claude-code-session-id",
    b"session-id",  # Codex
    b"session_id",  # Codex, formerly
    b"x-session-id",  # opencode, Kilo
    b"x-session-affinity",
    b"x-task-id",
)
"""Where a session, conversation or task is named; the first that is there counts."""
_VENDOR_PREFIX, _VENDOR_SUFFIX = b"x-", b"-session-id"
"""LiteLLM takes any `x-<vendor>-session-id`."""
_AGENT_ID_HEADERS: Final = (b"x-sekisho-agent-id", b"x-claude-code-agent-id", b"thread-id")
_PARENT_HEADERS: Final = (
    b"x-sekisho-parent-id",
    b"x-claude-code-parent-agent-id",
    b"x-codex-parent-thread-id",
    b"x-parent-session-id",  # opencode, Kilo
)
_END_USER_HEADERS: Final = (b"x-sekisho-end-user", b"x-litellm-end-user-id", b"x-litellm-customer-id")
_TAG_HEADERS: Final = (b"x-sekisho-tags", b"x-litellm-tags")


def read_wishes(exchange: Exchange, call: ClientCall, caller: Caller) -> None:
    """Take what the request's headers and the conversation's opening say into the call; a header wins over the body.

    Raises InvalidRequest for a header that is not of its type.
    """
    _attribute(exchange, call, caller)
    if (retries := exchange.header(b"x-litellm-num-retries")) is not None:
        call.num_retries = int(_number("x-litellm-num-retries", retries))
    if (timeout := exchange.header(b"x-litellm-timeout")) is not None:
        call.timeout = _number("x-litellm-timeout", timeout)
    if (priority := exchange.header(b"x-litellm-priority")) is not None:
        call.priority = int(_number("x-litellm-priority", priority))


def _attribute(exchange: Exchange, call: ClientCall, caller: Caller) -> None:
    session = _first(exchange, _SESSION_HEADERS) or _vendor_session(exchange) or call.session_id
    call.session_id = _tidy(session) or fingerprint(caller.owner, call.opening)
    agent_id = _tidy(_first(exchange, _AGENT_ID_HEADERS))
    call.agent_id = agent_id if agent_id != call.session_id else None  # Codex's main thread is its session
    call.parent_id = _tidy(_first(exchange, _PARENT_HEADERS))
    agent, version = recognise_agent(exchange.header, call.opening.system)
    call.agent, call.agent_version = _tidy(agent), _tidy(version)
    call.end_user = _tidy(_first(exchange, _END_USER_HEADERS) or call.end_user)
    tags = [*call.tags, *(_first(exchange, _TAG_HEADERS) or "").split(",")]
    call.tags = list(dict.fromkeys(tidy for tag in tags if (tidy := _tidy(tag))))


def fingerprint(owner: str, opening: Opening) -> str | None:
    """An id for the sessions of agents that send none (Cline 3, aider, Continue): all turns of a task begin alike.

    None where there is no conversation. Only texts count: cache marks move from message to message between turns.
    """
    if not opening.first_user:
        return None
    digest = sha256()
    for text in (owner, opening.system, opening.first_user):
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(encoded))
        digest.update(encoded)
    return f"fp-{digest.hexdigest()[:32]}"


def _first(exchange: Exchange, names: tuple[bytes, ...]) -> str | None:
    for name in names:
        if value := exchange.header(name):
            return value
    return None


def _vendor_session(exchange: Exchange) -> str | None:
    for name, value in exchange.headers:
        if name.startswith(_VENDOR_PREFIX) and name.endswith(_VENDOR_SUFFIX) and b"parent" not in name:
            return value.decode("latin-1")
    return None


def _tidy(value: str | None) -> str | None:
    """Names are chosen by clients: bounded and printable, so that no row, log or header is spoilt by one."""
    if not value:
        return None
    if not value.isprintable():
        value = "".join(filter(str.isprintable, value))
    return value.strip()[:_MAX_LENGTH] or None


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise InvalidRequest(f"The header {name} must be a number between 0 and 86400.", param=name)
    return value
