"""The bodies of admin requests, and what all of them have in common.

A field that LiteLLM knows and that has no effect here is taken and kept (`services/unenforced.py`); any other field
that a body does not have is refused.
"""

from collections.abc import Iterable
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from unicodedata import category

import msgspec
from fastapi import Query
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from sekisho.control.api.routing_fields import Aliases, BudgetFallbacks, RouterSettings
from sekisho.control.services.fields import moment
from sekisho.control.services.unenforced import KEY_EXTRAS, USER_EXTRAS
from sekisho.core.caller import Role
from sekisho.core.durations import check_zone, parse_duration

MOST_DOLLARS = 9_000_000_000
"""More would not fit into 63 bits of nano-dollars."""
MOST_MODELS = 200
MOST_NAMES = 1_000
"""Keys, teams or members that one request may name; each is looked up."""
UNKNOWN_FIELD = "unknown_field"
"""The type of the validation error about a field that nobody knows; its context names it in `field`."""
_UNWANTED = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, surrogates and line ends."""

Value = TypeVar("Value")


def _check_duration(text: str | None) -> str | None:
    if text:
        parse_duration(text)
    return text


def _check_expiry(text: str | None) -> str | None:
    return text if text == "-1" else _check_duration(text)


def _check_moment(text: str | None) -> str | None:
    if text:
        moment(text, 0.0)
    return text


def _check_zone(name: str | None) -> str | None:
    return check_zone(name) if name else name


def _refuse_boolean(value: object) -> object:
    """Refuse true and false, which Python takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("a number is expected")  # what pydantic takes for a wrong value
    return value


def _check_text(text: str) -> str:
    """Refuse what PostgreSQL cannot store, or a log line should not carry. Any space that Unicode knows is fine."""
    if any(category(character) in _UNWANTED for character in text):
        raise ValueError("it must not contain control characters")
    return text


Text = Annotated[str, AfterValidator(_check_text)]
Name = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_check_text)]
Email = Annotated[Name, AfterValidator(str.lower)]
"""An e-mail address, which is one and the same in any case of letters."""
Names = Annotated[list[Name], Field(max_length=MOST_NAMES)]
Page = Annotated[int, Query(ge=1, le=1_000_000)]
PageSize = Annotated[int, Query(ge=1, le=1_000)]
Dollars = Annotated[Decimal, Field(ge=0, le=MOST_DOLLARS, allow_inf_nan=False)]
Limit = Annotated[int, BeforeValidator(_refuse_boolean), Field(ge=0, le=2**62)]
MOST_WINDOWS = 10
"""Budgets that one level may have at once; each is an account that a call is booked on."""
PerModel = Annotated[dict[Name, Value], Field(max_length=MOST_MODELS)]
BudgetDuration = Annotated[str | None, AfterValidator(_check_duration)]
Expiry = Annotated[str | None, AfterValidator(_check_expiry)]
Moment = Annotated[str | None, AfterValidator(_check_moment)]
"""A duration from now, or a time in ISO 8601."""
LimitType = Literal["guaranteed_throughput", "best_effort_throughput", "dynamic"]
TimeZone = Annotated[str | None, Field(max_length=64), AfterValidator(_check_zone)]


class Body(BaseModel):
    """The body of a request; `accepted` are the fields that are taken besides its own, but have no effect."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())
    accepted: ClassVar[frozenset[str]] = frozenset()

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

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, body: object) -> object:
        """Refuse a field that is neither of this body nor of LiteLLM's: it is misspelt, and would be without effect."""
        if isinstance(body, dict):
            for name in body:
                if name not in cls.model_fields and name not in cls.accepted:
                    raise _unknown_field(str(name), cls.model_fields)
        return body

    def fields(self) -> dict[str, Any]:
        """The fields that the request names."""
        return self.model_dump(exclude_unset=True)


def _unknown_field(name: str, known: Iterable[str]) -> PydanticCustomError:
    shown = "".join(character for character in name[:64] if character.isprintable())
    nearest = get_close_matches(shown, list(known), n=1)
    hint = f"Did you mean {nearest[0]}?" if nearest else "See /docs for the fields there are."
    return PydanticCustomError(UNKNOWN_FIELD, "there is no such field. {hint}", {"field": shown, "hint": hint})


class BudgetWindowBody(Body):
    """One of several budgets that hold at once: dollars in each window of a length."""

    budget_duration: Annotated[str, AfterValidator(_check_duration), Field(min_length=1)]
    max_budget: Dollars
    accepted = frozenset({"reset_at", "spend"})


class ModelBudgetBody(Body):
    """The budget of one model; without `time_period` it is for ever. LiteLLM has two words for each of the two."""

    budget_limit: Dollars = Field(validation_alias=AliasChoices("budget_limit", "max_budget"))
    time_period: BudgetDuration = Field(None, validation_alias=AliasChoices("time_period", "budget_duration"))
    accepted = frozenset({"reset_at", "spend", "max_budget", "budget_duration"})


ModelBudget = Annotated[
    Annotated[Dollars, Tag("dollars")] | Annotated[ModelBudgetBody, Tag("budget")],
    Discriminator(lambda budget: "budget" if isinstance(budget, dict | ModelBudgetBody) else "dollars"),
]
"""Told apart by their form, so that an error is about the one that was meant."""


