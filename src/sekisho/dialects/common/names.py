"""Tool names and ids that an upstream accepts, for those of clients that it does not."""

import re
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_-]")
CONVERSE_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
"""What Bedrock's Converse takes as the id of a tool call, by its service model."""
_READABLE_LENGTH = 50


def is_allowed_name(name: str, longest: int = 64) -> bool:
    """Whether upstreams take a tool of this name: letters, digits, `_` and `-`, `longest` of them at most."""
    return len(name) <= longest and _NAME.fullmatch(name) is not None


class ToolNames:
    """Tool names as they go over the wire: the client's own where allowed, else a stable alias.

    An alias depends only on the name, so that a conversation's prefix stays the same from call to call and its prompt
    cache holds. Letters, digits, `_` and `-` are allowed everywhere; `longest` is how many of them.
    """

    def __init__(self, names: Iterable[str], longest: int = 64) -> None:
        self._longest = longest
        self._wire = {name: name for name in names if is_allowed_name(name, longest)}
        self._taken = set(self._wire)
        self._changed: dict[str, str] = {}

    def copy(self) -> "ToolNames":
        """The same names, to which others can be added."""
        other = ToolNames((), self._longest)
        other._wire = self._wire.copy()
        other._taken = self._taken.copy()
        other._changed = self._changed.copy()
        return other

    def to_wire(self, name: str) -> str:
        """The name to send for a client's name."""
        known = self._wire.get(name)
        if known is None:
            known = name if is_allowed_name(name, self._longest) and name not in self._taken else self._make_alias(name)
            self._wire[name] = known
            self._taken.add(known)
            if known != name:
                self._changed[known] = name
        return known

    @property
    def known(self) -> tuple[str, ...]:
        """The client's names so far."""
        return tuple(self._wire)

    @property
    def changed(self) -> dict[str, str]:
        """The client's name of every tool whose name was changed, by its changed name."""
        return self._changed

    def _make_alias(self, name: str) -> str:
        readable = _NOT_IN_NAME.sub("_", name)[:_READABLE_LENGTH]
        digest = sha256(name.encode()).hexdigest()
        # A client may have given another tool the very name that this alias would get: then the digest moves on.
        aliases = (f"{readable}_{digest[at : at + 12]}" for at in range(len(digest)))
        return next(alias for alias in aliases if alias not in self._taken)


class CallIds:
    """Ids of tool calls as they go over the wire: allowed (`pattern`), and unique in the conversation."""

    def __init__(self, pattern: re.Pattern[str] = CONVERSE_ID) -> None:
        self._pattern = pattern
        self._given: dict[str, int] = {}

    @classmethod
    def after(cls, call_ids: Iterable[str]) -> "CallIds":
        """The ids of calls after others, which have these."""
        ids = cls()
        ids._given.update(Counter(call_ids))
        return ids

    def assign(self, call_id: str) -> str:
        """The id to send for the next call that the client knows as `call_id`."""
        times = self._given.get(call_id, 0)
        self._given[call_id] = times + 1
        if times == 0 and self._pattern.fullmatch(call_id):
            return call_id
        # 40 characters in all, which is the most that OpenAI takes.
        return "call_" + sha256(f"{times}:{call_id}".encode()).hexdigest()[:35]
