"""Keys are fetched once, renewed before they expire, and kept while STS is away. STS is a stub over real HTTP."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.sts_stub import StsStub, running_sts

from sekisho.core.clock import ManualClock
from sekisho.providers.aws.chain import CredentialFailure, CredentialSettings
from sekisho.providers.aws.credentials import CredentialSource, find_default_credentials, source_for
from sekisho.providers.aws.signing import Keys

ROLE = "arn:aws:iam::111122223333:role/bedrock-role"


@pytest.fixture(autouse=True)
def _no_aws_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sts(clock: ManualClock) -> Iterator[StsStub]:
    with running_sts(clock) as stub:
        yield stub


def settings(sts: StsStub, **changes: str) -> CredentialSettings:
    values: dict[str, str] = {
        "region": "us-east-1",
        "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": "base-secret",
        "role_arn": ROLE,
        "sts_endpoint": sts.url,
    }
    return CredentialSettings(**(values | changes))  # type: ignore[arg-type]  # only text fields are changed


class Scripted:
    """A fetch that counts, and gives keys good for an hour, or the failure it is told."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.count = 0
        self.failure: CredentialFailure | None = None
        self.forgotten = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self) -> Keys:
        self.count += 1
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        return Keys(access_key_id=f"A{self.count}", secret_access_key="s", expires=self.clock.now() + 3600)

    def forget(self) -> None:
        self.forgotten += 1


async def renewed(source: CredentialSource) -> None:
    """Waits for the renewal in the background."""
    assert source._pending is not None
    await source._pending


async def test_the_role_is_assumed_with_all_that_was_configured(sts: StsStub, clock: ManualClock) -> None:
    chosen = CredentialSettings(
        region="eu-west-1",
        access_key_id="AKIDEXAMPLE",
        secret_access_key="base-secret",
        role_arn=ROLE,
        session_name="team-a",
        external_id="ext-1",
        session_tags=(("team", "a"),),
        sts_endpoint=sts.url,
    )
    keys = await source_for(chosen, clock).keys()
    assert (keys.access_key_id, keys.secret_access_key, keys.session_token) == (
        "ASIA000000000001",
        "secret-1",
        "token-1",
    )
    assert keys.expires == clock.now() + 3600
    (request,) = sts.requests
    assert request["Action"] == "AssumeRole"
    assert (request["RoleArn"], request["RoleSessionName"], request["ExternalId"]) == (ROLE, "team-a", "ext-1")
    assert (request["Tags.member.1.Key"], request["Tags.member.1.Value"]) == ("team", "a")
    assert request["DurationSeconds"] == "3600"
    assert "Credential=AKIDEXAMPLE/" in request["authorization"]
    assert "/eu-west-1/sts/" in request["authorization"]


async def test_many_callers_ask_sts_once_and_share_the_source(sts: StsStub, clock: ManualClock) -> None:
    sts.gate.clear()
    callers = [asyncio.create_task(source_for(settings(sts), clock).keys()) for _ in range(20)]
    await asyncio.sleep(0)
    callers[0].cancel()
    sts.gate.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert {keys.access_key_id for keys in results[1:] if isinstance(keys, Keys)} == {"ASIA000000000001"}
    assert len(sts.requests) == 1


async def test_other_settings_have_other_keys(sts: StsStub, clock: ManualClock) -> None:
    other = "arn:aws:iam::444455556666:role/bedrock-role"
    one, two = source_for(settings(sts), clock), source_for(settings(sts, role_arn=other), clock)
    assert one is not two
    assert (await one.keys()).access_key_id != (await two.keys()).access_key_id
    assert [request["RoleArn"] for request in sts.requests] == [ROLE, other]


async def test_a_source_nobody_uses_is_forgotten(sts: StsStub, clock: ManualClock) -> None:
    await source_for(settings(sts), clock).keys()
    gc.collect()
    await source_for(settings(sts), clock).keys()
    assert len(sts.requests) == 2


async def test_a_web_identity_is_read_anew_from_its_file(sts: StsStub, clock: ManualClock, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("jwt-1\n")
    chosen = CredentialSettings(region="us-east-1", role_arn=ROLE, web_identity_token=str(path), sts_endpoint=sts.url)
    source = source_for(chosen, clock)
    await source.keys()
    path.write_text("jwt-2\n")
    clock.advance(3600)
    await source.keys()
    assert [request["WebIdentityToken"] for request in sts.requests] == ["jwt-1", "jwt-2"]
    assert sts.requests[0]["authorization"] == ""


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ((403, "AccessDenied"), "denied"),
        ((403, "InvalidClientTokenId"), "refused"),
        ((400, "Throttling"), "unavailable"),
        ((503, "ServiceUnavailable"), "unavailable"),
    ],
)
async def test_failures_of_sts_name_the_role_and_no_secret(
    sts: StsStub, clock: ManualClock, failure: tuple[int, str], kind: str
) -> None:
    sts.failure = failure
    with pytest.raises(CredentialFailure) as caught:
        await source_for(settings(sts), clock).keys()
    assert caught.value.kind == kind
    assert ROLE in caught.value.message
    assert "secret" not in caught.value.message


