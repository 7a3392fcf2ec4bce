"""Who calls, in the name and tags of a role's session."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sts_stub import StsStub, running_sts

from sekisho.core.clock import ManualClock
from sekisho.core.errors import ConfigError
from sekisho.core.target import Sender
from sekisho.providers.aws import sessions
from sekisho.providers.aws.chain import CredentialFailure, CredentialSettings
from sekisho.providers.aws.sessions import RoleSessions, name_sender
from sekisho.providers.aws.settings import read_credentials

ROLE = "arn:aws:iam::111122223333:role/bedrock-role"
HANAKO = Sender(user_id="hanako@example.com", team_id="search", key_alias="laptop", organization_id="corp")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sts(clock: ManualClock) -> Iterator[StsStub]:
    with running_sts(clock) as stub:
        yield stub


def read(**params: object) -> CredentialSettings:
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "s", "aws_role_name": ROLE}
    return read_credentials({**keys, **params}, "us-east-1", "config.yaml:7")


def named(sender: Sender, **params: object) -> CredentialSettings:
    return name_sender(read(**params), sender)


def test_every_placeholder_is_filled_in() -> None:
    tags = [{"Key": "team", "Value": "{team_id}"}, {"Key": "who", "Value": "{organization_id}/{key_alias}"}]
    settings = named(HANAKO, aws_session_name="gw-{user_id}", aws_session_tags=tags)
    assert settings.session_name == "gw-hanako@example.com"
    assert settings.session_tags == (("team", "search"), ("who", "corp/laptop"))


def test_what_is_not_known_is_left_out() -> None:
    tags = {"team": "{team_id}", "gateway": "sekisho"}
    settings = named(Sender(user_id="u1"), aws_session_name="{key_alias}", aws_session_tags=tags)
    assert settings.session_name == "unknown"
    assert settings.session_tags == (("gateway", "sekisho"),)


def test_users_whom_aws_cannot_spell_stay_apart() -> None:
    names = {named(Sender(user_id=user), aws_session_name="{user_id}").session_name for user in ("a b", "a-b", "a:b")}
    assert len(names) == 3
    assert "a-b" in names
    tags = {named(Sender(team_id=team), aws_session_tags={"t": "{team_id}"}).session_tags for team in ("a*", "a-")}
    assert len(tags) == 2
    assert named(Sender(team_id="検索 チーム"), aws_session_tags={"t": "{team_id}"}).session_tags == (
        ("t", "検索 チーム"),
    )


@given(user=st.text(min_size=1), prefix=st.text(alphabet="abc-", max_size=63))
def test_a_name_is_always_one_that_sts_takes(user: str, prefix: str) -> None:
    name = named(Sender(user_id=user), aws_session_name=f"{prefix}-{{user_id}}").session_name
    assert re.fullmatch(r"[\w+=,.@-]{2,64}", name, re.ASCII)
    assert re.fullmatch(r"[\w+=,.@-]{2,64}", named(Sender(user_id=user), aws_session_name="{user_id}").session_name)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"aws_session_name": "{user}"}, r"\{user\} is not known here; there are \{user_id\}"),
        ({"aws_session_name": "{user_id"}, "aws_session_name must be"),
        ({"aws_session_name": "x" * 65}, "aws_session_name must be"),
        ({"aws_session_name": "x"}, "aws_session_name must be"),
        ({"aws_session_name": "{user_id}", "aws_role_name": None}, "give aws_role_name"),
        ({"aws_session_tags": {"t": "{team_id}"}, "aws_web_identity_token": "jwt"}, "in the token"),
        ({"aws_session_tags": {"team": "{team}"}}, r"aws_session_tags: \{team\}"),
        ({"aws_session_tags": {"team": "a*"}}, "no letter"),
        ({"aws_session_tags": {"": "a"}}, "1 to 128"),
        ({"aws_session_tags": {"k": "v" * 257}}, "at most 256"),
        ({"aws_session_tags": {f"k{number}": "v" for number in range(51)}}, "51 tags"),
    ],
)
def test_what_sts_would_refuse_is_refused_at_the_start(params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read(**params)
    assert caught.value.where == "config.yaml:7"


async def test_each_caller_has_a_session_and_keeps_it(sts: StsStub, clock: ManualClock) -> None:
    settings = read(aws_sts_endpoint=sts.url, aws_session_name="{user_id}", aws_session_tags={"team": "{team_id}"})
    one, another = RoleSessions(settings, clock), RoleSessions(settings, clock)
    taro = Sender(user_id="taro", team_id="search")
    for _ in range(2):
        assert (await one.source(HANAKO).keys()).session_token == "token-1"
        assert (await one.source(taro).keys()).session_token == "token-2"
        assert (await another.source(taro).keys()).session_token == "token-2"
        assert (await one.source(None).keys()).session_token == "token-3"
    assert [request["RoleSessionName"] for request in sts.requests] == ["hanako@example.com", "taro", "unknown"]
    assert sts.requests[1]["Tags.member.1.Value"] == "search"
    assert "Tags.member.1.Key" not in sts.requests[2]


async def test_without_placeholders_all_share_one_session(sts: StsStub, clock: ManualClock) -> None:
    role = RoleSessions(read(aws_sts_endpoint=sts.url, aws_session_name="gateway"), clock)
    assert await role.source(HANAKO).keys() is await role.source(None).keys()
    assert len(sts.requests) == 1


async def test_only_so_many_sessions_are_kept(
    sts: StsStub, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 2)
    role = RoleSessions(read(aws_sts_endpoint=sts.url, aws_session_name="{user_id}"), clock)
    for user in ("u1", "u2", "u1", "u3", "u1", "u2"):
        await role.source(Sender(user_id=user)).keys()
    assert [request["RoleSessionName"] for request in sts.requests] == ["u1", "u2", "u3", "u2"]


async def test_refused_keys_of_all_callers_are_replaced(sts: StsStub, clock: ManualClock) -> None:
    role = RoleSessions(read(aws_sts_endpoint=sts.url, aws_session_name="{user_id}"), clock)
    await role.source(HANAKO).keys()
    assert role.renewable
    clock.advance(10)
    role.expire()
    assert (await role.source(HANAKO).keys()).session_token == "token-2"


async def test_an_sts_that_is_away_is_asked_once_for_all_callers(sts: StsStub, clock: ManualClock) -> None:
    role = RoleSessions(read(aws_sts_endpoint=sts.url, aws_session_name="{user_id}"), clock)
    sts.failure = (400, "Throttling")
    asked = [role.source(Sender(user_id=f"u{number}")).keys() for number in range(20)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(result, CredentialFailure) for result in results)
    assert len({request["RoleSessionName"] for request in sts.requests}) <= 4
    sts.failure = None
    clock.advance(6)
    assert (await role.source(HANAKO).keys()).session_token is not None


async def test_an_sts_that_hangs_keeps_no_other_account_waiting(sts: StsStub, clock: ManualClock) -> None:
    with running_sts(clock) as other:
        hanging = RoleSessions(read(aws_sts_endpoint=sts.url, aws_session_name="{user_id}"), clock)
        well = RoleSessions(read(aws_sts_endpoint=other.url, aws_session_name="{user_id}"), clock)
        sts.gate.clear()
        waiting = [asyncio.create_task(hanging.source(Sender(user_id=f"u{i}")).keys()) for i in range(40)]
        await asyncio.sleep(0)
        assert (await well.source(HANAKO).keys()).session_token == "token-1"
        assert not any(task.done() for task in waiting)
        sts.gate.set()
        assert len(await asyncio.gather(*waiting)) == 40
