"""Key pairs for SDKs that sign their requests: who may have one, over the admin API."""

from collections.abc import Iterator

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.support.admin import Admin, error_of, hash_of, serve_on_each_database

PATH = "/key/aws_credentials"


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    yield from serve_on_each_database("sqlite", tmp_path_factory.mktemp("store"))


def test_an_administrator_gets_the_pair_of_any_key(admin: Admin) -> None:
    key = admin.new_key()
    pair = admin.make(PATH, {"key": key})
    assert pair.keys() == {"token", "aws_access_key_id", "aws_secret_access_key"}
    assert pair == admin.make(PATH, {"key": hash_of(key)})
    assert key not in str(pair)
    other = admin.make(PATH, {"key": admin.new_key()})
    assert other["aws_secret_access_key"] != pair["aws_secret_access_key"]


def test_an_owner_gets_the_pair_of_its_own_keys_only(admin: Admin) -> None:
    mine, also_mine = admin.new_key(user_id="taro"), admin.new_key(user_id="taro")
    admin.make(PATH, {"key": mine}, by=mine)
    admin.make(PATH, {"key": hash_of(also_mine)}, by=mine)
    error_of(admin.post(PATH, {"key": hash_of(admin.new_key(user_id="hanako"))}, by=mine), 404)


def test_a_teams_administrator_cannot_call_in_a_members_name(admin: Admin) -> None:
    members = [{"user_id": "lead", "role": "admin"}, {"user_id": "member"}]
    team = admin.make("/team/new", {"members_with_roles": members})["team_id"]
    lead, theirs = admin.new_key(user_id="lead"), admin.new_key(user_id="member", team_id=team)
    assert admin.get("/key/info", by=lead, key=hash_of(theirs)).status == 200
    error_of(admin.post(PATH, {"key": hash_of(theirs)}, by=lead), 403)


def test_a_key_for_models_gets_none(admin: Admin) -> None:
    key = admin.new_key(key_type="llm_api")
    error_of(admin.post(PATH, {"key": key}, by=key), 403)
    error_of(admin.post(PATH, {"key": "sk-nobody-has-this-key"}), 404)


def test_a_signature_opens_nothing_in_the_admin_api(admin: Admin) -> None:
    pair = admin.make(PATH, {"key": admin.new_key()})
    request = AWSRequest("GET", f"{admin.url}/key/info")
    credentials = Credentials(pair["aws_access_key_id"], pair["aws_secret_access_key"])
    SigV4Auth(credentials, "bedrock", "us-east-1").add_auth(request)
    headers = {name: str(value) for name, value in request.headers.items()}
    refused = error_of(admin.post("/key/info", {}, by=None, **headers), 401)
    assert "model endpoints only" in refused["message"]
