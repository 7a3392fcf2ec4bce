"""moto's server with trust policies that hold across accounts, where moto asks only those of the caller's own.

Run as a program: it serves on a free port of the loopback until its standard input ends, and prints its URL.
"""

import sys
from typing import Any

from moto.iam.access_control import IAMRequestBase
from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend, iam_backends
from moto.server import ThreadedMotoServer


def _account_of(role_arn: str) -> str:
    return role_arn.split(":")[4]


def _own_backend(self: IAMRequestBase) -> IAMBackend:
    """The IAM of the account of the role that is being assumed, else that of the caller."""
    return iam_backends[getattr(self, "role_account", self.account_id)]["aws"]


_check_action_permitted = IAMRequestBase.check_action_permitted


def _check_with_trust(self: Any, resource: str) -> None:
    if self._action == "sts:AssumeRole":
        self.role_account = _account_of(resource)
        if not _is_met(self, resource):
            self._raise_access_denied()
    _check_action_permitted(self, resource)


def _is_met(request: Any, role_arn: str) -> bool:
    """Whether there is such a role, and an external id where it asks for one: moto lets both pass."""
    try:
        role = request.backend.get_role_by_arn(role_arn)
    except NotFoundException:
        return False
    return "sts:ExternalId" not in role.assume_role_policy_document or "ExternalId" in request._data


IAMRequestBase.backend = property(_own_backend)  # type: ignore[assignment,method-assign]  # a patch
IAMRequestBase.check_action_permitted = _check_with_trust  # type: ignore[method-assign]  # a patch

if __name__ == "__main__":
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop()
