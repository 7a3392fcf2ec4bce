"""Every endpoint of the admin API, called by every role, about what is its own and about what is somebody else's."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.admin import serve_on_each_database
from tests.support.cases import CASES, CHANGES, CHANGES_NOTHING
from tests.support.gateway import Answer
from tests.support.places import ADMIN, EVERYBODY, USER_ROLES, Place, World, build_world

from sekisho.identity.rights import RIGHTS, ROLES

DENIED = {401, 403, 404}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    for admin in serve_on_each_database("sqlite", tmp_path_factory.mktemp("store")):
        yield build_world(admin)


def test_every_path_there_is_is_walked() -> None:
    assert CASES.keys() == RIGHTS.keys()


@pytest.mark.parametrize("path", sorted(CASES))
def test_every_change_leaves_an_audit_record_that_says_whose_and_by_which_request(world: World, path: str) -> None:
    place, admin = world.own, world.own.admin
    method, shown, _ = wanted = CHANGES.get(path, CASES[path].ask)(place)
    before = admin.read("/audit", page_size=1)["total"]
    answer = ask(place, wanted, world.keys[ADMIN])
    assert answer.status == 200, answer.body
    trail = admin.read("/audit", page_size=100)
    new = trail["audit_logs"][: trail["total"] - before]
    if method == "GET" or path in CHANGES_NOTHING:
        assert new == []
        return
    assert new
    for record in new:
        assert record["request"] in {f"{method} {shown}", f"{method} {path}"}
        assert record["changed_by"].startswith(ADMIN)
        assert record["source_ip"] == "127.0.0.1"
        assert record["before_value"] != record["updated_values"]


def ask(place: Place, wanted: tuple[str, str, dict[str, Any]], key: str) -> Answer:
    method, path, content = wanted
    if method == "GET":
        return place.admin.get(path, by=key, **content)
    return place.admin.send(method, path, content, by=key)


@pytest.mark.parametrize("whose", ["own", "foreign"])
@pytest.mark.parametrize("path", CASES)
def test_who_may_do_what_about_what(world: World, path: str, whose: str) -> None:
    case = CASES[path]
    place: Place = getattr(world, whose)
    allowed: set[str] = getattr(case, whose)
    wanted = case.ask(place)
    for role in sorted(EVERYBODY - allowed):  # what is refused changes nothing, so that one thing does for all
        answer = ask(place, wanted, world.keys[role])
        hidden = answer.status == 200 and case.shows(place) not in answer.body.decode()
        assert answer.status in DENIED or hidden, (role, answer.status, answer.body)
    for role in sorted(allowed):
        answer = ask(place, case.ask(place), world.keys[role])
        assert answer.status == 200, (role, answer.body)
        assert case.shows(place) in answer.body.decode(), (role, answer.body)


@pytest.mark.parametrize("path", sorted(RIGHTS))
def test_the_role_alone_closes_a_path_to_those_who_have_no_right_to_it(world: World, path: str) -> None:
    """Of every path there is, also of those whose objects are walked elsewhere."""
    for role, key in world.keys.items():
        if USER_ROLES[role] in ROLES[RIGHTS[path]]:
            continue
        shown = path.replace("{key}", "x").replace("{access_group}", "x").replace("{model_id}", "x")
        answer = world.own.admin.get(shown, by=key)
        assert answer.status == 403, (role, answer.body)
        assert f"The role {USER_ROLES[role]} may not use {shown}" in answer.json()["error"]["message"]


def test_nobody_gets_in_without_a_key(world: World) -> None:
    for path in RIGHTS:
        assert world.own.admin.get(path.replace("{", "").replace("}", ""), by=None).status == 401
