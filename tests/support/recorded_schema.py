"""Databases as former versions left them: with which statements they were made, what was in them, and what was told.

`python -m tests.support.recorded_schema` records the newest schema. Do so whenever a migration is added, and while the
newest one has not been published, whenever it is changed. What was published is never recorded again.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl

import sqlalchemy as sa
from sqlalchemy.engine.mock import MockConnection

from sekisho.store.database import Database
from sekisho.store.schema import HEAD
from sekisho.store.tables import metadata
from tests.support.admin import Admin, run_admin
from tests.support.spending import World

FOLDER = Path(__file__).parents[1] / "unit" / "store" / "recorded"
PATHS = (
    *("/key/list?return_full_object=true", "/team/list", "/user/list", "/organization/list", "/customer/list"),
    *("/tag/list", "/budget/list", "/project/list", "/access_group/list", "/fallback/sonnet", "/audit?limit=3"),
    *("/spend/logs?limit=1000", "/global/spend", "/spend/tags"),
    "/user/daily/activity?start_date=2023-11-01&end_date=2023-11-30",
    "/tag/daily/activity?start_date=2023-11-01&end_date=2023-11-30",
    *(
        f"/global/spend/report?group_by={what}&start_date=2023-11-01&end_date=2023-11-30"
        for what in ("api_key", "team", "customer")
    ),
)
"""What is told about everything that is in the database."""


def write_schema(dialect: str) -> list[str]:
    """The statements that make the tables of today."""
    statements: list[str] = []

    def note(what: Any, *_args: object, **_more: object) -> None:
        statements.append(str(what.compile(dialect=engine.dialect)))

    engine: MockConnection = sa.create_mock_engine(f"{dialect}://", note)
    metadata.create_all(engine, checkfirst=False)
    tables = [statement for statement in statements if "CREATE TABLE" in statement]
    return tables + sorted(set(statements) - set(tables))


def read_answers(admin: Admin) -> dict[str, Any]:
    """What the admin API tells."""
    asked = {path: path.partition("?") for path in PATHS}
    return {path: admin.read(where, **dict(parse_qsl(query))) for path, (where, _, query) in asked.items()}


def recorded_revisions() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def read_recorded(revision: str) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((FOLDER / f"{revision}.json").read_text())
    return recorded


async def restore(recorded: Mapping[str, Any], url: str) -> None:
    """Make an empty database what the former version had left."""
    database = Database(url)
    async with database.write() as connection:
        for statement in recorded["schema"]["postgresql" if database.postgres else "sqlite"]:
            await connection.exec_driver_sql(statement)
        await connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        await connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{recorded['revision']}')")
        await connection.run_sync(_insert, recorded["rows"])
    await database.close()


def _insert(connection: sa.Connection, rows: Mapping[str, list[dict[str, Any]]]) -> None:
    found = sa.MetaData()
    found.reflect(connection)
    for name, lines in rows.items():
        for line in lines:
            connection.execute(sa.insert(found.tables[name]).values(_decode(line)))
        for column in found.tables[name].primary_key.columns if connection.dialect.name == "postgresql" else ():
            sequence = connection.scalar(sa.func.pg_get_serial_sequence(name, column.name).select())
            if sequence is not None:
                connection.execute(
                    sa.select(sa.func.setval(sequence, sa.select(sa.func.max(column)).scalar_subquery()))
                )


def _read_rows(path: str) -> dict[str, list[dict[str, Any]]]:
    """Every table's rows, without what is null."""
    engine = sa.create_engine(f"sqlite:///{path}")
    found = sa.MetaData()
    with engine.connect() as connection:
        found.reflect(connection)
        order = [table.name for table in metadata.sorted_tables]
        rows = {name: connection.execute(sa.select(found.tables[name])).mappings().all() for name in order}
    engine.dispose()
    return {
        name: [{key: value for key, value in line.items() if value is not None} for line in lines]
        for name, lines in rows.items()
    }


def _encode(value: object) -> object:
    assert isinstance(value, bytes)
    return {"hex": value.hex()}


def _decode(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: bytes.fromhex(value["hex"]) if isinstance(value, dict) and value.keys() == {"hex"} else value
        for key, value in values.items()
    }


def fill(admin: Admin) -> None:
    """Something of everything."""
    world = World(admin)
    budget = admin.make("/budget/new", {"budget_id": "small", "max_budget": 5, "budget_duration": "1d"})["budget_id"]
    admin.make("/customer/new", {"user_id": "customer-1", "budget_id": budget})
    admin.make("/tag/new", {"name": "ci", "max_budget": 50, "description": "nightly"})
    team = world.teams["Red"]
    project = admin.make("/project/new", {"team_id": team, "project_alias": "p", "max_budget": 7})["project_id"]
    admin.make("/access_group/new", {"access_group": "fast", "model_names": ["sonnet"]})
    windows = [{"budget_duration": "1d", "max_budget": 1}, {"budget_duration": "30d", "max_budget": 20.5}]
    limits = {"rpm_limit": 5, "tpm_limit": 6, "max_parallel_requests": 7, "model_rpm_limit": {"sonnet": 5}}
    fields = {"team_id": team, "project_id": project, "metadata": {"a": [1, None, "ü"]}, "tags": ["ci"]}
    full = {"key_alias": "full", "max_budget": 9, "budget_limits": windows, **limits, **fields}
    key = admin.make("/key/generate", full)
    admin.make(f"/key/{key['key']}/regenerate", {"grace_period": "1d"})
    admin.make("/key/block", {"key": admin.new_key(key_alias="blocked")})
    model = {"model_name": "added", "litellm_params": {"model": "bedrock/converse/us.amazon.nova-pro-v1:0"}}
    admin.make("/model/new", model)
    admin.make("/fallback", {"model": "sonnet", "fallback_models": ["added"]})


def record() -> None:
    """Record the newest schema."""
    with TemporaryDirectory() as folder:
        path = f"{folder}/sekisho.db"
        with run_admin(path) as admin:
            fill(admin)
            answers = read_answers(admin)
        recorded = {
            "revision": HEAD,
            "schema": {dialect: write_schema(dialect) for dialect in ("sqlite", "postgresql")},
            "rows": _read_rows(path),
            "answers": answers,
        }
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(recorded, indent=1, default=_encode, ensure_ascii=False)
    (FOLDER / f"{HEAD}.json").write_text(text + "\n")
    sys.stdout.write(f"recorded {FOLDER / HEAD}.json\n")


def missing(recorded: object, told: object, where: str = "") -> Iterator[str]:
    """What was told, and is not any more: more fields may be told, but none less and nothing else."""
    if isinstance(recorded, dict) and isinstance(told, dict):
        for name, value in recorded.items():
            if name in told:
                yield from missing(value, told[name], f"{where}.{name}")
            else:
                yield f"{where}.{name} is gone"
    elif isinstance(recorded, list) and isinstance(told, list) and len(recorded) == len(told):
        for number, (before, now) in enumerate(zip(recorded, told, strict=True)):
            yield from missing(before, now, f"{where}[{number}]")
    elif recorded != told:
        yield f"{where} was {recorded!r} and is {told!r}"


if __name__ == "__main__":
    record()
