"""Who is calling: from the headers of a request to a `Caller`."""

import asyncio
import contextlib
import hmac
import logging
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from msgspec import Struct, structs

from sekisho.core.caller import Caller, Scope, ScopeKind
from sekisho.core.clock import Clock
from sekisho.core.errors import AccessDenied, InvalidRequest, StoreUnavailable, Unauthenticated
from sekisho.identity.aws_keys import KeyPair, SignedCallers, is_signature
from sekisho.identity.callers import ModelGroups, caller_from, scope_from
from sekisho.identity.keys import hash_key, mask_key
from sekisho.identity.memory import FRESH, FRESH_UNKNOWN, Memory, Reading
from sekisho.identity.sigv4 import SignedMessage
from sekisho.store.engine import Store
from sekisho.store.limits import changes_at
from sekisho.store.records import Access, CustomerRecord, TagRecord

_log = logging.getLogger(__name__)

POLL: Final = 0.5
"""Seconds between two looks at the change counter."""
MOST_TAGS: Final = 50
"""Tags that one call can carry: each is a scope that is looked up and booked."""

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
_NOBODY: Final = Scope(kind="installation", id="all")


class _Known(Struct, frozen=True):
    """What is remembered of a key; `caller` None means that it is unknown, `blocked` says who is blocked."""

    caller: Caller | None
    expires: float | None = None
    blocked: str | None = None


class _Named(Struct, frozen=True):
    """What is remembered of a customer or a tag, also of one that is not known: then it has no limits."""

    scope: Scope
    blocked: bool = False


class Identity:
    """Authenticates callers from memory, and reads the store only for keys that are new or may have changed.

    Every administrative change makes all that is remembered doubtful at once: a local one through `invalidate`, one
    by another process through the change counter, half a second later. While the database is away, what is
    remembered goes on counting.

    Args:
        store: where keys are.
        clock: the source of time.
        master_key: the administrator's.
        installation: the widest scope, which every call belongs to.
        groups: the models that access groups of the configuration stand for.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        master_key: str | None,
        installation: Scope = _NOBODY,
        groups: ModelGroups | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._master = None if master_key is None else hash_key(master_key)
        self._signed = SignedCallers(clock, master_key)
        self._installation = installation
        self._master_caller = Caller(role="proxy_admin", scopes=(installation,))
        self._groups = groups or {}
        self._keys = Memory(self._read_key, clock)
        self._names = Memory(self._read_named, clock)
        self._followers: list[Callable[[], None]] = []
        self._counter: int | None = None
        self._poll: asyncio.Task[None] | None = None

    def follow(self, tell: Callable[[], None]) -> None:
        """Have `tell` called after administrative changes, too: those of other processes, and of this one."""
        self._followers.append(tell)

    def use_groups(self, groups: ModelGroups) -> None:
        """Let access groups of the configuration stand for these models from now on."""
        if groups != self._groups:
            self._groups = groups
            self.invalidate()

    async def start(self) -> None:
        """Begin to watch for changes by other processes."""
        with contextlib.suppress(StoreUnavailable):
            self._counter = await self._store.changes()
        self._poll = asyncio.create_task(self._watch(), name="identity-watch")

    async def close(self) -> None:
        """Stop watching."""
        if self._poll is not None:
            self._poll.cancel()
            await asyncio.gather(self._poll, return_exceptions=True)
        await self._keys.close()
        await self._names.close()

    def invalidate(self) -> None:
        """Doubt everything that is remembered; call it after each administrative change."""
        self._keys.doubt()
        self._names.doubt()

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
            return self._master_caller
        return await self._find_caller(key_hash, mask_key(key))

    async def widen(self, caller: Caller, end_user: str | None, tags: Sequence[str]) -> Caller:
        """The caller with the scopes that only a request tells: its end user, its tags and those of its key.

        Raises:
            AccessDenied: the end user is blocked.
            InvalidRequest: there are too many tags.
            StoreUnavailable: one of them is not remembered and the database is away.
        """
        names: list[tuple[ScopeKind, str]] = [] if end_user is None else [("customer", end_user)]
        names += [("tag", tag) for tag in dict.fromkeys([*caller.tags, *tags])]
        if not names:
            return caller
        if len(names) > MOST_TAGS:
            raise InvalidRequest(f"A call can carry at most {MOST_TAGS} tags.", param="tags")
        found = [await self._names.get(name) for name in names]
        for named in found:
            if named.blocked:
                raise AccessDenied(f"The {named.scope.kind} '{named.scope.id}' is blocked. Ask your administrator.")
        *narrower, installation = caller.scopes
        return structs.replace(caller, scopes=(*narrower, *(named.scope for named in found), installation))

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
        known = await self._keys.get(key_hash)
        caller = known.caller
        if caller is None or known.blocked or (known.expires is not None and known.expires <= self._clock.now()):
            _refuse(known, shown)
        return caller

    async def _read_key(self, key_hash: str) -> Reading[_Known]:
        access = await self._store.keys.access(key_hash)
        if access is None:
            return Reading(_Known(None), FRESH_UNKNOWN, waits=True)
        now = self._clock.now()
        caller = caller_from(access, now, self._groups)
        caller = structs.replace(caller, scopes=(*caller.scopes, self._installation))
        known = _Known(caller, access.key.expires, _find_blocked(access))
        if access.stale_at is None:
            return Reading(known)
        return Reading(known, min(FRESH, max(0.0, access.stale_at - now)), waits=True)

    async def _read_named(self, name: tuple[ScopeKind, str]) -> Reading[_Named]:
        """A customer or a tag."""
        kind, identity = name
        record: CustomerRecord | TagRecord | None
        if kind == "customer":
            record = await self._store.customers.effective(identity)
        else:
            record = await self._store.tags.effective(identity)
        if record is None:
            return Reading(_Named(Scope(kind=kind, id=identity)))
        now = self._clock.now()
        alias, blocked = (record.alias, record.blocked) if isinstance(record, CustomerRecord) else (None, False)
        named = _Named(scope_from(kind, identity, alias, record, now, self._groups), blocked)
        stale_at = changes_at([record], now)
        return Reading(named) if stale_at is None else Reading(named, min(FRESH, stale_at - now), waits=True)

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
                for tell in self._followers:
                    tell()


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


def _find_blocked(access: Access) -> str | None:
    """Which of those that a key belongs to is blocked, if one is."""
    levels = {
        "key": access.key,
        "team": access.team,
        "user": access.user,
        "project": access.project,
        "organization": access.organization,
    }
    return next((name for name, record in levels.items() if record is not None and record.blocked), None)


def _refuse(known: _Known, shown: str) -> NoReturn:
    if known.caller is None:
        message = "This API key is not known here. Check that it is complete, or ask your administrator for a new one."
        raise Unauthenticated(message, kind="token_not_found_in_db", param="key")
    if known.blocked:
        blocked = "This API key" if known.blocked == "key" else f"The {known.blocked} of this API key"
        raise Unauthenticated(f"{blocked} is blocked. Ask your administrator.")
    message = f"The API key {shown} has expired. Ask your administrator for a new one."
    raise Unauthenticated(message, kind="expired_key", param=shown)
