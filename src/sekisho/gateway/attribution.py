"""Who and what a call belongs to beyond its key: session, agent, end user, tags; and the wishes carried in headers."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from msgspec import Struct

from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall, Opening
from sekisho.core.errors import InvalidRequest
from sekisho.core.wire import HeaderPairs
from sekisho.gateway.agents import LONGEST_SIGN, Signs, recognise_agent
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


class _Told(Struct, frozen=True):
    """What the headers tell; None where they tell nothing.

    agent: its name and version, where the client says them itself. signs: what there is to see of it otherwise.
    """

    session: str | None
    agent_id: str | None
    parent: str | None
    end_user: str | None
    tags: tuple[str, ...]
    retries: int | None
    timeout: float | None
    priority: int | None
    agent: tuple[str | None, str | None] | None
    signs: Signs


def read_wishes(exchange: Exchange, call: ClientCall, caller: Caller) -> None:
    """Take what the request's headers and the conversation's opening say into the call; a header wins over the body.

    Raises InvalidRequest for a header that is not of its type.
    """
    told, opening = exchange.recall(_read_headers), call.opening
    call.session_id = told.session or _tidy(call.session_id) or _recall_fingerprint(call, caller.owner)
    call.agent, call.agent_version = told.agent or recognise_agent(told.signs, opening.system)
    if told.agent_id is not None and told.agent_id != call.session_id:  # Codex's main thread is its session
        call.agent_id = told.agent_id
    if told.parent is not None:
        call.parent_id = told.parent
    if told.end_user is not None or call.end_user is not None:
        call.end_user = told.end_user or _tidy(call.end_user)
    if call.tags or told.tags:
        call.tags = _tidy_tags([*call.tags, *told.tags])
    if told.retries is not None:
        call.num_retries = told.retries
    if told.timeout is not None:
        call.timeout = told.timeout
    if told.priority is not None:
        call.priority = told.priority


def _read_headers(headers: HeaderPairs) -> _Told:
    """What the headers tell. Raises InvalidRequest for one that is not of its type."""
    found = _find_headers(headers)
    agent, _, version = found.get("agent", "").strip().partition("/")
    return _Told(
        session=_tidy(found.get("session")),
        agent_id=_tidy(found.get("agent id")),
        parent=_tidy(found.get("parent")),
        end_user=_tidy(found.get("end user")),
        tags=tuple(found.get("tags", "").split(",")) if "tags" in found else (),
        retries=int(_number("x-litellm-num-retries", found["retries"])) if "retries" in found else None,
        timeout=_number("x-litellm-timeout", found["timeout"]) if "timeout" in found else None,
        priority=int(_number("x-litellm-priority", found["priority"])) if "priority" in found else None,
        agent=(_tidy(agent), _tidy(version)) if "agent" in found else None,
        signs=Signs(
            found.get("user agent", "")[:LONGEST_SIGN],
            found.get("originator", "")[:LONGEST_SIGN],
            found.get("title", "")[:LONGEST_SIGN],
            any(name == _CLAUDE_CODE for name, _ in headers),
        ),
    )


def _find_headers(headers: HeaderPairs) -> dict[str, str]:
    """The texts that count, by what they tell (`_HEADERS`)."""
    found: dict[str, str] = {}
    ranks: dict[str, int] = {}
    for name, value in headers:
        if value and name in _PLACES:
            what, rank = _PLACES[name]
            if what not in ranks or rank < ranks[what]:
                found[what], ranks[what] = value.decode("latin-1"), rank
    if "session" not in found:
        for name, value in headers:
            if value and name.endswith(_VENDOR_SUFFIX) and name.startswith(_VENDOR_PREFIX) and b"parent" not in name:
                found["session"] = value.decode("latin-1")
                break
    return found


def _tidy_tags(tags: Iterable[str]) -> list[str]:
    """Each once, in their order."""
    return list(dict.fromkeys(tidy for tag in tags if (tidy := _tidy(tag))))


def _recall_fingerprint(call: ClientCall, owner: str) -> str | None:
    """The fingerprint, made once of what is known of the conversation's beginning: system prompts may be long."""
    known, opening = call.beginning, call.opening
    if known is None:
        return fingerprint(owner, opening)
    made: tuple[str, Opening, str | None] | None = known.made.get(fingerprint)
    if made is None or made[0] != owner or made[1] != opening:
        made = known.made[fingerprint] = (owner, opening, fingerprint(owner, opening))
    return made[2]


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
