"""Who is calling: from the headers of a request to a `Caller`."""

import asyncio
import contextlib
import hmac
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NoReturn

from msgspec import Struct, structs

from sekisho.config.snapshot import Snapshot
from sekisho.core.caller import Caller, Scope, ScopeKind
from sekisho.core.clock import Clock
from sekisho.core.errors import AccessDenied, InvalidRequest, StoreUnavailable, Unauthenticated
from sekisho.identity.aws_keys import KeyPair, SignedCallers
from sekisho.identity.callers import ModelGroups, caller_from, levels_of, scope_from
from sekisho.identity.credential import Credential, Headers, find_credential
from sekisho.identity.keys import hash_key
from sekisho.identity.memory import CAPACITY, FRESH, FRESH_UNKNOWN, Memory, Reading, Row
from sekisho.identity.sigv4 import SignedMessage
from sekisho.store.customers import CustomerDefaults
from sekisho.store.engine import Store
from sekisho.store.limits import changes_at
from sekisho.store.records import CustomerRecord, TagRecord

_log = logging.getLogger(__name__)

POLL: Final = 0.5
"""Seconds between two looks at the change counter."""
MOST_TAGS: Final = 50
"""Tags that one call can carry: each is a scope that is looked up and booked."""

_MOST_WIDENED: Final = 10_000

_FAR_REACHING: Final = frozenset({"budgets", "access_groups"})
"""Tables whose rows so many others refer to that a change makes everything doubtful."""
_NOBODY: Final = Scope(kind="installation", id="all")


class _Known(Struct, frozen=True, gc=False):
    """What is remembered of a key; `caller` None means that it is unknown, `blocked` says who is blocked.

    expires: when the first of the levels that it belongs to does, and which that is.
    """

    caller: Caller | None
    expires: tuple[float, str] | None = None
    blocked: str | None = None


class _Named(Struct, frozen=True, gc=False):
    """What is remembered of a customer or a tag, also of one that is not known."""

    scope: Scope
    blocked: bool = False
    expires: float | None = None


