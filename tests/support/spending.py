"""Two teams that spend money, for tests of reports."""

from typing import Any

from sekisho.core.usage import Usage
from tests.support.admin import MASTER_KEY, Admin, error_of, hash_of

DAY_MS = 86_400_000
MIDNIGHT = 1_699_920_000_000
"""2023-11-14, today, in milliseconds."""
WEEK = {"start_date": "2023-11-08", "end_date": "2023-11-14"}
TODAY = {"start_date": "2023-11-14", "end_date": "2023-11-14"}
YESTERDAY = {"start_date": "2023-11-13", "end_date": "2023-11-14"}
SONNET = "us.anthropic.claude-sonnet"
DOLLAR = 10**9


class World:
    """Two teams of one organisation with a key each, some calls of theirs, and others of nobody."""

    def __init__(self, admin: Admin) -> None:
        self.admin = admin
        self.organization = admin.make("/organization/new", {"organization_alias": "Acme"})["organization_id"]
        self.chief = self._user("chief")
        admin.make(
            "/organization/member_add",
            {"organization_id": self.organization, "member": {"role": "org_admin", "user_id": "chief"}},
        )
        self.keys: dict[str, str] = {}
        self.teams: dict[str, str] = {}
        for team, (lead, member) in {"Red": ("rita", "ron"), "Blue": ("bea", "bob")}.items():
            members = [{"role": "admin", "user_id": lead}, {"role": "user", "user_id": member}]
            made = {"team_alias": team, "organization_id": self.organization, "members_with_roles": members}
            self.teams[team] = admin.make("/team/new", made)["team_id"]
            for user in (lead, member):
                fields = {"user_id": user, "team_id": self.teams[team], "key_alias": f"key of {user}"}
                self.keys[user] = admin.make("/key/generate", fields)["key"]
        self.keys["lonely"] = admin.new_key()
        self.keys["chief"] = self.chief
        self._call("rita", "Red", 1 * DOLLAR, days_ago=0, tags=("ci", "night"))
        self._call("ron", "Red", 2 * DOLLAR, days_ago=0, end_user="customer-1")
        self._call("ron", "Red", 3 * DOLLAR, days_ago=2, upstream_model=None, provider=None, status="failure")
        self._call("bob", "Blue", 4 * DOLLAR, days_ago=2, tags=("ci",))
        self._call("lonely", None, None, days_ago=6, status="client_closed", upstream_model="nobody.knows")

    def _user(self, user_id: str) -> str:
        key: str = self.admin.make("/user/new", {"user_id": user_id})["key"]
        return key

    def _call(self, owner: str, team: str | None, cost: int | None, *, days_ago: int, **fields: Any) -> None:
        start = MIDNIGHT - days_ago * DAY_MS
        known: dict[str, Any] = {
            "key_hash": hash_of(self.keys[owner]),
            "user_id": None if owner == "lonely" else owner,
            "team_id": None if team is None else self.teams[team],
            "organization_id": None if team is None else self.organization,
            "model_group": "sonnet",
            "upstream_model": SONNET,
            "provider": "bedrock",
            "usage": Usage(input=100, output=20, cache_read=30, cache_write_5m=4, cache_write_1h=2),
        }
        self.admin.record(cost, started_at=start, ended_at=start + 9, **known | fields)

    def read(self, path: str, *, by: str | None = None, **query: Any) -> Any:
        return self.admin.read(path, by=MASTER_KEY if by is None else self.keys[by], **query)

    def refused(self, path: str, status: int, *, by: str, **query: Any) -> None:
        error_of(self.admin.get(path, by=self.keys[by], **query), status)

    def hash(self, owner: str) -> str:
        return hash_of(self.keys[owner])
