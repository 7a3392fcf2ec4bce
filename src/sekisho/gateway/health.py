"""Whether deployments answer: each is called as clients call it, with the shortest of questions.

A check is a call of the administrator's through this gateway, tied to one deployment. So it is signed, accounted,
logged and learned from like any other: a success ends the deployment's rest, a failure begins one. Usage rows tell it
by its agent, `sekisho-health-check`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import structs

from sekisho.config.added import without_secrets
from sekisho.config.snapshot import Deployment, QueueSettings
from sekisho.core.catalogue import DeploymentHealth
from sekisho.core.errors import ConfigError
from sekisho.core.target import Target
from sekisho.core.wire import ClientDialect
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.lifecycle import live
from sekisho.gateway.roads import World
from sekisho.gateway.routes import Routes
from sekisho.gateway.work import Rooms
from sekisho.http.asgi import LINE, HeaderPairs, Message
from sekisho.policy.wildcards import ANY
from sekisho.telemetry.log import log_crash_aside

_AGENT: Final = b"sekisho-health-check"
_TIMEOUT_SECONDS: Final = 60.0
_LONGEST_ERROR: Final = 1000
_PATHS: Final = {"chat": "/v1/chat/completions", "embeddings": "/v1/embeddings"}
_QUESTION: Final = [{"role": "user", "content": "ping"}]


class HealthChecks:
    """Checks deployments: when asked, or all of them again and again where the configuration says so.

    Args:
        rooms: what a call passes through.
        dialects: those that clients may speak.
        key: the master key, in whose name the calls are made.
        resolve: makes a deployment ready to be called.
    """

    def __init__(
        self, rooms: Rooms, dialects: Iterable[ClientDialect], key: str, resolve: Callable[[Deployment], Target]
    ) -> None:
        self._rooms = rooms
        self._routes = Routes(dialects)
        self._key = key
        self._resolve = resolve
        self._stand_ins: dict[str, tuple[Deployment, Target]] = {}
        self._known: dict[str, DeploymentHealth] = {}
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to check in the background, if and as the configuration says at the time."""
        self._running = asyncio.create_task(self._run(), name="health-checks")

    async def close(self) -> None:
        """Check no more."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def doubt(self) -> None:
        """The configuration may be another now."""
        self._changed.set()

    async def find(self, model: str | None = None, deployment_id: str | None = None) -> Sequence[DeploymentHealth]:
        """The health of all deployments, of those of a model (by its name or the upstream's), or of one.

        It is what the last checks in the background found where there are any; otherwise each is called now.
        """
        world = self._rooms.world()
        wanted = [
            deployment
            for deployment in world.snapshot.deployments
            if model in {None, deployment.model_name, deployment.model} and deployment_id in {None, deployment.id}
        ]
        if world.snapshot.health.background:
            return [self._known[deployment.id] for deployment in wanted if deployment.id in self._known]
        return await self._check_all(world, wanted)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            world = self._rooms.world()
            health = world.snapshot.health
            if health.background:
                try:
                    await self._check_in_background(world)
                except Exception:  # noqa: BLE001  # what nobody foresaw must not end the checks
                    log_crash_aside("health checks", "all deployments")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(health.interval if health.background else None):
                    await self._changed.wait()

    async def _check_in_background(self, world: World) -> None:
        wanted = [
            deployment
            for deployment in world.snapshot.deployments
            if not deployment.model_info.get("disable_background_health_check")
        ]
        found = await self._check_all(world, wanted)
        self._known = {health.deployment_id: health for health in found}

    async def _check_all(self, world: World, deployments: Iterable[Deployment]) -> list[DeploymentHealth]:
        """Check each; a wildcard that names no model to be checked with is left out."""
        places = asyncio.Semaphore(world.snapshot.health.concurrency)

        async def check(deployment: Deployment) -> DeploymentHealth | None:
            async with places:
                return await self._check(world, deployment)

        found = await asyncio.gather(*(check(deployment) for deployment in deployments))
        return [health for health in found if health is not None]

    async def _check(self, world: World, deployment: Deployment) -> DeploymentHealth | None:
        began = self._rooms.clock.monotonic()
        try:
            found = self._find_callable(world, deployment)
        except ConfigError as error:
            problem: str | None = error.message
        else:
            if found is None:
                return None
            problem = await self._call(world, *found)
        return DeploymentHealth(
            model_name=deployment.model_name,
            deployment_id=deployment.id,
            model=deployment.model,
            params=without_secrets(deployment.params),
            error=None if problem is None else problem[:_LONGEST_ERROR],
            milliseconds=round((self._rooms.clock.monotonic() - began) * 1000),
            checked_at=self._rooms.clock.now(),
        )

    def _find_callable(self, world: World, deployment: Deployment) -> tuple[Deployment, Target] | None:
        """What is called for a deployment, with another model where it says so. Raises ConfigError."""
        model = deployment.model_info.get("health_check_model")
        if not isinstance(model, str):
            if ANY in deployment.model_name:
                return None
            if (problem := world.problems.get(deployment.id)) is not None:
                raise ConfigError(problem)
            return deployment, world.targets[deployment.id]
        known = self._stand_ins.get(deployment.id)
        stand_in = structs.replace(
            deployment, id=f"{deployment.id}:{model}", model=model, params={**deployment.params, "model": model}
        )
        if known is None or known[0] != stand_in:
            known = self._stand_ins[deployment.id] = (stand_in, self._resolve(stand_in))
        return known

    async def _call(self, world: World, deployment: Deployment, target: Target) -> str | None:
        """Call a deployment; what is wrong, None when it has answered."""
        operation = "chat" if "chat" in target.dialects else "embeddings"
        group = f"health-check/{deployment.id}"
        question = {"messages": _QUESTION, "max_tokens": 1} if operation == "chat" else {"input": "ping"}
        stated = deployment.model_info.get("health_check_timeout")
        seconds = stated if isinstance(stated, int | float) else _TIMEOUT_SECONDS
        route = self._routes.find(_PATHS[operation])
        assert route is not None
        pinned = structs.replace(self._rooms, world=lambda: _pin(world, group, deployment, target))
        inside = _Inside(self._key, _PATHS[operation], {"model": group, **question}, seconds)
        await live(Exchange(inside.scope), route, pinned)
        if inside.status == 200:
            return None
        said = self._rooms.access.traffic.state(target).last_error
        return said or inside.error()


def _pin(world: World, group: str, deployment: Deployment, target: Target) -> World:
    """A world in which a group has this deployment only, and nothing stands in for it."""
    snapshot = structs.replace(
        world.snapshot,
        groups={**world.snapshot.groups, group: (deployment,)},
        failover=False,
        default_fallbacks=(),
        num_retries=0,
        enable_tag_filtering=False,
        queue=QueueSettings(max_seconds=0),
    )
    return structs.replace(world, snapshot=snapshot, targets={**world.targets, deployment.id: target})


class _Inside:
    """The client of a call that comes from within, which does not hang up: its line, and what was answered."""

    def __init__(self, key: str, path: str, body: Mapping[str, object], seconds: float) -> None:
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [
                (b"authorization", f"Bearer {key}".encode()),
                (b"content-type", b"application/json"),
                (b"x-sekisho-agent", _AGENT),
                (b"x-litellm-num-retries", b"0"),
                (b"x-litellm-timeout", str(seconds).encode()),
            ],
            "extensions": {LINE: self},
        }
        self.status = 0
        self.full = False
        self._answer = b""
        self._request = msgspec.json.encode(body)

    def take_whole_body(self) -> bytes:
        """See `http.asgi.Line`."""
        return self._request

    async def read_body(self, cap: int, silence: float) -> bytes:
        """The whole request is there from the beginning."""
        return self._request

    async def receive(self) -> Message:
        """See `http.asgi.Line`."""
        return {"type": "http.request", "body": self._request}

    def on_hangup(self, act: Callable[[], None] | None) -> None:
        """See `http.asgi.Line`."""

    def on_room(self, act: Callable[[], None]) -> None:
        """See `http.asgi.Line`."""

    def begin(self, status: int, headers: HeaderPairs) -> None:
        """Take the status."""
        self.status = status

    def write(self, part: bytes) -> bool:
        """Take a part of the answer."""
        self._answer += part
        return False

    def finish(self, last: bytes = b"") -> None:
        """Take the last part."""
        self._answer += last

    def answer(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        """Take the whole answer."""
        self.status, self._answer = status, body

    def error(self) -> str:
        """What the answer says is wrong."""
        try:
            return str(msgspec.json.decode(self._answer)["error"]["message"])
        except (msgspec.DecodeError, KeyError, TypeError):
            return f"status {self.status}"
