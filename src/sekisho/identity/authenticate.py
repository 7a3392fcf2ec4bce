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
from sekisho.identity.aws_keys import KeyPair, SignedCallers, is_signature
from sekisho.identity.callers import caller_from
from sekisho.identity.keys import hash_key, mask_key
from sekisho.identity.sigv4 import SignedMessage
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

Headers = Sequence[tuple[bytes, bytes]]
"""A request's headers, names in lower case."""

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
        self._signed = SignedCallers(clock, master_key)
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

    async def authenticate(self, headers: Headers, *, signed_ok: bool = False) -> Caller:
        """The caller that these headers (names in lower case) prove.

        Of a request that is signed as AWS's SDKs sign, they only tell the caller: it is proven by `prove`, once the
        body is there. Who says `signed_ok` says that it will call that before it does anything for the caller.

        Raises:
            Unauthenticated: no key, or one that is unknown, expired or blocked; or a signature that is not accepted.
            StoreUnavailable: the key is not remembered and the database is away.
        """
        key = find_key(headers)
        if key is None:
            raise Unauthenticated("No API key was sent. Send your virtual key as 'Authorization: Bearer sk-...'.")
        if is_signature(key):
            if not signed_ok:
                raise Unauthenticated("Signed requests open the model endpoints only. Send a key as bearer token here.")
            return await self._find_caller(*self._signed.identify(key))
        key_hash = hash_key(key)
        if self._master is not None and hmac.compare_digest(key_hash, self._master):
            return _MASTER
        return await self._find_caller(key_hash, mask_key(key))

    def is_signed(self, headers: Headers) -> bool:
        """Whether a request has still to be proven by its signature."""
        key = find_key(headers)
        return key is not None and is_signature(key)

    def prove(self, method: str, raw_path: bytes, query: bytes, headers: Headers, body: bytes) -> None:
        """Check the signature over a whole request; nothing is to be checked of one with a bearer key.

        Args:
            method: In upper case.
            raw_path: As it was sent, percent-encoded; a query at its end is cut off.
            query: The raw query string, without the question mark.
            headers: Names in lower case.
            body: The whole body.

        Raises:
            Unauthenticated: The signature is not that of the access key's secret, or too old.
        """
        key = find_key(headers)
        if key is None or not is_signature(key):
            return
        message = SignedMessage(
            method=method,
            raw_path=raw_path.partition(b"?")[0].decode("latin-1"),
            query=query.decode("latin-1"),
            headers=_join_headers(headers),
            body=body,
        )
        self._signed.prove(key, message)

    def issue_key_pair(self, key_hash: str) -> KeyPair:
        """The AWS key pair with which requests can be signed in the name of a virtual key.

        Raises:
            InvalidRequest: this gateway has no master key, which such pairs are derived from.
        """
        return self._signed.issue(key_hash)

    async def _find_caller(self, key_hash: str, shown: str) -> Caller:
        """The caller of a key; `shown` is what the key may be called in errors."""
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
            _refuse(entry, shown)
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


def find_key(headers: Headers) -> str | None:
    """The key in these headers, with or without `Bearer`, or the whole of a signature; None if there is none."""
    best, best_rank = b"", len(_RANKS)
    for name, value in headers:
        rank = _RANKS.get(name, best_rank)
        if rank < best_rank and value.strip():
            best, best_rank = value.strip(), rank
    scheme, _, rest = best.partition(b" ")
    if rest and scheme.lower() == b"bearer":
        best = rest.strip()
    return best.decode("latin-1") or None


def _join_headers(headers: Headers) -> dict[str, str]:
    """Headers as they are signed: those of one name joined by commas."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _refuse(entry: _Entry, shown: str) -> NoReturn:
    if entry.caller is None:
        message = "This API key is not known here. Check that it is complete, or ask your administrator for a new one."
        raise Unauthenticated(message, kind="token_not_found_in_db", param="key")
    if entry.blocked:
        blocked = "This API key" if entry.blocked == "key" else f"The {entry.blocked} of this API key"
        raise Unauthenticated(f"{blocked} is blocked. Ask your administrator.")
    message = f"The API key {shown} has expired. Ask your administrator for a new one."
    raise Unauthenticated(message, kind="expired_key", param=shown)
