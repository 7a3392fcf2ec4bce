"""Three AWS accounts at a moto server of their own: real temporary credentials, trust policies that hold.

The hub has a user whose keys the gateway is given. Each of the spokes has a role for it, which trusts that user alone,
with an external id.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request, urlopen

import boto3
from botocore.config import Config

from sekisho.simulator.settings import IssuedKeys

HUB = "111111111111"
SPOKES = ("222222222222", "333333333333")
ACCOUNTS = (HUB, *SPOKES)
ROLE = "bedrock"
EXTERNAL_ID = "sekisho-in-the-tests"
_ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def role_arn(account: str, name: str = ROLE) -> str:
    return f"arn:aws:iam::{account}:role/{name}"


def make_client(service: str, url: str, keys: Mapping[str, str], region: str = "us-east-1") -> Any:
    """boto3's, with keys as STS gives them; it asks once."""
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=url,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys.get("SessionToken"),
        config=Config(retries={"total_max_attempts": 1}),
    )


@dataclass
class Moto:
    """A running server. `access_key` and `secret_key` are the hub user's."""

    url: str
    access_key: str = ""
    secret_key: str = ""
    _issued: dict[str, dict[str, Any]] = field(default_factory=dict)
    _revoked: set[str] = field(default_factory=set)

    @property
    def environment(self) -> dict[str, str]:
        """What makes an AWS client ask this STS, as the hub's user."""
        return {
            "AWS_ENDPOINT_URL_STS": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }

    def client(self, service: str, keys: Mapping[str, str] | None = None) -> Any:
        """boto3's, with keys as STS gives them, or those of the hub's user."""
        return make_client(
            service, self.url, keys or {"AccessKeyId": self.access_key, "SecretAccessKey": self.secret_key}
        )

    def assume_role(self, account: str) -> dict[str, str]:
        """Keys of the hub's user for an account, as STS gives them."""
        return _assume_role(self.client("sts"), role_arn(account), ExternalId=EXTERNAL_ID)

    def revoke_role(self, account: str) -> None:
        """From now on nobody is trusted with the role of an account, and the keys that were issued for it are void."""
        nobody = _write_trust(role_arn(account, "nobody"), EXTERNAL_ID)
        iam = self.client("iam", self.assume_role(account))
        iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=nobody)
        self._revoked.add(account)

    def find_keys(self, access_key: str, token: str | None) -> IssuedKeys | None:
        """The secret of temporary credentials that this server has issued; for the counterpart of Bedrock."""
        if access_key not in self._issued:
            with urlopen(f"{self.url}/moto-api/data.json", timeout=10) as answer:
                roles = json.load(answer)["sts"]["AssumedRole"]
            # What another thread of moto is still making is listed, too; `partition` is what it is given last.
            self._issued = {role["access_key_id"]: role for role in roles if "partition" in role}
        role = self._issued.get(access_key)
        if role is None or role["session_token"] != token or role["account_id"] in self._revoked:
            return None
        return IssuedKeys(secret_key=role["secret_access_key"], account=role["account_id"], arn=role["arn"])

    def enforce(self) -> None:
        """From now on signatures and policies are checked."""
        # As a form, which urllib would call it, moto does not see it.
        request = Request(f"{self.url}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
        with urlopen(request, timeout=10):
            pass


@contextlib.contextmanager
def run_moto(prepare: Callable[[Moto, str], None] = lambda moto, user: None) -> Iterator[Moto]:
    """Serves until the block is left, with everything set up and enforced.

    `prepare` may set up more before that: it is given the ARN of the hub's user.
    """
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.support.moto_server"],
        env={name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_"))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a line for each request
        text=True,
    ) as process:
        try:
            moto = Moto(process.stdout.readline().strip() if process.stdout else "")
            assert moto.url, "moto did not start: run python -m tests.support.moto_server to see why"
            _set_up(moto, prepare)
            yield moto
        finally:
            process.terminate()


def _set_up(moto: Moto, prepare: Callable[[Moto, str], None]) -> None:
    user = _make_hub(moto)
    for account in SPOKES:
        make_role(moto, account, trusted=user)
    prepare(moto, user)
    moto.enforce()


def _make_hub(moto: Moto) -> str:
    """The hub's user, who may assume the roles of this test's accounts. Returns its ARN."""
    iam = moto.client("iam", _root_keys(moto, HUB))
    arn: str = iam.create_user(UserName="gateway")["User"]["Arn"]
    may = {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": "arn:aws:iam::*:role/*"}
    _give(iam.put_user_policy, {"UserName": "gateway"}, may)
    keys = iam.create_access_key(UserName="gateway")["AccessKey"]
    moto.access_key, moto.secret_key = keys["AccessKeyId"], keys["SecretAccessKey"]
    return arn


def make_role(
    moto: Moto, account: str, *, trusted: str, name: str = ROLE, external_id: str | None = EXTERNAL_ID, may: Any = None
) -> None:
    """A role that trusts one principal; to be made before anything is enforced."""
    iam = moto.client("iam", _root_keys(moto, account))
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=_write_trust(trusted, external_id))
    _give(iam.put_role_policy, {"RoleName": name}, may or _ALLOW_ALL)


def _write_trust(trusted: str, external_id: str | None) -> str:
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}
    if external_id is not None:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _give(put: Any, to: Mapping[str, str], statement: Mapping[str, Any]) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    put(**to, PolicyName="may", PolicyDocument=policy)


def _root_keys(moto: Moto, account: str) -> dict[str, str]:
    """Keys for an account, as long as nothing is enforced."""
    anybody = {"AccessKeyId": "AKIAANYBODY", "SecretAccessKey": "anything"}
    return _assume_role(moto.client("sts", anybody), role_arn(account, "root"))


def _assume_role(sts: Any, role: str, **more: str) -> dict[str, str]:
    keys: dict[str, str] = sts.assume_role(RoleArn=role, RoleSessionName="tests", **more)["Credentials"]
    return keys