class LimitFields(Body):
    """Limits. Money in dollars; a duration such as `30d` begins a budget window.

    budget_limits: further budgets that hold at the same time, one for each duration.
    model_max_budget: dollars by model, for ever or (`{"budget_limit": 5, "time_period": "1d"}`) for a time.
    budget_rollover: what a budget window leaves is added to the next one.
    budget_timezone: on whose clock budget windows end, such as `Asia/Tokyo`.
    """

    max_budget: Dollars | None = None
    soft_budget: Dollars | None = None
    budget_duration: BudgetDuration = None
    budget_timezone: TimeZone = None
    budget_limits: Annotated[list[BudgetWindowBody], Field(max_length=MOST_WINDOWS)] | None = None
    budget_rollover: bool | None = None
    rpm_limit: Limit | None = None
    tpm_limit: Limit | None = None
    tpd_limit: Limit | None = None
    max_parallel_requests: Limit | None = None
    model_max_budget: PerModel[ModelBudget] | None = None
    model_rpm_limit: PerModel[Limit] | None = None
    model_tpm_limit: PerModel[Limit] | None = None


class BudgetFields(LimitFields):
    """Limits, and what a level of the hierarchy has besides.

    budget_id: a budget made with /budget/new, which says what stays open here.
    temp_budget_increase: dollars added to `max_budget` until `temp_budget_expiry`, a duration from now or a time.
    expires: from then on nothing may be used; a duration from now or a time.
    """

    models: Names | None = None
    budget_id: Name | None = None
    spend: Dollars | None = None
    temp_budget_increase: Dollars | None = None
    temp_budget_expiry: Moment = None
    blocked: bool | None = None
    expires: Moment = None


class KeyFields(BudgetFields):
    """What a key may have."""

    accepted = KEY_EXTRAS
    key_alias: Name | None = None
    user_id: Name | None = None
    team_id: Name | None = None
    project_id: Name | None = None
    organization_id: Name | None = None
    access_group_ids: Names | None = None
    duration: Expiry = None
    metadata: dict[str, Any] | None = None
    tags: list[Name] | None = None
    aliases: Aliases | None = None
    router_settings: RouterSettings | None = None
    budget_fallbacks: BudgetFallbacks | None = None
    allowed_routes: list[Name] | None = None
    rpm_limit_type: LimitType | None = None
    tpm_limit_type: LimitType | None = None
    key_type: Literal["default", "llm_api", "management", "read_only"] | None = None


class GenerateKey(KeyFields):
    """POST /key/generate. `key` asks for a key of one's own choice, otherwise it is random."""

    key: Name | None = None


class GenerateServiceKey(GenerateKey):
    """POST /key/service-account/generate. The key belongs to the team, and to no user."""

    team_id: Name


class UpdateKey(KeyFields):
    """POST /key/update. `key` is the key or its hash; a field that is not there stays, null takes a limit away."""

    key: Name


class UpdateKeys(Body):
    """POST /key/bulk_update."""

    keys: Annotated[list[UpdateKey], Field(min_length=1, max_length=MOST_NAMES)]


class RegenerateKey(KeyFields):
    """POST /key/{key}/regenerate. Fields of a key that are given are changed too.

    new_key: a text of one's own choice; otherwise it is random.
    grace_period: a duration for which the old text goes on to open the door.
    """

    key: Name | None = None
    new_key: Name | None = None
    grace_period: BudgetDuration = None


class ResetSpend(Body):
    """POST /key/{key}/reset_spend. Dollars that the open budget window is to begin with."""

    reset_to: Dollars


class KeyReference(Body):
    """POST /key/block, /key/unblock and /key/aws_credentials. `key` is the key or its hash."""

    key: Name


class KeyReferences(Body):
    """POST /v2/key/info. `keys` are keys or their hashes; the caller's own without."""

    keys: Names | None = None


class DeleteKeys(Body):
    """POST /key/delete. `keys` are keys or their hashes."""

    keys: Names | None = None
    key_aliases: Names | None = None


class UserFields(BudgetFields):
    """What a user may have."""

    accepted = USER_EXTRAS
    user_email: Email | None = None
    user_alias: Name | None = None
    user_role: Role | None = None
    metadata: dict[str, Any] | None = None


class NewUser(UserFields):
    """POST /user/new. A key for the user is made too, unless `auto_create_key` is false."""

    user_id: Name | None = None
    teams: Names | None = None
    organizations: Names | None = None
    auto_create_key: bool = True
    duration: Expiry = None
    key_alias: Name | None = None
    team_id: Name | None = None


class UpdateUser(UserFields):
    """POST /user/update, by id or e-mail address. A field that is not there stays, null takes a limit away."""

    user_id: Name | None = None


class UpdateUsers(Body):
    """POST /user/bulk_update."""

    users: Annotated[list[UpdateUser], Field(min_length=1, max_length=MOST_NAMES)]


class DeleteUsers(Body):
    """POST /user/delete. The users' keys and memberships go with them."""

    user_ids: Annotated[Names, Field(min_length=1)]
