"""Projects: parts of a team's work."""

from collections.abc import Sequence

import sqlalchemy as sa

from sekisho.core.clock import Clock
from sekisho.core.errors import Conflict
from sekisho.store.database import Database
from sekisho.store.entities import EntityRepository
from sekisho.store.records import ProjectRecord
from sekisho.store.tables import keys, projects


class ProjectRepository(EntityRepository[ProjectRecord]):
    """Reads and writes projects."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, projects, ProjectRecord, "project")

    async def select(
        self, *, team_ids: Sequence[str] | None, limit: int | None = None, offset: int = 0
    ) -> tuple[list[ProjectRecord], int]:
        """One page of the projects of these teams, or of all, the newest first, and how many there are."""
        conditions = [] if team_ids is None else [projects.c.team_id.in_(team_ids)]
        return await self.find(*conditions, limit=limit, offset=offset)

    async def delete(self, identities: Sequence[str]) -> int:
        """Delete projects that have no keys, and return how many there were.

        Raises:
            Conflict: a key belongs to one of them, and would be free of its limits.
        """
        async with self._database.change() as connection:
            used = sa.select(keys.c.project_id).where(keys.c.project_id.in_(identities)).limit(1)
            if (name := await connection.scalar(used)) is not None:
                message = f"Project {name!r} has keys. Delete them, or move them to another project, first."
                raise Conflict(message, param="project_ids", status=400, kind="bad_request_error")
            result = await connection.execute(sa.delete(projects).where(projects.c.project_id.in_(identities)))
            return result.rowcount
