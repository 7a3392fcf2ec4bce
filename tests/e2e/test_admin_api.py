"""Keys, teams, users and rights of the admin API, over HTTP, on each kind of database."""

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.admin import MASTER_KEY, Admin, error_of, run_admin
from tests.support.postgres import create_database, run_server, skip_or_fail

_numbers = itertools.count()


def unique(name: str) -> str:
    return f"{name}-{next(_numbers)}"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def admin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """The admin API over one database that the tests of this module share; their names are unique."""
    with ExitStack() as stack:
        url = str(tmp_path_factory.mktemp("store") / "sekisho.db")
        if request.param == "postgres":
            try:
                url = create_database(stack.enter_context(run_server()))
            except (RuntimeError, OSError) as error:
                skip_or_fail(f"PostgreSQL cannot be started: {error}")
        yield stack.enter_context(run_admin(url))


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


# Keys


def test_a_key_is_shown_once_and_known_by_its_hash(admin: Admin) -> None:
    alias = unique("ci")
    made = admin.made(
        "/key/generate",
        {"key_alias": alias, "models": ["sonnet"], "rpm_limit": 5, "metadata": {"a": [1, None]}, "tags": ["x"]},
    )
    key = made["key"]
    assert (key[:3], len(key)) == ("sk-", 25)
    assert made["token"] == made["token_id"] == hash_of(key)
    assert made["key_name"] == f"sk-...{key[-4:]}"
    assert (made["key_alias"], made["models"], made["rpm_limit"]) == (alias, ["sonnet"], 5)
    assert (made["metadata"], made["tags"], made["spend"]) == ({"a": [1, None]}, ["x"], 0)
    assert (made["created_by"], made["created_at"]) == ("default_user_id", "2023-11-14T22:13:20.000Z")
    assert (made["blocked"], made["expires"], made["max_budget"], made["key_type"]) == (False, None, None, "default")
    by_hash = admin.get("/key/info", key=MASTER_KEY, **{"key": hash_of(key)}) if False else info(admin, hash_of(key))
    assert by_hash == info(admin, key)
    assert key not in str(by_hash)
    assert ("key", hash_of(key)) in admin.changes


def info(admin: Admin, wanted: str) -> dict[str, object]:
    body = admin.post_free_get("/key/info", wanted)
    return body
