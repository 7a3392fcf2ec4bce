"""Requests that the OpenAPI document describes, and some that it forbids: no answer is undocumented, and none a 5xx."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.support.admin import MASTER_KEY, Admin, hash_of, run_admin

Operation = APIOperation[Any, Any, Any, Any]
CALLER_KEY = "sk-developer-of-the-tests-0123456"
KEY = "sk-other-key-of-the-tests-0123456"
STORED = {
    "model_name": "stored",
    "litellm_params": {"model": "bedrock/nobody.knows", "aws_region_name": "us-east-1"},
    "model_info": {"id": "stored"},
}
USUAL = {"start_date", "end_date", "user_id", "keys"}
"""What few requests can do without, whatever the document says."""
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
TYPES: dict[type, str] = {str: "string", list: "array", dict: "object"}
ANSWERS = {"ErrorAnswer", "ErrorBody"}
"""The schemas of answers; all others are of requests."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXISTING: dict[str, list[Any]] = {
    "key": [KEY, hash_of(KEY)],
    "api_key": [KEY, hash_of(KEY)],
    "key_hash": [hash_of(KEY)],
    "keys": [[KEY]],
    "user_id": ["developer"],
    "user_ids": [["developer"], ["customer"]],
    "users": [[{"user_id": "developer"}]],
    "member": [{"user_id": "developer"}],
    "members": [[{"user_id": "developer"}]],
    "internal_user_id": ["developer"],
    "end_user_id": ["customer"],
    "team_id": ["team"],
    "team_ids": ["team", ["team"]],
    "organization_id": ["organization"],
    "organization_ids": ["organization", ["organization"]],
    "project_id": ["project"],
    "project_ids": [["project"]],
    "budget_id": ["budget"],
    "budgets": [["budget"]],
    "id": ["budget", "stored"],
    "access_group": ["group"],
    "access_group_ids": [["group"]],
    "model": ["sonnet"],
    "models": [["sonnet"]],
    "model_names": [["sonnet"]],
    "fallback_models": [["mystery"]],
    "fallback_type": ["general"],
    "model_id": ["stored"],
    "litellm_params": [STORED["litellm_params"]],
    "model_info": [STORED["model_info"]],
    "tags": ["tag", ["tag"]],
    "name": ["tag"],
    "names": [["tag"]],
    "start_date": ["2026-11-01"],
    "end_date": ["2026-11-30"],
    "budget_duration": ["1d", "30d"],
    "duration": ["1h"],
}
"""By field, values with which a request gets further than to "there is no such thing". Of the right type if any is."""


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Admin]:
    with run_admin(str(tmp_path / "sekisho.db")) as admin:
        yield admin


def test_every_answer_to_the_master_key_is_documented(admin: Admin, subtests: pytest.Subtests) -> None:
    tried = try_operations(admin, MASTER_KEY, subtests, examples=16)
    assert len(tried) > 100
    failed = [label for label, statuses in tried.items() if 200 not in statuses]
    assert len(failed) < 10, failed  # else what is sent is so odd that little is tried


def test_every_answer_to_a_developer_is_documented(admin: Admin, subtests: pytest.Subtests) -> None:
    """Most operations are not for developers, whatever is sent: few examples suffice."""
    tried = try_operations(admin, CALLER_KEY, subtests, examples=6)
    assert {200, 400, 403} <= set().union(*tried.values())


def try_operations(admin: Admin, key: str, subtests: pytest.Subtests, *, examples: int) -> dict[str, set[int]]:
    """Try each operation of the document in a subtest of its own. Gives the statuses of its answers."""
    document = admin.get("/openapi.json").json()
    operations, plausible = operations_of(admin, without_security(document)), operations_of(admin, likely(document))
    tried: dict[str, set[int]] = {}
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {key}"
        make_existing(admin)
        for label in sorted(operations, key=destroys):
            with subtests.test(label):
                tried[label] = try_operation(session, operations[label], plausible[label], examples)
            if destroys(label):
                make_existing(admin)
    return tried


NO_HTTP = b"Invalid HTTP request received."
"""The server's words for what is no HTTP, such as a path of over 64 KiB: it never comes to the API."""


def destroys(label: str) -> int:
    """How much an operation takes away: nothing, what can be made again, or the text of a key, which is used up."""
    return 2 if "regenerate" in label else int("delete" in label)