async def test_an_unreachable_sts_is_unavailable(sts: StsStub, clock: ManualClock) -> None:
    with pytest.raises(CredentialFailure) as caught:
        await source_for(settings(sts, sts_endpoint="http://127.0.0.1:9"), clock).keys()
    assert caught.value.kind == "unavailable"


async def test_keys_are_renewed_in_the_background_before_they_expire(clock: ManualClock) -> None:
    fetch = Scripted(clock)
    source = CredentialSource(fetch, clock, forget=fetch.forget)
    assert (await source.keys()).access_key_id == "A1"
    clock.advance(3600 - 301)
    assert (await source.keys()).access_key_id == "A1"
    assert fetch.count == 1
    clock.advance(2)
    fetch.go.clear()
    assert (await source.keys()).access_key_id == "A1"  # nobody waits
    fetch.go.set()
    await renewed(source)
    assert (await source.keys()).access_key_id == "A2"
    assert fetch.count == 2


async def test_in_the_last_minute_callers_wait_for_new_keys(clock: ManualClock) -> None:
    fetch = Scripted(clock)
    source = CredentialSource(fetch, clock, forget=fetch.forget)
    await source.keys()
    clock.advance(3600 - 59)
    assert (await source.keys()).access_key_id == "A2"


async def test_old_keys_serve_while_new_ones_cannot_be_had(clock: ManualClock) -> None:
    fetch = Scripted(clock)
    source = CredentialSource(fetch, clock, forget=fetch.forget)
    await source.keys()
    fetch.failure = CredentialFailure("unavailable", "STS is away")
    clock.advance(3600 - 30)
    assert (await source.keys()).access_key_id == "A1"
    assert (await source.keys()).access_key_id == "A1"
    assert fetch.count == 2  # the second caller did not ask again at once
    clock.advance(31)
    with pytest.raises(CredentialFailure, match="STS is away"):
        await source.keys()
    fetch.failure = None
    clock.advance(6)
    assert (await source.keys()).access_key_id == "A4"


async def test_a_failure_is_remembered_for_a_moment(clock: ManualClock) -> None:
    fetch = Scripted(clock)
    fetch.failure = CredentialFailure("denied", "no")
    source = CredentialSource(fetch, clock, forget=fetch.forget)
    for _ in range(3):
        with pytest.raises(CredentialFailure):
            await source.keys()
    assert fetch.count == 1
    clock.advance(5)
    with pytest.raises(CredentialFailure):
        await source.keys()
    assert fetch.count == 2


async def test_refused_keys_are_fetched_anew_but_not_in_a_loop(clock: ManualClock) -> None:
    fetch = Scripted(clock)
    source = CredentialSource(fetch, clock, forget=fetch.forget)
    await source.keys()
    source.expire()
    assert (await source.keys()).access_key_id == "A1"  # brand-new keys get a moment
    clock.advance(5)
    source.expire()
    assert (await source.keys()).access_key_id == "A2"
    assert fetch.forgotten == 1


async def test_static_keys_cannot_be_renewed(clock: ManualClock) -> None:
    source = source_for(CredentialSettings(region="", access_key_id="AKID", secret_access_key="s"), clock)
    keys = await source.keys()
    clock.advance(86_400)
    source.expire()
    assert await source.keys() is keys
    assert not source.renewable


async def test_the_default_chain_finds_the_environment_and_the_file(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert not await find_default_credentials()
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = s\n"
        "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n"
    )
    assert await find_default_credentials()
    assert (await source_for(CredentialSettings(region=""), clock).keys()).access_key_id == "AKIDFILE"
    assert (await source_for(CredentialSettings(region="", profile="work"), clock).keys()).access_key_id == "AKIDWORK"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert (await source_for(CredentialSettings(region=""), clock).keys()).access_key_id == "AKIDENV"


async def test_a_changed_file_takes_effect_within_a_minute(clock: ManualClock, tmp_path: Path) -> None:
    def write(key: str) -> None:
        (tmp_path / "credentials").write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n")

    write("AKIDOLD")
    source = source_for(CredentialSettings(region=""), clock)
    assert (await source.keys()).access_key_id == "AKIDOLD"
    write("AKIDNEW")
    clock.advance(61)
    assert (await source.keys()).access_key_id == "AKIDOLD"
    await renewed(source)
    assert (await source.keys()).access_key_id == "AKIDNEW"


async def test_a_profile_that_does_not_exist_is_named(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CredentialFailure, match="nowhere") as caught:
        await source_for(CredentialSettings(region="", profile="nowhere"), clock).keys()
    assert caught.value.kind == "denied"
    monkeypatch.setenv("AWS_PROFILE", "nowhere")
    assert await find_default_credentials()  # it was meant to be used, so nothing is simulated
