"""Which model groups may serve a call in place of the one that was asked for, by the reason why that one does not."""

from collections import deque
from collections.abc import Mapping, Sequence

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.caller import Caller
from sekisho.core.errors import SekishoError, UpstreamRejected
from sekisho.policy.access import may_use
from sekisho.policy.naming import find_group

_Lists = Mapping[str, Sequence[str]]


class Fallbacks(Struct, frozen=True, kw_only=True):
    """Model groups in the order to try them, each once, never the group itself.

    regular: after failures of the upstream. context_window: for prompts that are too long. content_policy: for content
    that the model's filter refuses. `wished` says that the request itself has named the regular ones.
    """

    regular: tuple[str, ...] = ()
    context_window: tuple[str, ...] = ()
    content_policy: tuple[str, ...] = ()
    wished: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        """All of them, each once."""
        if not (self.context_window or self.content_policy):
            return self.regular
        return tuple(dict.fromkeys((*self.regular, *self.context_window, *self.content_policy)))

    def after(self, error: SekishoError) -> tuple[str, ...]:
        """Those that may serve after such a failure."""
        if not isinstance(error, UpstreamRejected) or error.reason == "request":
            return self.regular
        return self.context_window if error.reason == "context_window" else self.content_policy


_NONE = Fallbacks()


def find_fallbacks(snapshot: Snapshot, caller: Caller, group: str, wished: Sequence[str] | None = None) -> Fallbacks:
    """The fallbacks of a group that the caller may use.

    What a request wishes stands in place of the configured regular ones, and only it: it has no fallbacks in turn.
    """
    if not snapshot.failover:
        return _NONE
    if wished is None:
        regular = _follow(snapshot, caller, group, snapshot.fallbacks, snapshot.default_fallbacks)
    else:
        regular = _follow(snapshot, caller, group, {group: wished})
    return Fallbacks(
        regular=regular,
        context_window=_follow(snapshot, caller, group, snapshot.context_window_fallbacks),
        content_policy=_follow(snapshot, caller, group, snapshot.content_policy_fallbacks),
        wished=wished is not None,
    )


def find_budget_fallbacks(snapshot: Snapshot, caller: Caller, group: str) -> tuple[str, ...]:
    """The groups that serve once a budget no longer pays for this one."""
    return _follow(snapshot, caller, group, snapshot.budget_fallbacks) if snapshot.failover else ()


def _follow(
    snapshot: Snapshot, caller: Caller, group: str, lists: _Lists, default: Sequence[str] = ()
) -> tuple[str, ...]:
    """The groups listed for `group`, then those listed for these, and so on; at most `max_fallbacks`.

    What is listed for the group itself comes before the fallbacks of fallbacks. Names that lead nowhere, or back, are
    passed over, and so are groups that the caller may not use, with their fallbacks.
    """
    found: list[str] = []
    waiting = deque(lists.get(group, default))
    while waiting and len(found) < snapshot.max_fallbacks:
        name = find_group(snapshot, waiting.popleft())
        if name is not None and name != group and name not in found and may_use(caller, name):
            found.append(name)
            waiting.extend(lists.get(name, default))
    return tuple(found)
