"""Requests signed by botocore itself, verified here: as they were sent, and tampered with."""

import calendar
import time
from collections.abc import Callable
from typing import Any

import pytest
import pytest_asyncio
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sekisho.core.clock import ManualClock
from sekisho.core.errors import InvalidRequest, Unauthenticated
from sekisho.identity.authenticate import Identity
from sekisho.identity.aws_keys import KeyPair, SignedCallers, read_access_key_id
from sekisho.identity.credential import Credential, Headers, find_credential
from sekisho.identity.keys import hash_key, make_key, mask_key
from sekisho.identity.sigv4 import SignatureFault, SignedMessage, parse_authorization, verify_signature
from sekisho.store.engine import Store
from sekisho.store.records import KeyRecord

MASTER = "sk-master-key-of-the-tests"
PAIR = KeyPair("SKAKTEST", "a/secret+of=tests")
ARN_PATH = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude/converse"


def sign(
    pair: KeyPair = PAIR,
    path: str = "/model/sonnet/converse",
    body: bytes = b'{"messages":[]}',
    *,
    query: str = "",
    token: str | None = None,
    service: str = "bedrock",
    headers: dict[str, str] | None = None,
) -> SignedMessage:
    """A request as botocore signs it."""
    url = f"http://gateway.example:4000{path}" + (f"?{query}" if query else "")
    request = AWSRequest("POST", url, headers={"Content-Type": "application/json", **(headers or {})}, data=body)
    SigV4Auth(Credentials(pair.access_key_id, pair.secret_access_key, token), service, "eu-west-3").add_auth(request)
    sent = {name.lower(): str(value) for name, value in request.headers.items()} | {"host": "gateway.example:4000"}
    return SignedMessage(method="POST", raw_path=path, query=query, headers=sent, body=body)


def signed_at(message: SignedMessage) -> float:
    return calendar.timegm(time.strptime(message.headers["x-amz-date"], "%Y%m%dT%H%M%SZ"))


def verify(message: SignedMessage, secret: str = PAIR.secret_access_key, skew: float = 0) -> None:
    authorization = parse_authorization(message.headers["authorization"])
    verify_signature(message, authorization, secret, service="bedrock", now=signed_at(message) + skew)


def with_headers(message: SignedMessage, **changes: str) -> SignedMessage:
    changed = {name.replace("_", "-"): value for name, value in changes.items()}
    return replace(message, headers={**message.headers, **changed})


