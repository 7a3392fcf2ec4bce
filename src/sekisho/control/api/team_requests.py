"""The bodies of requests about teams and their members."""

from typing import Annotated, Any, Literal

from pydantic import Field

from sekisho.control.api.requests import (
    MOST_NAMES,
    Body,
    BudgetDuration,
    BudgetFields,
    Dollars,
    Email,
    Limit,
    Name,
    Names,
)
from sekisho.control.api.routing_fields import Aliases, BudgetFallbacks, RouterSettings
from sekisho.control.services.unenforced import TEAM_EXTRAS
from sekisho.identity.rights import PERMISSIONS, Permission

Permissions = Annotated[list[Permission], Field(max_length=len(PERMISSIONS))]


class Member(Body):
    """Someone in a team, named by id or e-mail address; an unknown one becomes a user."""

    role: Literal["admin", "user"] = "user"
    user_id: Name | None = None
    user_email: Email | None = None


class TeamFields(BudgetFields):
    """What a team may have. The `team_member_…` limits hold for each member that has none of its own."""

    accepted = TEAM_EXTRAS
    team_alias: Name | None = None
    organization_id: Name | None = None
    access_group_ids: Names | None = None
    metadata: dict[str, Any] | None = None
    tags: list[Name] | None = None
    model_aliases: Aliases | None = None
    router_settings: RouterSettings | None = None
    budget_fallbacks: BudgetFallbacks | None = None
    team_member_permissions: Permissions | None = None
    team_member_budget: Dollars | None = None
    team_member_budget_duration: BudgetDuration = None
    team_member_rpm_limit: Limit | None = None
    team_member_tpm_limit: Limit | None = None


class NewTeam(TeamFields):
    """POST /team/new."""

    team_id: Name | None = None
    members_with_roles: Annotated[list[Member], Field(default_factory=list, max_length=MOST_NAMES)]


class UpdateTeam(TeamFields):
    """POST /team/update. A field that is not there stays, null takes a limit away."""

    team_id: Name


class TeamReference(Body):
    """POST /team/block and /team/unblock."""

    team_id: Name


class TeamPermissions(Body):
    """POST /team/permissions_update. What members who are no administrators may do with the team's keys."""

    team_id: Name
    team_member_permissions: Permissions


class DeleteTeams(Body):
    """POST /team/delete. The teams' keys, projects and memberships go with them."""

    team_ids: Annotated[Names, Field(min_length=1)]


class TeamModels(Body):
    """POST /team/model/add and /team/model/delete."""

    team_id: Name
    models: Annotated[Names, Field(min_length=1)]


class MemberLimits(BudgetFields):
    """What a member may use within a team.

    max_budget_in_team, allowed_models: other names of `max_budget` and `models`, which win over them.
    """

    max_budget_in_team: Dollars | None = None
    allowed_models: Names | None = None


class AddMembers(MemberLimits):
    """POST /team/member_add. `member` is one member or a list."""

    team_id: Name
    member: Member | Annotated[list[Member], Field(max_length=MOST_NAMES)]


class AddManyMembers(MemberLimits):
    """POST /team/bulk_member_add."""

    team_id: Name
    members: Annotated[list[Member], Field(min_length=1, max_length=MOST_NAMES)]


class UpdateMember(MemberLimits):
    """POST /team/member_update. A field that is not there stays, null takes a limit away."""

    team_id: Name
    user_id: Name | None = None
    user_email: Email | None = None
    role: Literal["admin", "user"] | None = None


class MemberReference(Body):
    """POST /team/member_delete: a member by id or e-mail address. The keys it has in the team go with it."""

    team_id: Name
    user_id: Name | None = None
    user_email: Email | None = None
