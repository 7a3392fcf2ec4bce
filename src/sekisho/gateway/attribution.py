"""Who and what a call belongs to beyond its key: session, agent, end user, tags; and the wishes carried in headers."""

from hashlib import sha256
from typing import Final

from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall, Opening
from sekisho.core.errors import InvalidRequest
from sekisho.gateway.agents import recognise_agent
from sekisho.gateway.exchange import Exchange

_MAX_LENGTH = 250
_CLAUDE_CODE = b"x-claude-code-session-id"
_HEADERS: Final = {
    "session": (
        b"x-sekisho-session-id",
        b"x-sekisho-task-id",
        b"x-litellm-session-id",
        b"x-litellm-trace-id",
        _CLAUDE_CODE,
        b"session-id",  # Codex
        b"session_id",  # Codex, formerly
        b"x-session-id",  # opencode, Kilo
        b"x-session-affinity",
        b"x-task-id",
    ),
    "agent id": (b"x-sekisho-agent-id", b"x-claude-code-agent-id", b"thread-id"),
    "parent": (
        b"x-sekisho-parent-id",
        b"x-claude-code-parent-agent-id",
        b"x-codex-parent-thread-id",
        b"x-parent-session-id",  # opencode, Kilo
    ),
    "end user": (b"x-sekisho-end-user", b"x-litellm-end-user-id", b"x-litellm-customer-id"),
    "tags": (b"x-sekisho-tags", b"x-litellm-tags"),
    "retries": (b"x-litellm-num-retries",),
    "timeout": (b"x-litellm-timeout",),
    "priority": (b"x-litellm-priority",),
    "agent": (b"x-sekisho-agent",),
    "user agent": (b"user-agent",),
    "originator": (b"originator",),
    "title": (b"x-title",),
}
"""What is told in headers, and in which: the first of them that says something counts.

`x-sekisho-agent` (`name` or `name/version`) is believed whatever else there is to see.
"""
_PLACES: Final = {name: (what, rank) for what, names in _HEADERS.items() for rank, name in enumerate(names)}
_VENDOR_PREFIX, _VENDOR_SUFFIX = b"x-", b"-session-id"
"""LiteLLM takes any `x-<vendor>-session-id`; here it counts when nothing else names the session."""


def read_wishes(exchange: Exchange, call: ClientCall, caller: Caller) -> None:
    """Take what the request's headers and the conversation's opening say into the call; a header wins over the body.

    Raises InvalidRequest for a header that is not of its type.
    """
    told = _read_headers(exchange)
    _attribute(call, caller, told)
    if "agent" in told:
        agent, _, version = told["agent"].strip().partition("/")
        call.agent, call.agent_version = _tidy(agent), _tidy(version)
    else:
        call.agent, call.agent_version = recognise_agent(
            told.get("user agent", ""),
            told.get("originator", ""),
            told.get("title", ""),
            call.opening.system,
            claude_code=_CLAUDE_CODE in exchange.named,
        )
    if "retries" in told:
        call.num_retries = int(_number("x-litellm-num-retries", told["retries"]))
    if "timeout" in told:
        call.timeout = _number("x-litellm-timeout", told["timeout"])
    if "priority" in told:
        call.priority = int(_number("x-litellm-priority", told["priority"]))


def _read_headers(exchange: Exchange) -> dict[str, str]:
    """What the headers tell: a request has a dozen of them, and two or three of these."""
    told: dict[str, str] = {}
    ranks: dict[str, int] = {}
    named = exchange.named
    for name in _PLACES.keys() & named.keys():
        what, rank = _PLACES[name]
        value = named[name] or _find_second(exchange, name)
        if value and (what not in ranks or rank < ranks[what]):
            told[what], ranks[what] = value.decode("latin-1"), rank
    if "session" not in told and b"\n".join(named).find(_VENDOR_SUFFIX) >= 0:
        for name, value in exchange.headers:
            if value and name.endswith(_VENDOR_SUFFIX) and name.startswith(_VENDOR_PREFIX) and b"parent" not in name:
                told["session"] = value.decode("latin-1")
                break
    return told


def _find_second(exchange: Exchange, name: bytes) -> bytes:
    """What a header says whose first line is empty; empty if there is no other."""
    return next((value for each, value in exchange.headers if each == name and value), b"")


def _attribute(call: ClientCall, caller: Caller, told: dict[str, str]) -> None:
    call.session_id = _tidy(told.get("session") or call.session_id) or fingerprint(caller.owner, call.opening)
    if "agent id" in told:
        agent_id = _tidy(told["agent id"])
        call.agent_id = agent_id if agent_id != call.session_id else None  # Codex's main thread is its session
    if "parent" in told:
        call.parent_id = _tidy(told["parent"])
    call.end_user = _tidy(told.get("end user") or call.end_user)
    if call.tags or "tags" in told:
        tags = [*call.tags, *told.get("tags", "").split(",")]
        call.tags = list(dict.fromkeys(tidy for tag in tags if (tidy := _tidy(tag))))


def fingerprint(owner: str, opening: Opening) -> str | None:
    """An id for the sessions of agents that send none (Cline 3, aider, Continue): all turns of a task begin alike.

    None where there is no conversation. Only texts count: cache marks move from message to message between turns.
    """
    if not opening.first_user:
        return None
    lengths = f"{len(owner)}:{len(opening.system)}:"  # so that it is clear where one text ends
    told = f"{lengths}{owner}{opening.system}{opening.first_user}".encode("utf-8", "surrogatepass")
    return "fp-" + sha256(told).hexdigest()[:32]


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
