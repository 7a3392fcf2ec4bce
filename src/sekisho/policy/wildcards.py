"""Model names with `*`: which one a name falls under, and the deployments that it stands for then.

As in LiteLLM each `*` matches any text, and what it matched takes the place of the `*`s in the deployment's `model`, in
order. Of several patterns the one with the most letters that are not `*` counts.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from msgspec.structs import replace

from sekisho.config.snapshot import Deployment, Snapshot

_LONGEST_NAME = 256
ANY = "*"


def find_patterns(snapshot: Snapshot, name: str) -> Iterable[str]:
    """The model names with `*` that a name falls under, the most specific first."""
    if not snapshot.wildcards or ANY in name or len(name) > _LONGEST_NAME or not name.isprintable():
        return ()
    return (pattern for pattern in snapshot.wildcards if _compile(pattern).fullmatch(name))


def expand(snapshot: Snapshot, pattern: str, name: str) -> tuple[Deployment, ...]:
    """The deployments that serve `name`, which falls under `pattern`."""
    found = _compile(pattern).fullmatch(name)
    assert found is not None
    return tuple(_stand_for(deployment, name, found.groups()) for deployment in snapshot.groups[pattern])


def _stand_for(deployment: Deployment, name: str, parts: tuple[str, ...]) -> Deployment:
    """One deployment of a wildcard as it serves one model; its id is its own, for models fail one by one."""
    model = _fill(deployment.model, name, parts)
    return replace(
        deployment,
        id=f"{deployment.id}:{name}",
        model_name=name,
        model=model,
        params={**deployment.params, "model": model},
    )


def _fill(model: str, name: str, parts: tuple[str, ...]) -> str:
    if ANY not in model:
        return model
    if len(parts) > model.count(ANY):
        return name
    for part in parts:
        model = model.replace(ANY, part, 1)
    return model


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile("(.*)".join(map(re.escape, pattern.split(ANY))))
