"""The admin API as an application that is built when somebody first asks it."""

import asyncio
import gc

from sekisho.control.services.context import Services
from sekisho.http.asgi import Application, Receive, Scope, Send


class DeferredControl:
    """Stands for the admin API and builds it for the first request, in a thread, so that calls go on meanwhile.

    FastAPI and the models of 130 endpoints take half a second and 25 MB. No start need wait for that, and a worker that
    is never asked need not keep it.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._building: asyncio.Task[Application] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Where building failed, the next request tries again."""
        building = self._building
        if building is None or (building.done() and (building.cancelled() or building.exception() is not None)):
            building = self._building = asyncio.create_task(
                asyncio.to_thread(_build, self._services), name="build control"
            )
        app = await asyncio.shield(building)  # a client that leaves takes nothing from the others
        await app(scope, receive, send)


def _build(services: Services) -> Application:
    from sekisho.control.api.app import build_control  # noqa: PLC0415  # what the class is for

    app = build_control(services)
    gc.freeze()  # it stays: the garbage collector need never look through it
    return app
