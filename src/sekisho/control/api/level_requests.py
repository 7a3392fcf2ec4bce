"""The bodies of requests about organisations, projects, customers, tags, budgets and access groups."""

from typing import Annotated, Any, Literal

from pydantic import Field

from sekisho.control.api.requests import MOST_NAMES, Body, BudgetFields, Dollars, Email, LimitFields, Name, Names, Text
from sekisho.control.services.unenforced import LEVEL_EXTRAS

Description = Annotated[Text, Field(max_length=4096)]
OrganizationRole = Literal["org_admin", "internal_user", "internal_user_viewer"]


class OrganizationFields(BudgetFields):
    """What an organisation may have."""

    accepted = LEVEL_EXTRAS
    metadata: dict[str, Any] | None = None


class NewOrganization(OrganizationFields):
    """POST /organization/new."""

    organization_alias: Name
    organization_id: Name | None = None


class UpdateOrganization(OrganizationFields):
    """PATCH or POST /organization/update. A field that is not there stays, null takes a limit away."""

    organization_id: Name
    organization_alias: Name | None = None


class DeleteOrganizations(Body):
    """DELETE or POST /organization/delete. Their teams and keys go with them."""

    organization_ids: Annotated[Names, Field(min_length=1)]


class OrganizationMemberBody(Body):
    """Someone in an organisation, named by id or e-mail address; an unknown one becomes a user."""

    role: OrganizationRole = "internal_user"
    user_id: Name | None = None
    user_email: Email | None = None


class OrganizationMemberLimits(BudgetFields):
    """What a member may use within an organisation; `max_budget_in_organization` wins over `max_budget`."""

    max_budget_in_organization: Dollars | None = None


class AddOrganizationMembers(OrganizationMemberLimits):
    """POST /organization/member_add. `member` is one member or a list."""

    organization_id: Name
    member: OrganizationMemberBody | Annotated[list[OrganizationMemberBody], Field(max_length=MOST_NAMES)]


class UpdateOrganizationMember(OrganizationMemberLimits):
    """PATCH or POST /organization/member_update. A field that is not there stays, null takes a limit away."""

    organization_id: Name
    user_id: Name | None = None
    user_email: Email | None = None
    role: OrganizationRole | None = None


class OrganizationMemberReference(Body):
    """DELETE or POST /organization/member_delete: a member by id or e-mail address."""

    organization_id: Name
    user_id: Name | None = None
    user_email: Email | None = None


class ProjectFields(BudgetFields):
    """What a project may have."""

    accepted = LEVEL_EXTRAS
    project_alias: Name | None = None
    description: Description | None = None
    metadata: dict[str, Any] | None = None


class NewProject(ProjectFields):
    """POST /project/new."""

    team_id: Name
    project_id: Name | None = None


class UpdateProject(ProjectFields):
    """POST /project/update. A field that is not there stays, null takes a limit away."""

    project_id: Name


class DeleteProjects(Body):
    """DELETE or POST /project/delete. A project that has keys is not deleted."""

    project_ids: Annotated[Names, Field(min_length=1)]


class CustomerFields(BudgetFields):
    """What a customer may have. `default_model` answers where none is asked for."""

    accepted = LEVEL_EXTRAS
    user_id: Name
    alias: Name | None = None
    default_model: Name | None = None
    metadata: dict[str, Any] | None = None


class CustomerReferences(Body):
    """POST /customer/block, /customer/unblock and /customer/delete."""

    user_ids: Annotated[Names, Field(min_length=1)]


class TagFields(BudgetFields):
    """POST /tag/new and /tag/update."""

    accepted = LEVEL_EXTRAS
    name: Name
    description: Description | None = None
    metadata: dict[str, Any] | None = None


class TagReference(Body):
    """POST /tag/delete."""

    name: Name


class TagReferences(Body):
    """POST /tag/info."""

    names: Annotated[Names, Field(min_length=1)]


class NewBudget(LimitFields):
    """POST /budget/new: limits with a name, which keys, teams, users, members, customers and others refer to."""

    accepted = LEVEL_EXTRAS
    budget_id: Name | None = None


class UpdateBudget(LimitFields):
    """POST /budget/update. It changes the limits of everything that refers to the budget."""

    accepted = LEVEL_EXTRAS
    budget_id: Name


class BudgetReferences(Body):
    """POST /budget/info."""

    budgets: Annotated[Names, Field(min_length=1)]


class DeleteBudget(Body):
    """POST /budget/delete."""

    id: Name


class NewAccessGroup(Body):
    """POST /access_group/new: a name for models, for names with `*`, and for other access groups."""

    access_group: Name
    model_names: Annotated[Names, Field(min_length=1)]
    description: Description | None = None


class AccessGroupFields(Body):
    """PUT /access_group/{access_group}/update."""

    model_names: Annotated[Names, Field(min_length=1)] | None = None
    description: Description | None = None


class UpdateAccessGroup(AccessGroupFields):
    """POST /access_group/update."""

    access_group: Name


class AccessGroupReference(Body):
    """POST /access_group/delete."""

    access_group: Name
