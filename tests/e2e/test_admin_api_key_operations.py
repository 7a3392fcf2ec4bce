"""Regenerating, resetting and changing many keys, and service accounts, on each kind of database."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.admin import Admin, error_of, hash_of, serve_on_each_database

_numbers = itertools.count()


def unique(name: str) -> str:
    return f"{name}-{next(_numbers)}"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def admin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """The admin API over one database that the tests of this module share: what they name is unique."""
    yield from serve_on_each_database(request.param, tmp_path_factory.mktemp("store"))


def info(admin: Admin, key: str) -> dict[str, Any]:
    shown: dict[str, Any] = admin.read("/key/info", key=key)["info"]
    return shown


@pytest.mark.parametrize("by_hash", [False, True])
def test_a_regenerated_key_keeps_all_but_its_text(admin: Admin, by_hash: bool) -> None:
    key = admin.new_key(key_alias=unique("ci"), max_budget=5, rpm_limit=3, tags=["x"], guardrails=["g"])
    admin.record(10**9, key_hash=hash_of(key))
    before = info(admin, key)
    made = admin.make(f"/key/{hash_of(key) if by_hash else key}/regenerate", {})
    new = made["key"]
    assert new != key
    assert (made["token"], made["key_name"]) == (hash_of(new), f"sk-...{new[-4:]}")
    after = info(admin, new)
    changed = {"key_name", "updated_at"}
    assert {name for name in before if before[name] != after[name]} <= changed
    assert after["spend"] == 1
    assert error_of(admin.get("/key/info", by=key), 401)["type"] == "token_not_found_in_db"
    assert admin.read("/key/info", by=new)["key"] == hash_of(new)
    error_of(admin.post(f"/key/{key}/regenerate", {}), 404)
    # Once more: its accounts stay with it.
    again = admin.make("/key/regenerate", {"key": new})["key"]
    admin.record(10**9, key_hash=hash_of(again))
    assert info(admin, again)["spend"] == 2


def test_the_body_of_a_regeneration_may_be_left_out(admin: Admin) -> None:
    key = admin.new_key()
    answer = admin.send("POST", f"/key/{key}/regenerate", None)
    assert answer.status == 200
    assert admin.get("/key/info", by=answer.json()["key"]).status == 200
    assert error_of(admin.post("/key/regenerate", {}), 400)["param"] == "key"


def test_a_regeneration_can_change_limits_and_choose_the_text(admin: Admin) -> None:
    key, chosen = admin.new_key(max_budget=1, rpm_limit=2), unique("sk-chosen-by-the-test")
    made = admin.make(f"/key/{key}/regenerate", {"new_key": chosen, "max_budget": 7, "duration": "1h"})
    assert (made["key"], made["max_budget"], made["rpm_limit"]) == (chosen, 7, 2)
    assert made["expires"] is not None
    assert admin.get("/key/info", by=chosen).status == 200
    other = admin.new_key()
    assert error_of(admin.post(f"/key/{other}/regenerate", {"new_key": chosen}), 400)["param"] == "key"
    assert error_of(admin.post(f"/key/{other}/regenerate", {"new_key": "short"}), 400)["param"] == "new_key"
    assert admin.get("/key/info", by=other).status == 200


def test_the_former_text_works_for_a_period_of_grace(admin: Admin) -> None:
    key = admin.new_key()
    new = admin.make(f"/key/{key}/regenerate", {"grace_period": "1h"})["key"]
    for text in (key, new):
        assert admin.read("/key/info", by=text)["key"] == hash_of(new)
    admin.clock.advance(3_601)
    assert admin.get("/key/info", by=key).status == 401
    assert admin.get("/key/info", by=new).status == 200


def test_spend_is_reset_in_the_open_window(admin: Admin) -> None:
    key = admin.new_key(max_budget=5, budget_duration="30d")
    admin.record(3 * 10**9, key_hash=hash_of(key))
    done = admin.make(f"/key/{key}/reset_spend", {"reset_to": 0.5})
    assert (done["key_hash"], done["spend"], done["previous_spend"]) == (hash_of(key), 0.5, 3)
    assert (done["max_budget"], done["budget_reset_at"] is not None) == (5, True)
    admin.record(10**9, key_hash=hash_of(key))
    shown = info(admin, key)
    assert (shown["spend"], shown["total_spend"]) == (1.5, 4)
    assert error_of(admin.post(f"/key/{key}/reset_spend", {}), 400)["param"] == "reset_to"
    error_of(admin.post(f"/key/{key}/reset_spend", {"reset_to": -1}), 400)
    assert "only 1.5 is spent" in error_of(admin.post(f"/key/{key}/reset_spend", {"reset_to": 2}), 400)["message"]
    error_of(admin.post("/key/sk-nobody-has-this-key/reset_spend", {"reset_to": 0}), 404)


def test_many_keys_are_changed_each_by_itself(admin: Admin) -> None:
    keys = [admin.new_key() for _ in range(2)]
    updates = [{"key": keys[0], "max_budget": 2}, {"key": "sk-nobody-has-this-key"}, {"key": keys[1], "rpm_limit": 3}]
    done = admin.make("/key/bulk_update", {"keys": updates})
    assert done["total_requested"] == 3
    assert [one["key"] for one in done["successful_updates"]] == keys
    assert [one["key"] for one in done["failed_updates"]] == ["sk-nobody-has-this-key"]
    assert "No such key" in done["failed_updates"][0]["failed_reason"]
    assert (info(admin, keys[0])["max_budget"], info(admin, keys[1])["rpm_limit"]) == (2, 3)
    assert error_of(admin.post("/key/bulk_update", {"keys": []}), 400)["param"] == "keys"


def test_a_service_accounts_key_belongs_to_a_team_and_nobody(admin: Admin) -> None:
    team, alias = admin.make("/team/new", {})["team_id"], unique("service")
    made = admin.make("/key/service-account/generate", {"team_id": team, "key_alias": alias, "metadata": {"a": 1}})
    assert (made["team_id"], made["user_id"], made["key_alias"]) == (team, None, alias)
    assert made["metadata"] == {"service_account_id": alias, "a": 1}
    assert admin.get("/key/info", by=made["key"]).status == 200
    assert error_of(admin.post("/key/service-account/generate", {}), 400)["param"] == "team_id"
    error_of(admin.post("/key/service-account/generate", {"team_id": "no"}), 404)
    named = {"team_id": team, "user_id": "u"}
    assert error_of(admin.post("/key/service-account/generate", named), 400)["param"] == "user_id"


def test_a_key_says_that_it_is_healthy(admin: Admin) -> None:
    key = admin.new_key()
    assert admin.make("/key/health", {}, by=key)["key"] == "healthy"
    admin.make("/key/block", {"key": key})
    assert admin.post("/key/health", {}, by=key).status == 401


def test_keys_are_listed_by_place_and_with_those_of_managed_teams(admin: Admin) -> None:
    organization = admin.make("/organization/new", {"organization_alias": "o"})["organization_id"]
    leader, team = unique("u"), admin.make("/team/new", {"organization_id": organization})["team_id"]
    admin.make("/team/member_add", {"team_id": team, "member": {"user_id": leader, "role": "admin"}})
    project = admin.make("/project/new", {"team_id": team})["project_id"]
    own, of_team = admin.new_key(user_id=leader), admin.new_key(team_id=team, project_id=project)
    of_organization = admin.new_key(organization_id=organization)
    assert admin.read("/key/list", project_id=project)["keys"] == [hash_of(of_team)]
    assert admin.read("/key/list", organization_id=organization)["keys"] == [hash_of(of_organization)]
    assert admin.read("/key/list", by=own)["keys"] == [hash_of(own)]
    listed = admin.read("/key/list", by=own, include_team_keys="true")["keys"]
    assert set(listed) == {hash_of(own), hash_of(of_team)}
    assert admin.get("/key/list", by=own, organization_id=organization).status == 403


def test_the_audit_trail_holds_no_text_of_a_key(admin: Admin) -> None:
    key = admin.new_key()
    new = admin.make(f"/key/{key}/regenerate", {})["key"]
    admin.make(f"/key/{new}/reset_spend", {"reset_to": 0})
    trail = admin.get("/audit").body.decode()
    assert hash_of(key) in trail
    assert key not in trail
    assert new not in trail
