"""The audit trail over HTTP, on each kind of database: every change is in it, with who made it and from where."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.admin import MASTER_KEY, Admin, error_of, hash_of, serve_on_each_database


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def admin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    yield from serve_on_each_database(request.param, tmp_path_factory.mktemp("store"))


def newest(admin: Admin, **query: Any) -> dict[str, Any]:
    record: dict[str, Any] = admin.read("/audit", page_size=1, **query)["audit_logs"][0]
    return record


def test_a_change_by_the_master_key(admin: Admin) -> None:
    key = admin.new_key(key_alias="first", max_budget=1.5)
    record = newest(admin, table_name="keys")
    assert record["changed_by"] == "default_user_id"
    assert (record["changed_by_role"], record["source_ip"]) == ("proxy_admin", "127.0.0.1")
    assert (record["request"], record["action"]) == ("POST /key/generate", "created")
    assert (record["object_id"], record["before_value"]) == (hash_of(key), None)
    assert record["updated_values"]["max_budget"] == 1_500_000_000
    assert record["updated_at"] == "2023-11-14T22:13:20.000Z"
    assert key not in str(record)


def test_a_change_by_a_person(admin: Admin) -> None:
    boss = admin.make("/user/new", {"user_id": "boss", "user_role": "proxy_admin"})["key"]
    key = admin.new_key(max_budget=1)
    admin.make("/key/update", {"key": key, "max_budget": 2}, by=boss)
    record = newest(admin, object_id=hash_of(key))
    assert (record["changed_by"], record["request"], record["action"]) == ("boss", "POST /key/update", "updated")
    assert record["before_value"]["max_budget"] == 1_000_000_000
    assert record["updated_values"]["max_budget"] == 2_000_000_000
    assert newest(admin, changed_by="boss") == record
    admin.make("/key/delete", {"keys": [key]}, by=boss)
    assert newest(admin, action="deleted", table_name="keys")["object_id"] == hash_of(key)


def test_refused_changes_and_reading_leave_no_record(admin: Admin) -> None:
    key = admin.new_key()
    before = admin.read("/audit")["total"]
    error_of(admin.post("/team/new", {}, by=key), 403)
    error_of(admin.post("/key/update", {"key": "sk-nobody-knows-this-one", "max_budget": 1}), 404)
    admin.read("/key/info", key=key)
    admin.read("/key/list")
    assert admin.read("/audit")["total"] == before


def test_the_trail_is_paged_and_for_overseers_only(admin: Admin) -> None:
    viewer = admin.make("/user/new", {"user_id": "viewer", "user_role": "proxy_admin_viewer"})["key"]
    total = admin.read("/audit")["total"]
    page = admin.read("/audit", by=viewer, page=2, page_size=1)
    assert (page["total"], page["page"], page["page_size"], page["total_pages"]) == (total, 2, 1, total)
    assert page["audit_logs"][0]["id"] == str(total - 1)
    today = {"start_date": "2023-11-14", "end_date": "2023-11-14"}
    assert admin.read("/audit", **today)["total"] == total
    assert admin.read("/audit", end_date="2023-11-13")["total"] == 0
    error_of(admin.get("/audit", by=admin.new_key()), 403)
    error_of(admin.get("/audit", page_size=101), 400)
    error_of(admin.get("/audit", action="looked"), 400)
    error_of(admin.get("/audit", start_date="soon"), 400)


def test_each_record_follows_the_one_before(admin: Admin) -> None:
    admin.new_key()
    admin.new_key()
    last, before = admin.read("/audit", by=MASTER_KEY, page_size=2)["audit_logs"]
    assert last["previous_hash"] == before["hash"]
