"""Who and what a call belongs to beyond its key: session, end user, tags; and the wishes carried in headers."""

from sekisho.core.chat import ClientCall
from sekisho.core.errors import InvalidRequest
from sekisho.gateway.exchange import Exchange

_MAX_LENGTH = 250
_SESSION_HEADERS = (b"x-sekisho-session-id", b"x-litellm-session-id", b"x-litellm-trace-id", b"x-session-id")
_END_USER_HEADERS = (b"x-litellm-end-user-id", b"x-litellm-customer-id")
_TAG_HEADERS = (b"x-sekisho-tags", b"x-litellm-tags")


def read_wishes(exchange: Exchange, call: ClientCall) -> None:
    """Take what LiteLLM's and our own request headers say into the call; a header wins over the body.

    Raises InvalidRequest for a header that is not of its type.
    """
    call.session_id = _clip(_first(exchange, _SESSION_HEADERS) or call.session_id)
    call.end_user = _clip(_first(exchange, _END_USER_HEADERS) or call.end_user)
    tags = _first(exchange, _TAG_HEADERS)
    if tags:
        call.tags = [*call.tags, *(tag.strip() for tag in tags.split(",") if tag.strip())]
    call.tags = list(dict.fromkeys(tag[:_MAX_LENGTH] for tag in call.tags))
    if (retries := exchange.header(b"x-litellm-num-retries")) is not None:
        call.num_retries = int(_number("x-litellm-num-retries", retries))
    if (timeout := exchange.header(b"x-litellm-timeout")) is not None:
        call.timeout = _number("x-litellm-timeout", timeout)


def _first(exchange: Exchange, names: tuple[bytes, ...]) -> str | None:
    return next((value for name in names if (value := exchange.header(name))), None)


def _clip(value: str | None) -> str | None:
    """Ids are chosen by clients: bounded, so that no row and no trace is spoilt by one."""
    return value[:_MAX_LENGTH] if value else None


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise InvalidRequest(f"The header {name} must be a number between 0 and 86400.", param=name)
    return value