class Identity:
    """Authenticates callers from memory, and reads the store only for keys that are new or may have changed.

    An administrative change makes doubtful what depends on the rows that it changed: one by this process at once, one
    by another process half a second later. While the database is away, what is remembered goes on counting.

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
        self._keys = Memory(self._read_key, _rows_of_key, clock)
        self._names = Memory(self._read_named, _rows_of_named, clock)
        self._shared: dict[tuple[ScopeKind, str], Scope] = {}
        """Scopes that several callers have."""
        self._widened: dict[tuple[int, ...], tuple[Caller, Caller, Sequence[Scope]]] = {}
        self._followers: list[Callable[[], None]] = []
        self._counter: int | None = None
        self._poll: asyncio.Task[None] | None = None
        store.follow(self._doubt)

    def follow(self, tell: Callable[[], None]) -> None:
        """Have `tell` called after administrative changes, too: those of other processes, and of this one."""
        self._followers.append(tell)

    def use_groups(self, groups: ModelGroups) -> None:
        """Let access groups of the configuration stand for these models from now on."""
        if groups != self._groups:
            self._groups = groups
            self._doubt()

    def use_installation(self, installation: Scope) -> None:
        """Let every call belong to this widest scope from now on."""
        if installation != self._installation:
            self._installation = installation
            self._master_caller = Caller(role="proxy_admin", scopes=(installation,))
            self._doubt()

    def use_defaults(self, snapshot: Snapshot) -> None:
        """Let end users and tags without limits of their own have those of the configuration from now on."""
        customers, tags = self._store.customers, self._store.tags
        of_customers = CustomerDefaults(snapshot.end_user_budget_id, snapshot.end_user_budget)
        if (of_customers, snapshot.tag_budgets) != (customers.defaults, tags.defaults):
            customers.defaults, tags.defaults = of_customers, snapshot.tag_budgets
            self._doubt()

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

    def _doubt(self, rows: Sequence[Row] | None = None) -> None:
        """Doubt what depends on rows that were changed; everything without them."""
        if rows is not None and any(table in _FAR_REACHING for table, _ in rows):
            rows = None
        self._keys.doubt(rows)
        self._names.doubt(rows)

    def _share(self, scope: Scope) -> Scope:
        """The same scope, in the memory of an equal one if there is one: a team has many keys."""
        known = self._shared.get((scope.kind, scope.id))
        if known == scope:
            return known
        if len(self._shared) >= CAPACITY:
            self._shared.clear()
        self._shared[scope.kind, scope.id] = scope
        return scope

    async def authenticate(self, headers: Headers) -> Caller:
        """The caller that these headers (names in lower case) prove. Raises as `recognise`, also for a signature."""
        credential = find_credential(headers)
        if credential.signature is not None:
            raise Unauthenticated("Signed requests open the model endpoints only. Send a key as bearer token here.")
        return await self.recognise(credential)

    def recall(self, credential: Credential) -> Caller | None:
        """The caller of a key that is remembered and may be used: the usual case. None: `recognise` tells more."""
        key_hash = credential.key_hash
        known = None if key_hash is None else self._keys.peek(key_hash)
        return None if known is None else self._find_valid(known)

    async def recognise(self, credential: Credential) -> Caller:
        """The caller of what a request's headers say.

        If that is a signature, it only tells who the caller claims to be: nothing may be done for the caller before
        `prove`, once the body is there.

        Raises:
            Unauthenticated: no key, or one that is unknown, expired or blocked; or a signature that is not accepted.
            StoreUnavailable: the key is not remembered and the database is away.
        """
        key_hash, shown = credential.key_hash, credential.shown
        if credential.signature is not None:
            key_hash, shown = self._signed.identify(credential.signature)
        elif key_hash is None:
            raise Unauthenticated("No API key was sent. Send your virtual key as 'Authorization: Bearer sk-...'.")
        elif self._master is not None and hmac.compare_digest(key_hash, self._master):
            return self._master_caller
        known = await self._keys.get(key_hash)
        return self._find_valid(known) or _refuse(known, shown)

    async def widen(self, caller: Caller, end_user: str | None, tags: Sequence[str]) -> Caller:
        """The caller with the scopes that only a request tells: its end user, its tags and those of its key.

        Raises:
            AccessDenied: the end user or a tag is blocked, or has expired.
            InvalidRequest: there are too many tags.
            StoreUnavailable: one of them is not remembered and the database is away.
        """
        names: list[tuple[ScopeKind, str]] = [] if end_user is None else [("customer", end_user)]
        names += [("tag", tag) for tag in dict.fromkeys([*caller.tags, *tags])]
        if len(names) > MOST_TAGS:
            raise InvalidRequest(f"A call can carry at most {MOST_TAGS} tags.", param="tags")
        found = [self._names.peek(name) or await self._names.get(name) for name in names]
        for named in found:
            if named.blocked or (named.expires is not None and named.expires <= self._clock.now()):
                how = "is blocked" if named.blocked else "has expired"
                raise AccessDenied(f"The {named.scope.kind} '{named.scope.id}' {how}. Ask your administrator.")
        return self._add_scopes(caller, [named.scope for named in found])

    def _add_scopes(self, caller: Caller, more: Sequence[Scope]) -> Caller:
        """The caller with more scopes; the same ones give the same caller, whose limits are worked out once."""
        key = (id(caller), *map(id, more))
        if (known := self._widened.get(key)) is not None:
            return known[0]
        if len(self._widened) >= _MOST_WIDENED:
            self._widened.clear()
        *narrower, installation = caller.scopes
        widened = structs.replace(caller, scopes=(*narrower, *more, installation))
        self._widened[key] = (widened, caller, more)  # kept, so that no others can come to have their identity
        return widened

    def prove(self, signature: str, method: str, raw_path: bytes, query: bytes, headers: Headers, body: bytes) -> None:
        """Check the signature over a whole request.

        Args:
            signature: The one among its headers (`Credential.signature`).
            method: In upper case.
            raw_path: As it was sent, percent-encoded; a query at its end is cut off.
            query: The raw query string, without the question mark.
            headers: Names in lower case.
            body: The whole body.

        Raises:
            Unauthenticated: The signature is not that of the access key's secret, or too old.
        """
        message = SignedMessage(
            method=method,
            raw_path=raw_path.partition(b"?")[0].decode("latin-1"),
            query=query.decode("latin-1"),
            headers=_join_headers(headers),
            body=body,
        )
        self._signed.prove(signature, message)

    def issue_key_pair(self, key_hash: str) -> KeyPair:
        """The AWS key pair with which requests can be signed in the name of a virtual key.

        Raises:
            InvalidRequest: this gateway has no master key, which such pairs are derived from.
        """
        return self._signed.issue(key_hash)

    def _find_valid(self, known: _Known) -> Caller | None:
        """The caller of a key that may be used now."""
        if known.blocked or (known.expires and known.expires[0] <= self._clock.now()):
            return None
        return known.caller

    async def _read_key(self, key_hash: str) -> Reading[_Known]:
        access = await self._store.keys.access(key_hash)
        if access is None:
            return Reading(_Known(None), FRESH_UNKNOWN, waits=True)
        now = self._clock.now()
        caller = caller_from(access, now, self._groups)
        of_key, *wider = caller.scopes
        scopes = (of_key, *(self._share(scope) for scope in wider), self._installation)
        caller = structs.replace(caller, scopes=scopes)
        levels = levels_of(access)
        expires = min(((end, name) for name, level in levels if (end := level.expires) is not None), default=None)
        known = _Known(caller, expires, next((name for name, level in levels if level.blocked), None))
        if access.stale_at is None:
            return Reading(known)
        return Reading(known, min(FRESH, max(0.0, access.stale_at - now)), waits=True)

    async def _read_named(self, name: tuple[ScopeKind, str]) -> Reading[_Named]:
        """A customer or a tag."""
        kind, identity = name
        record: CustomerRecord | TagRecord
        if kind == "customer":
            record = await self._store.customers.effective(identity)
        else:
            record = await self._store.tags.effective(identity)
        now = self._clock.now()
        alias = record.alias if isinstance(record, CustomerRecord) else None
        scope = scope_from(kind, identity, alias, record, now, self._groups)
        named = _Named(scope, record.blocked, record.expires)
        stale_at = changes_at([record], now)
        return Reading(named) if stale_at is None else Reading(named, min(FRESH, stale_at - now), waits=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            try:
                before, rows = self._counter, None
                if before is None:
                    self._counter = await self._store.changes()
                else:
                    self._counter, rows = await self._store.changes_after(before)
            except StoreUnavailable as error:
                _log.warning("changes by other processes cannot be seen: %s", error.__cause__)
                continue
            if self._counter != before:
                self._doubt(rows)
                for tell in self._followers:
                    tell()


def _rows_of_key(key_hash: str, known: _Known) -> Iterator[Row] | None:
    """The rows that a caller was read from, and those that would have been read if they were there.

    Of an unknown key there are none: it may become known in more than one way.
    """
    return None if known.caller is None else _rows_of_caller(key_hash, known.caller)


def _rows_of_caller(key_hash: str, caller: Caller) -> Iterator[Row]:
    yield "keys", key_hash
    yield "keys", caller.key_hash or ""
    yield "users", caller.user_id or ""
    yield "teams", caller.team_id or ""
    yield "team_members", f"{caller.team_id}/{caller.user_id}"
    yield "projects", caller.project_id or ""
    yield "organizations", caller.organization_id or ""
    yield "organization_members", f"{caller.organization_id}/{caller.user_id}"


def _rows_of_named(name: tuple[ScopeKind, str], _named: _Named) -> tuple[Row]:
    kind, identity = name
    return ((f"{kind}s", identity),)


def _join_headers(headers: Headers) -> dict[str, str]:
    """Headers as they are signed: those of one name joined by commas."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _refuse(known: _Known, shown: str) -> NoReturn:
    if known.caller is None:
        message = "This API key is not known here. Check that it is complete, or ask your administrator for a new one."
        raise Unauthenticated(message, kind="token_not_found_in_db", param="key")
    if known.blocked:
        blocked = "This API key" if known.blocked == "key" else f"The {known.blocked} of this API key"
        raise Unauthenticated(f"{blocked} is blocked. Ask your administrator.")
    if known.expires is not None and known.expires[1] != "key":
        message = f"The {known.expires[1]} of this API key has expired. Ask your administrator."
        raise Unauthenticated(message, kind="expired_key")
    message = f"The API key {shown} has expired. Ask your administrator for a new one."
    raise Unauthenticated(message, kind="expired_key", param=shown)
