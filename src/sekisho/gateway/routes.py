"""Which path speaks which dialect. The dialects say it themselves."""

import re
from collections.abc import Iterable

from msgspec import Struct, structs

from sekisho.core.wire import ClientDialect, ContinuingClient, Endpoint, Inbound
from sekisho.gateway.exchange import Exchange


class Route(Struct, frozen=True):
    """An endpoint that was asked for; `model` is the name that its path holds.

    continues: whether its calls may go on from earlier answers.
    """

    dialect: ClientDialect
    endpoint: Endpoint
    continues: bool
    model: str | None = None

    def inbound(self, exchange: Exchange, body: bytes) -> Inbound:
        """The request as the dialect reads it."""
        return Inbound(endpoint=self.endpoint, body=body, header=exchange.header_named, model=self.model)


class Routes:
    """The endpoints of all dialects by path."""

    def __init__(self, dialects: Iterable[ClientDialect]) -> None:
        routes = [
            Route(dialect, endpoint, isinstance(dialect, ContinuingClient))
            for dialect in dialects
            for endpoint in dialect.endpoints
        ]
        routes.sort(key=lambda route: -len(route.endpoint.path))  # a model's name may look like the rest of a path
        self._exact = {route.endpoint.path: route for route in routes if "{model}" not in route.endpoint.path}
        self._named = [(_pattern(route.endpoint.path), route) for route in routes if "{model}" in route.endpoint.path]

    def find(self, path: str) -> Route | None:
        """The route for a percent-decoded path; None when there is none."""
        if (route := self._exact.get(path)) is not None:
            return route
        for pattern, route in self._named:
            if (found := pattern.fullmatch(path)) is not None:
                return structs.replace(route, model=found[1])
        return None


def _pattern(path: str) -> re.Pattern[str]:
    before, _, after = path.partition("{model}")
    return re.compile(f"{re.escape(before)}(.+){re.escape(after)}", re.DOTALL)
