"""Two organisations with teams and members, and a caller of every role in the first of them."""

import itertools
from dataclasses import dataclass
from typing import Any

from tests.support.admin import Admin

_numbers = itertools.count()

ADMIN, VIEWER, ORGANIZER = "proxy_admin", "proxy_admin_viewer", "org_admin"
LEADER, USER, WATCHER = "team_admin", "internal_user", "viewer"
EVERYBODY = {ADMIN, VIEWER, ORGANIZER, LEADER, USER, WATCHER}
USER_ROLES = {
    ADMIN: ADMIN,
    VIEWER: VIEWER,
    ORGANIZER: "internal_user",
    LEADER: "internal_user",
    USER: "internal_user",
    WATCHER: "internal_user_viewer",
}


def unique(name: str) -> str:
    return f"{name}-{next(_numbers)}"


@dataclass
class Place:
    """An organisation with a team, and a member of both: what a case is about."""

    admin: Admin
    organization: str
    team: str
    member: str

    def key(self) -> str:
        return self.admin.new_key(team_id=self.team, user_id=self.member)

    def named_key(self) -> str:
        """The alias of a key of the member, which tells the team."""
        alias = unique(f"of-{self.team}")
        self.admin.new_key(team_id=self.team, user_id=self.member, key_alias=alias)
        return alias

    def new_team(self) -> str:
        team: str = self.admin.make("/team/new", {"organization_id": self.organization})["team_id"]
        return team

    def joined(self) -> str:
        """Somebody who has just become a member of the team and of the organisation."""
        user = unique("joined")
        self.admin.make("/team/member_add", {"team_id": self.team, "member": {"user_id": user}})
        body = {"organization_id": self.organization, "member": {"user_id": user}}
        self.admin.make("/organization/member_add", body)
        return user

    def project(self) -> str:
        project: str = self.admin.make("/project/new", {"team_id": self.team})["project_id"]
        return project

    def made(self, path: str, **fields: Any) -> Any:
        return self.admin.make(path, fields)


@dataclass
class World:
    """Two places: that of the callers, and that of somebody else."""

    own: Place
    foreign: Place
    keys: dict[str, str]


def build_place(admin: Admin) -> Place:
    organization = admin.make("/organization/new", {"organization_alias": unique("o")})["organization_id"]
    team = admin.make("/team/new", {"organization_id": organization})["team_id"]
    member = unique("member")
    admin.make("/team/member_add", {"team_id": team, "member": {"user_id": member}})
    admin.make("/organization/member_add", {"organization_id": organization, "member": {"user_id": member}})
    return Place(admin, organization, team, member)


def build_world(admin: Admin) -> World:
    """The two places, and a key of every role."""
    own = build_place(admin)
    people = {role: own.member if role == USER else unique(role) for role in USER_ROLES}
    for role, user in people.items():
        if role != USER:
            body = {"user_id": user, "user_role": USER_ROLES[role], "auto_create_key": False}
            admin.make("/user/new", body)
    for role, team_role in ((LEADER, "admin"), (WATCHER, "user")):
        member = {"user_id": people[role], "role": team_role}
        admin.make("/team/member_add", {"team_id": own.team, "member": member})
    for role, organization_role in (
        (ORGANIZER, "org_admin"),
        (LEADER, "internal_user"),
        (WATCHER, "internal_user_viewer"),
    ):
        member = {"user_id": people[role], "role": organization_role}
        admin.make("/organization/member_add", {"organization_id": own.organization, "member": member})
    keys = {role: admin.new_key(user_id=user) for role, user in people.items()}
    return World(own, build_place(admin), keys)
