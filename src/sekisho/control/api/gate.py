"""The gate before every endpoint: who calls is known before anything is read, and no more is read than is bearable."""

from typing import Final, Protocol

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sekisho.control.api.answers import render_error
from sekisho.control.services.ownership import author
from sekisho.core.author import Author, acting_as
from sekisho.core.caller import Caller
from sekisho.core.errors import BodyTooLarge, SekishoError
from sekisho.identity.rights import check_endpoint, right_of, route_of

_MOST_BYTES: Final = 1024 * 1024
_CALLER: Final = "sekisho.caller"


class Authenticates(Protocol):
    """What the gate needs of `Identity`."""

    async def authenticate(self, headers: list[tuple[bytes, bytes]]) -> Caller:
        """The caller that these headers prove."""
        ...


class Gate:
    """ASGI middleware that lets pass who may use the path. Paths that need no rights (the documentation) are open."""

    def __init__(self, app: ASGIApp, identity: Authenticates) -> None:
        self._app = app
        self._identity = identity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or right_of(scope["path"]) is None:
            await self._app(scope, _limited(receive), send)
            return
        try:
            caller = await self._identity.authenticate(scope["headers"])
            check_endpoint(caller, scope["path"])
            scope[_CALLER] = caller
        except SekishoError as error:
            await render_error(error)(scope, receive, send)
            return
        with acting_as(_author(caller, scope)):
            await self._app(scope, _limited(receive), send)


def caller_of(request: Request) -> Caller:
    """The caller that the gate let pass."""
    caller: Caller = request.scope[_CALLER]
    return caller


def _author(caller: Caller, scope: Scope) -> Author:
    client = scope.get("client")
    return Author(
        name=author(caller),
        role=caller.role,
        source_ip=client[0] if client else None,
        request=f"{scope['method']} {route_of(scope['path'])}",  # never the path itself: it may hold a key
    )


def _limited(receive: Receive) -> Receive:
    """`receive` that stops a body which is too large."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > _MOST_BYTES:
            raise BodyTooLarge(f"The body is over {_MOST_BYTES} bytes.", param="request_body")
        return message

    return limited
