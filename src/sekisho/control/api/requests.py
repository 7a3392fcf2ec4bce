"""The bodies of admin requests. A field that LiteLLM knows and Sekisho does not is taken and kept; see `fields.py`."""

from decimal import Decimal
from typing import Annotated, Any, Literal
from unicodedata import category

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sekisho.core.caller import Role
from sekisho.core.durations import parse_duration

MOST_DOLLARS = 9_000_000_000
"""More would not fit into 63 bits of nano-dollars."""
MOST_NAMES = 1_000
"""Keys, teams or members that one request may name; each is looked up."""
_UNWANTED = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, surrogates and line ends."""


def _check_duration(text: str | None) -> str | None:
    if text:
        parse_duration(text)
    return text


def _check_expiry(text: str | None) -> str | None:
    return text if text == "-1" else _check_duration(text)


def _check_text(text: str) -> str:
    """Refuse what PostgreSQL cannot store, or a log line should not carry. Any space that Unicode knows is fine."""
    if any(category(character) in _UNWANTED for character in text):
        raise ValueError("it must not contain control characters")
    return text


Text = Annotated[str, AfterValidator(_check_text)]
Name = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_check_text)]
Names = Annotated[list[Name], Field(max_length=MOST_NAMES)]
Dollars = Annotated[Decimal, Field(ge=0, le=MOST_DOLLARS, allow_inf_nan=False)]
Limit = Annotated[int, Field(ge=0, le=2**62)]
BudgetDuration = Annotated[str | None, AfterValidator(_check_duration)]
Expiry = Annotated[str | None, AfterValidator(_check_expiry)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="allow", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _check_storable(cls, body: object) -> object:
        """Refuse what a database cannot keep, wherever in the body it stands."""
        try:
            encoded = msgspec.json.encode(body)
        except (UnicodeEncodeError, OverflowError, RecursionError):
            raise ValueError("it holds broken Unicode, a number of over 64 bits, or is nested too deeply") from None
        if b"\\u0000" in encoded:
            raise ValueError("it holds a NUL character")
        return body

    def fields(self) -> dict[str, Any]:
        """The fields that the request names, known or not."""
        return self.model_dump(exclude_unset=True)


class BudgetFields(_Request):
    """Limits. Money in dollars; a duration such as `30d` begins a budget window."""

    models: list[Name] | None = None
    max_budget: Dollars | None = None
    soft_budget: Dollars | None = None
    spend: Dollars | None = None
    budget_duration: BudgetDuration = None
    rpm_limit: Limit | None = None
    tpm_limit: Limit | None = None
    max_parallel_requests: Limit | None = None


class KeyFields(BudgetFields):
    """What a key may have."""

    key_alias: Name | None = None
    user_id: Name | None = None
    team_id: Name | None = None
    duration: Expiry = None
    metadata: dict[str, Any] | None = None
    tags: list[Name] | None = None
    blocked: bool | None = None
    allowed_routes: list[Name] | None = None
    key_type: Literal["default", "llm_api", "management", "read_only"] | None = None


class GenerateKey(KeyFields):
    """POST /key/generate. `key` asks for a key of one's own choice, otherwise it is random."""

    key: Name | None = None


class UpdateKey(KeyFields):
    """POST /key/update. `key` is the key or its hash; a field that is not there stays, null takes a limit away."""

    key: Name


class KeyReference(_Request):
    """POST /key/block, /key/unblock and /key/aws_credentials. `key` is the key or its hash."""

    key: Name


class DeleteKeys(_Request):
    """POST /key/delete. `keys` are keys or their hashes."""

    keys: Names | None = None
    key_aliases: Names | None = None


class Member(_Request):
    """Someone in a team, named by id or e-mail address; an unknown one becomes a user."""

    role: Literal["admin", "user"] = "user"
    user_id: Name | None = None
    user_email: Name | None = None


class TeamFields(BudgetFields):
    """What a team may have."""

    team_alias: Name | None = None
    metadata: dict[str, Any] | None = None
    blocked: bool | None = None


class NewTeam(TeamFields):
    """POST /team/new."""

    team_id: Name | None = None
    members_with_roles: Annotated[list[Member], Field(max_length=MOST_NAMES)] = []


class UpdateTeam(TeamFields):
    """POST /team/update. A field that is not there stays, null takes a limit away."""

    team_id: Name


class AddMembers(_Request):
    """POST /team/member_add. `member` is one member or a list."""

    team_id: Name
    member: Member | Annotated[list[Member], Field(max_length=MOST_NAMES)]
    max_budget_in_team: Dollars | None = None
    budget_duration: BudgetDuration = None
    allowed_models: list[Name] | None = None


class NewUser(BudgetFields):
    """POST /user/new. A key for the user is made too, unless `auto_create_key` is false."""

    user_id: Name | None = None
    user_email: Name | None = None
    user_alias: Name | None = None
    user_role: Role | None = None
    teams: Names | None = None
    metadata: dict[str, Any] | None = None
    blocked: bool | None = None
    auto_create_key: bool = True
    duration: Expiry = None
    key_alias: Name | None = None
    team_id: Name | None = None
