"""The scope of a request that no server has received."""

from collections.abc import Callable, Sequence
from typing import Any

from sekisho.http.asgi import LINE


class _QuietLine:
    """A client that has sent nothing beforehand and stays."""

    def take_whole_body(self) -> bytes | None:
        return None

    def on_hangup(self, act: Callable[[], None] | None) -> None:
        pass


def make_scope(path: str = "/", headers: Sequence[tuple[bytes, bytes]] = ()) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": list(headers),
        "query_string": b"",
        "extensions": {LINE: _QuietLine()},
    }