def try_operation(session: requests.Session, operation: Operation, plausible: Operation, examples: int) -> set[int]:
    """Send requests of three kinds: likely to be fulfilled; such as the document allows; such as it forbids.

    Raises for the smallest with a wrong answer. Gives the statuses of the answers.
    """
    statuses = set()

    def send(case: schemathesis.Case[Any]) -> None:
        response = case.call(session=session)
        if response.content != NO_HTTP:
            case.validate_response(response, checks=CHECKS)
        statuses.add(response.status_code)

    kinds = [(plausible, POSITIVE, examples // 2), (operation, POSITIVE, examples // 4)]
    if {"parameters", "requestBody"} & operation.definition.raw.keys():  # else there is nothing to get wrong
        kinds.append((operation, NEGATIVE, examples // 4))
    for what, mode, count in kinds:
        limits = settings(max_examples=count, derandomize=True, suppress_health_check=list(HealthCheck))
        limits(given(case=what.as_strategy(mode))(send))()
    return statuses


def operations_of(admin: Admin, document: dict[str, Any]) -> dict[str, Operation]:
    """The operations of an OpenAPI document by their labels, to be sent to `admin`."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=admin.url)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == sum(len(methods) for methods in document["paths"].values())
    return {operation.label: operation for operation in operations}


def without_security(document: dict[str, Any]) -> dict[str, Any]:
    """The document without the need of a key, of which there are other tests: else many examples go without one."""
    document = copy.deepcopy(document)
    for methods in document["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
    return document


def likely(document: dict[str, Any]) -> dict[str, Any]:
    """The document with `EXISTING` as all that parameters and fields may be, and `USUAL` in every request."""
    document = without_security(document)
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = likely_values(parameter["name"], parameter["schema"])
                parameter["required"] = parameter["required"] or parameter["name"] in USUAL
                keep_simple(parameter["schema"])
    for title, schema in document["components"]["schemas"].items():
        if title not in ANSWERS:
            fields = schema.get("properties", {})
            fields.update({name: likely_values(name, field) for name, field in fields.items()})
            schema["required"] = sorted({*schema.get("required", ()), *(USUAL & fields.keys())})
            keep_simple(schema)
    return document


def keep_simple(node: Any) -> None:
    """Narrow every schema below a node: text of a few letters, sums as numbers, and only fields with a name."""
    if isinstance(node, list):
        for child in node:
            keep_simple(child)
    if not isinstance(node, dict):
        return
    if node.get("type") == "string" and "enum" not in node:
        node.setdefault("pattern", "^[a-z]{1,9}$")
    if any(choice.get("type") == "number" for choice in node.get("anyOf", ())):
        node["anyOf"] = [choice for choice in node["anyOf"] if choice.get("type") != "string"]
    if node.get("additionalProperties") is True:
        node["additionalProperties"] = False
    for child in node.values():
        keep_simple(child)


def likely_values(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field, narrowed to the existing values of its type if there are any."""
    types = {choice.get("type", "object") for choice in schema.get("anyOf", [schema])}
    values = [value for value in EXISTING.get(name, ()) if TYPES[type(value)] in types]
    return {"enum": values} if values else schema


def make_existing(admin: Admin) -> None:
    """Make what `EXISTING` names, as far as requests before have taken it away."""
    team, user = {"team_id": "team"}, {"user_id": "developer"}
    for path, body in (
        ("/budget/new", {"budget_id": "budget", "max_budget": 1}),
        ("/access_group/new", {"access_group": "group", "model_names": ["sonnet"]}),
        ("/organization/new", {"organization_id": "organization", "organization_alias": "organization"}),
        ("/team/new", {**team, "organization_id": "organization"}),
        ("/project/new", {**team, "project_id": "project"}),
        ("/user/new", {**user, "user_role": "internal_user", "auto_create_key": False}),
        ("/team/member_add", {**team, "member": user}),
        ("/organization/member_add", {"organization_id": "organization", "member": user}),
        ("/customer/new", {"user_id": "customer"}),
        ("/tag/new", {"name": "tag"}),
        ("/model/new", STORED),
        ("/key/generate", {**user, "key": KEY}),
        ("/key/generate", {**user, "key": CALLER_KEY}),
    ):
        assert admin.post(path, body).status in {200, 400, 409}, path
