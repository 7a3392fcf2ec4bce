"""Who is calling: from the headers of a request to a `Caller`."""

import asyncio
import contextlib
import hmac
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NoReturn

from msgspec import Struct

from sekisho.core.caller import Caller
from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable, Unauthenticated
from sekisho.identity.callers import caller_from
from sekisho.identity.keys import hash_key, mask_key
from sekisho.store.engine import Store

_log = logging.getLogger(__name__)

POLL: Final = 0.5
"""Seconds between two looks at the change counter."""
CAPACITY: Final = 50_000
"""Keys remembered, known and unknown together."""
FRESH: Final = 60.0
"""Seconds after which a record is read again in the background even if nothing was changed: its spend moves on."""
FRESH_UNKNOWN: Final = 5.0
"""Seconds for which an unknown key is not looked up again."""

_RANKS: Final = {
    b"x-litellm-api-key": 0,
    b"authorization": 1,
    b"api-key": 2,
    b"x-api-key": 3,
    b"x-goog-api-key": 4,
    b"ocp-apim-subscription-key": 5,
}
"""Where a key may stand; the first of them that is there counts (LiteLLM's order)."""
_MASTER: Final = Caller(role="proxy_admin")


class _Entry(Struct):
    """What is remembered of a key; `caller` None means that it is unknown, `blocked` says who is blocked."""

    caller: Caller | None
    expires: float | None
    blocked: str | None
    generation: int
    fresh_until: float


class Identity:
    """Authenticates callers from memory, and reads the store only for keys that are new or may have changed.

    Every administrative change makes all that is remembered doubtful at once: a local one through `invalidate`, one
    by another process through the change counter, half a second later. While the database is away, what is
    remembered goes on counting.
    """

    def __init__(self, store: Store, clock: Clock, master_key: str | None) -> None:
        self._store = store
        self._clock = clock
        self._master = None if master_key is None else hash_key(master_key)
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._loading: dict[tuple[str, int], asyncio.Task[_Entry]] = {}
        self._generation = 0
        self._counter: int | None = None
        self._poll: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch for changes by other processes."""
        with contextlib.suppress(StoreUnavailable):
            self._counter = await self._store.changes()
        self._poll = asyncio.create_task(self._watch(), name="identity-watch")

    async def close(self) -> None:
        """Stop watching."""
        tasks = [*self._loading.values(), *([self._poll] if self._poll else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def invalidate(self) -> None:
        """Doubt everything that is remembered; call it after each administrative change."""
        self._generation += 1

    async def authenticate(self, headers: Sequence[tuple[bytes, bytes]]) -> Caller:
        """The caller that these headers (names in lower case) prove.

        Raises:
            Unauthenticated: no key, or one that is unknown, expired or blocked.
            StoreUnavailable: the key is not remembered and the database is away.
        """
        key = find_key(headers)
        if key is None:
            raise Unauthenticated("No API key was sent. Send your virtual key as 'Authorization: Bearer sk-...'.")
        key_hash = hash_key(key)
        if self._master is not None and hmac.compare_digest(key_hash, self._master):
            return _MASTER
        entry = self._entries.get(key_hash)
        if entry is None or entry.generation != self._generation:
            entry = await asyncio.shield(self._load(key_hash))
        else:
            self._entries.move_to_end(key_hash)
        if entry.fresh_until <= self._clock.monotonic():
            loading = self._load(key_hash)
            entry = await asyncio.shield(loading) if entry.caller is None else entry
        caller = entry.caller
        if caller is None or entry.blocked or (entry.expires is not None and entry.expires <= self._clock.now()):
            _refuse(entry, key)
        return caller

    def _load(self, key_hash: str) -> "asyncio.Task[_Entry]":
        """Read a key from the store, once however many ask for it between two administrative changes."""
        wanted = (key_hash, self._generation)
        task = self._loading.get(wanted)
        if task is None:
            task = self._loading[wanted] = asyncio.create_task(self._read(key_hash))
            task.add_done_callback(lambda done: self._loaded(wanted, done))
        return task

    def _loaded(self, wanted: tuple[str, int], task: "asyncio.Task[_Entry]") -> None:
        del self._loading[wanted]
        if not task.cancelled():
            task.exception()  # looked at here, because a background refresh has nobody else to look

    async def _read(self, key_hash: str) -> _Entry:
        generation, known = self._generation, self._entries.get(key_hash)
        try:
            access = await self._store.keys.access(key_hash)
        except StoreUnavailable:
            if known is None:
                raise
            # A little while without asking again: each attempt may take seconds.
            known.generation, known.fresh_until = generation, self._clock.monotonic() + FRESH_UNKNOWN
            return known
        fresh_until = self._clock.monotonic() + (FRESH_UNKNOWN if access is None else FRESH)
        entry = _Entry(None, None, None, generation, fresh_until)
        if access is not None:
            entry.caller = caller_from(access)
            entry.expires = access.key.expires
            entry.blocked = next(
                (
                    name
                    for name, record in (("key", access.key), ("team", access.team), ("user", access.user))
                    if record is not None and record.blocked
                ),
                None,
            )
        self._entries[key_hash] = entry
        self._entries.move_to_end(key_hash)
        while len(self._entries) > CAPACITY:
            self._entries.popitem(last=False)
        return entry

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            try:
                counter = await self._store.changes()
            except StoreUnavailable as error:
                _log.warning("changes by other processes cannot be seen: %s", error.__cause__)
                continue
            if counter != self._counter:
                self._counter = counter
                self.invalidate()


def find_key(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """The key in these headers, with or without `Bearer`; None if there is none."""
    best, best_rank = b"", len(_RANKS)
    for name, value in headers:
        rank = _RANKS.get(name, best_rank)
        if rank < best_rank and value.strip():
            best, best_rank = value.strip(), rank
    scheme, _, rest = best.partition(b" ")
    if rest and scheme.lower() == b"bearer":
        best = rest.strip()
    return best.decode("latin-1") or None


def _refuse(entry: _Entry, key: str) -> NoReturn:
    if entry.caller is None:
        message = "This API key is not known here. Check that it is complete, or ask your administrator for a new one."
        raise Unauthenticated(message, kind="token_not_found_in_db", param="key")
    if entry.blocked:
        blocked = "This API key" if entry.blocked == "key" else f"The {entry.blocked} of this API key"
        raise Unauthenticated(f"{blocked} is blocked. Ask your administrator.")
    masked = mask_key(key)
    message = f"The API key {masked} has expired. Ask your administrator for a new one."
    raise Unauthenticated(message, kind="expired_key", param=masked)