class TestSignature:
    @pytest.mark.parametrize(
        "message",
        [
            sign(),
            sign(path=ARN_PATH),
            sign(path="/bedrock/model/my%20model~1/converse-stream"),
            sign(query="b=2&a=1&flag=&c=%2F"),
            sign(body=b""),
            sign(body="世界".encode()),
            sign(token="a session token"),
            sign(headers={"X-Amz-Meta-Note": "  two   spaces "}),
        ],
    )
    def test_what_botocore_signs_is_accepted(self, message: SignedMessage) -> None:
        verify(message)

    def test_headers_may_come_in_any_order_and_more_of_them(self) -> None:
        message = sign()
        shuffled = dict(sorted(message.headers.items(), reverse=True)) | {"x-forwarded-for": "10.0.0.1"}
        verify(replace(message, headers=shuffled))

    def test_host_and_date_are_enough_to_be_signed(self) -> None:
        """Cline signs no more than these two."""
        message = sign()
        signer = SigV4Auth(Credentials(PAIR.access_key_id, PAIR.secret_access_key), "bedrock", "eu-west-3")
        request = AWSRequest("POST", "http://gateway.example:4000/model/sonnet/converse", data=message.body)
        signer.add_auth(request)
        sent = {name.lower(): str(value) for name, value in request.headers.items()}
        assert parse_authorization(sent["authorization"]).signed_headers == ("host", "x-amz-date")
        verify(replace(message, headers={**sent, "host": "gateway.example:4000", "content-type": "text/plain"}))

    @pytest.mark.parametrize("skew", [-300, 299, 300])
    def test_five_minutes_around_the_clock(self, skew: float) -> None:
        verify(sign(), skew=skew)

    @pytest.mark.parametrize(("skew", "words"), [(301, "expired"), (-301, "not yet current"), (86400, "expired")])
    def test_not_more(self, skew: float, words: str) -> None:
        with pytest.raises(SignatureFault, match=words):
            verify(sign(), skew=skew)

    @pytest.mark.parametrize(
        "tamper",
        [
            lambda m: replace(m, body=m.body + b" "),
            lambda m: replace(m, method="GET"),
            lambda m: replace(m, raw_path="/model/opus/converse"),
            lambda m: replace(m, raw_path=m.raw_path.replace("%3A", ":")),
            lambda m: replace(m, query="x=1"),
            lambda m: with_headers(m, host="elsewhere.example"),
            lambda m: with_headers(m, x_amz_content_sha256="UNSIGNED-PAYLOAD"),
            lambda m: with_headers(m, x_amz_content_sha256="é"),
            lambda m: replace(m, headers={name: v for name, v in m.headers.items() if name != "content-type"}),
        ],
    )
    def test_any_change_is_noticed(self, tamper: Callable[[SignedMessage], SignedMessage]) -> None:
        message = tamper(sign(path=ARN_PATH, headers={"Content-Type": "application/json"}))
        with pytest.raises(SignatureFault, match="does not match"):
            verify(message)

    def test_a_wrong_secret_is_noticed(self) -> None:
        with pytest.raises(SignatureFault, match="does not match") as caught:
            verify(sign(), secret="another")
        assert caught.value.name == "InvalidSignatureException"

    def test_a_signature_for_another_service_is_refused(self) -> None:
        with pytest.raises(SignatureFault, match="'bedrock'"):
            verify(sign(service="s3"))

    def test_the_host_must_be_signed(self) -> None:
        message = sign()
        authorization = message.headers["authorization"].replace("host;", "")
        with pytest.raises(SignatureFault, match="SignedHeader"):
            verify(with_headers(message, authorization=authorization))

    @pytest.mark.parametrize("stamp", ["", "yesterday", "20261399T000000Z"])
    def test_a_time_that_is_none_is_refused(self, stamp: str) -> None:
        message = sign()
        authorization = parse_authorization(message.headers["authorization"])
        with pytest.raises(SignatureFault, match="X-Amz-Date"):
            verify_signature(with_headers(message, x_amz_date=stamp), authorization, "s", service="bedrock", now=0)

    @given(st.text(max_size=80) | st.text(max_size=60).map(lambda text: f"AWS4-HMAC-SHA256 Credential={text}"))
    def test_any_text_raises_nothing_but_signature_faults(self, text: str) -> None:
        with pytest.raises(SignatureFault):
            parse_authorization(text)


class TestPairs:
    def test_a_pair_leads_back_to_its_key(self) -> None:
        key_hash = hash_key(make_key())
        pair = SignedCallers(ManualClock(), MASTER).issue(key_hash)
        assert read_access_key_id(pair.access_key_id) == key_hash
        assert pair.access_key_id.isalnum()
        assert pair.access_key_id.isupper()
        assert pair == SignedCallers(ManualClock(), MASTER).issue(key_hash)

    def test_the_secret_hangs_on_the_key_and_on_the_master_key(self) -> None:
        first, second = (hash_key(make_key()) for _ in range(2))
        secrets = {
            SignedCallers(ManualClock(), master).issue(key_hash).secret_access_key
            for master in (MASTER, "sk-another-master-key")
            for key_hash in (first, second)
        }
        assert len(secrets) == 4

    def test_without_a_master_key_none_is_issued(self) -> None:
        with pytest.raises(InvalidRequest, match="SEKISHO_MASTER_KEY"):
            SignedCallers(ManualClock(), None).issue(hash_key("sk-x"))

    @given(st.text(max_size=70) | st.text("ABCZ27", min_size=50, max_size=54).map("SKAK".__add__))
    def test_any_text_is_an_access_key_id_or_none(self, text: str) -> None:
        key_hash = read_access_key_id(text)
        assert key_hash is None or len(key_hash) == 64


@pytest_asyncio.fixture
async def identity(store: Store, clock: ManualClock) -> Any:
    identity = Identity(store, clock, MASTER)
    await identity.start()
    yield identity
    await identity.close()


