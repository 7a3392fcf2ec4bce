"""Tag routing: which deployments of a model are for a call, by its tags. The rules are LiteLLM's."""

from collections.abc import Sequence

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.caller import Caller
from sekisho.core.errors import AccessDenied, InvalidRequest

DEFAULT = "default"


def tags_of(caller: Caller, asked: Sequence[str]) -> frozenset[str]:
    """The tags of a call: those of its key and team, and those that the request asks for."""
    return frozenset((*caller.tags, *asked))


def check_client_tags(snapshot: Snapshot, asked: Sequence[str]) -> None:
    """Raises AccessDenied when a request gives tags itself and may not."""
    if asked and snapshot.reject_client_tags:
        raise AccessDenied("Requests may not give tags here; calls have those of their key and team.", param="tags")


def match_tags(snapshot: Snapshot, deployments: tuple[Deployment, ...], tags: frozenset[str]) -> tuple[Deployment, ...]:
    """Those of the deployments that are for calls with these tags; none when all are for others.

    A call with tags goes to deployments that share one with it, or have all of its tags if `tag_filtering_match_any`
    is off; if there is none, to those with the tag `default`. A call without goes to those with the tag `default`,
    or to any when there is none.
    """
    if not snapshot.enable_tag_filtering:
        return deployments
    fallback = tuple(deployment for deployment in deployments if DEFAULT in deployment.tags)
    if not tags:
        return fallback or deployments
    fits = (lambda own: not tags.isdisjoint(own)) if snapshot.tag_filtering_match_any else tags.issubset
    return tuple(deployment for deployment in deployments if fits(deployment.tags)) or fallback


def check_tags(snapshot: Snapshot, group: str, tags: frozenset[str]) -> None:
    """Raises InvalidRequest when all deployments of the group are for calls with other tags."""
    if not match_tags(snapshot, snapshot.groups[group], tags):
        named = ", ".join(sorted(tags))[:200]
        message = f"No deployment of '{group}' is for calls with the tags {named}. Send other tags, or none."
        raise InvalidRequest(message, param="tags")
