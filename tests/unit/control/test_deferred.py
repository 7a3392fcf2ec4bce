import asyncio
from typing import Any, cast

import pytest

from sekisho.control import deferred
from sekisho.control.deferred import DeferredControl
from sekisho.control.services.context import Services
from sekisho.http.asgi import Application, Receive, Scope, Send


async def test_where_building_failed_the_next_request_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answered: list[Scope] = []
    built: list[Services] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        answered.append(scope)

    def build(services: Services) -> Application:
        built.append(services)
        if len(built) == 1:
            raise MemoryError
        return app

    monkeypatch.setattr(deferred, "_build", build)
    control = DeferredControl(cast(Services, None))
    unused: Any = None
    first = await asyncio.gather(*(control({"n": n}, unused, unused) for n in range(2)), return_exceptions=True)
    assert [type(error) for error in first] == [MemoryError, MemoryError]
    for n in range(2):
        await control({"n": n}, unused, unused)
    assert (answered, len(built)) == ([{"n": 0}, {"n": 1}], 2)