async def add_key(store: Store, **fields: Any) -> str:
    key = make_key()
    own: dict[str, Any] = {"key_hash": hash_key(key), "key_name": mask_key(key), "account_id": hash_key(key)}
    await store.keys.insert(KeyRecord(**own, **fields))
    return key


def pairs(message: SignedMessage) -> Headers:
    return [(name.encode(), value.encode()) for name, value in message.headers.items()]


def prove(identity: Identity, message: SignedMessage) -> None:
    path, query = message.raw_path.encode(), message.query.encode()
    identity.prove(signature(message).signature or "", message.method, path, query, pairs(message), message.body)


def signature(message: SignedMessage) -> Credential:
    """What stands where a key may stand."""
    credential = find_credential(pairs(message))
    assert credential.signature is not None
    assert credential.key_hash is None
    return credential


def clock_at(clock: ManualClock, message: SignedMessage) -> None:
    clock.advance(signed_at(message) - clock.now())


class TestIdentity:
    async def test_a_signed_caller_is_found_and_proven(
        self, identity: Identity, store: Store, clock: ManualClock
    ) -> None:
        key = await add_key(store, key_alias="signer")
        message = sign(identity.issue_key_pair(hash_key(key)), token="ignored", path=ARN_PATH)
        clock_at(clock, message)
        caller = await identity.recognise(signature(message))
        assert (caller.key_hash, caller.key_alias) == (hash_key(key), "signer")
        prove(identity, message)

    async def test_what_is_not_as_it_was_signed_is_refused(
        self, identity: Identity, store: Store, clock: ManualClock
    ) -> None:
        message = sign(identity.issue_key_pair(hash_key(await add_key(store))))
        clock_at(clock, message)
        with pytest.raises(Unauthenticated) as caught:
            prove(identity, replace(message, body=b"{}"))
        assert caught.value.code == "InvalidSignatureException"
        clock.advance(301)
        with pytest.raises(Unauthenticated, match="expired"):
            prove(identity, message)

    async def test_the_pair_of_one_key_does_not_sign_for_another(
        self, identity: Identity, store: Store, clock: ManualClock
    ) -> None:
        mine, theirs = [identity.issue_key_pair(hash_key(await add_key(store))) for _ in range(2)]
        message = sign(KeyPair(theirs.access_key_id, mine.secret_access_key))
        clock_at(clock, message)
        with pytest.raises(Unauthenticated, match="does not match"):
            prove(identity, message)

    async def test_nobody_is_let_through_who_does_not_say_that_it_will_prove(
        self, identity: Identity, store: Store
    ) -> None:
        message = sign(identity.issue_key_pair(hash_key(await add_key(store))))
        with pytest.raises(Unauthenticated, match="model endpoints only"):
            await identity.authenticate(pairs(message))

    @pytest.mark.parametrize(
        ("fields", "words"), [({"blocked": True}, "blocked"), ({"expires": 1.0}, r"SKAK\.\.\.\w{4} has expired")]
    )
    async def test_a_pair_ends_with_its_key(
        self, identity: Identity, store: Store, fields: dict[str, Any], words: str
    ) -> None:
        message = sign(identity.issue_key_pair(hash_key(await add_key(store, **fields))))
        with pytest.raises(Unauthenticated, match=words):
            await identity.recognise(signature(message))

    @pytest.mark.parametrize("access_key_id", ["AKIAIOSFODNN7EXAMPLE", "SKAKSHORT", "SKAK" + "A" * 52])
    async def test_pairs_of_others_open_nothing(self, identity: Identity, access_key_id: str) -> None:
        message = sign(KeyPair(access_key_id, "secret"))
        with pytest.raises(Unauthenticated) as caught:
            await identity.recognise(signature(message))
        assert caught.value.kind == "token_not_found_in_db"

    async def test_a_broken_signature_is_refused(self, identity: Identity) -> None:
        with pytest.raises(Unauthenticated) as caught:
            await identity.recognise(Credential(signature="AWS4-HMAC-SHA256 nonsense"))
        assert caught.value.code == "IncompleteSignatureException"

    async def test_without_a_master_key_signatures_are_refused(self, store: Store, clock: ManualClock) -> None:
        with pytest.raises(Unauthenticated, match="SEKISHO_MASTER_KEY"):
            await Identity(store, clock, None).recognise(signature(sign()))
