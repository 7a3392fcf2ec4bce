"""Projects: parts of a team's work with limits of their own."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from sekisho.control.services.context import Services
from sekisho.control.services.fields import budget_columns, extras, plain_columns
from sekisho.control.services.ownership import changed_by, made_by, manages_team, require_managed_team, visible_teams
from sekisho.control.services.references import check_references
from sekisho.control.services.unenforced import LEVEL_EXTRAS
from sekisho.control.services.views import View, administration_view, budgeted_view, own_budget_view
from sekisho.core.caller import Caller
from sekisho.core.errors import AccessDenied, NotFound
from sekisho.identity.rights import sees_everything
from sekisho.store.records import ProjectRecord

_PLAIN: Final = ("project_alias", "description", "metadata")


async def create_project(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """Make a project of a team that the caller manages.

    Raises:
        AccessDenied: the caller does not manage the team.
        Conflict: the id is taken.
    """
    await require_managed_team(services, caller, fields["team_id"])
    await check_references(services, {"budget_id": fields.get("budget_id")})
    record = ProjectRecord(
        project_id=fields.get("project_id") or str(uuid4()),
        team_id=fields["team_id"],
        extra=extras(fields, LEVEL_EXTRAS),
        **made_by(services, caller),
        **budget_columns(fields, services.present()),
        **plain_columns(fields, *_PLAIN),
    )
    record = await services.store.projects.insert(record)
    return _view(record)


async def show_project(services: Services, caller: Caller, project_id: str) -> View:
    """A project with its spend.

    Raises:
        NotFound: there is no such project, or it is not of one of the caller's teams.
    """
    await services.store.journal.flush()
    record = await services.store.projects.get(project_id)
    if record is None or not (sees_everything(caller) or record.team_id in await visible_teams(services, caller)):
        raise NotFound(f"No such project: {project_id!r}.", param="project_id")
    return _view(record)


async def list_projects(
    services: Services, caller: Caller, team_id: str | None, *, page: int, size: int | None
) -> list[View]:
    """One page (of `size`, or all) of the projects of the caller's teams, or of one of them; all to overseers."""
    await services.store.journal.flush()
    visible = None if sees_everything(caller) else await visible_teams(services, caller)
    if team_id is not None:
        visible = [team_id] if visible is None or team_id in visible else []
    records, _ = await services.store.projects.select(team_ids=visible, limit=size, offset=(page - 1) * (size or 0))
    return [_view(record) for record in records]


async def update_project(services: Services, caller: Caller, project_id: str, fields: Mapping[str, Any]) -> View:
    """Change what `fields` sets; null takes a limit away.

    Raises:
        NotFound: there is no such project.
        AccessDenied: the caller does not manage its team.
    """
    record = await _require_managed(services, caller, project_id)
    await check_references(services, {"budget_id": fields.get("budget_id")})
    columns = {
        **budget_columns(fields, services.present(), record),
        **plain_columns(fields, *_PLAIN),
        "extra": record.extra | extras(fields, LEVEL_EXTRAS),
        **changed_by(services, caller),
    }
    await services.store.journal.flush()
    changed = await services.store.projects.update(project_id, columns)
    if changed is None:
        raise NotFound(f"No such project: {project_id!r}.", param="project_id")
    return _view(changed)


async def delete_projects(services: Services, caller: Caller, project_ids: Sequence[str]) -> list[View]:
    """Delete projects that have no keys, all or none, and show what they were.

    Raises:
        NotFound: one of them does not exist.
        AccessDenied: the caller does not manage the team of one of them.
        Conflict: one of them has keys.
    """
    records = [await _require_managed(services, caller, project_id) for project_id in project_ids]
    await services.store.journal.flush()
    await services.store.projects.delete(project_ids)
    return [_view(record) for record in records]


async def _require_managed(services: Services, caller: Caller, project_id: str) -> ProjectRecord:
    record = await services.store.projects.get(project_id)
    if record is None or not (sees_everything(caller) or record.team_id in await visible_teams(services, caller)):
        raise NotFound(f"No such project: {project_id!r}.", param="project_id")
    if not await manages_team(services, caller, record.team_id):
        raise AccessDenied("Only a proxy administrator or an administrator of the project's team may do this.")
    return record


def _view(record: ProjectRecord) -> View:
    return {
        "project_id": record.project_id,
        "project_alias": record.project_alias,
        "description": record.description,
        "team_id": record.team_id,
        **record.extra,
        **budgeted_view(record),
        "litellm_budget_table": own_budget_view(record),
        **administration_view(record),
    }
