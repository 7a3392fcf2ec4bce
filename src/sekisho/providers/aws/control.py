"""Questions to AWS's control planes: seldom, in threads, and answered or not without an exception of botocore's."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sekisho.providers.aws.chain import CredentialFailure
from sekisho.providers.aws.clients import in_thread, make_client
from sekisho.providers.aws.signing import Keys

_Answer = TypeVar("_Answer")

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_UNKNOWN = frozenset({"ResourceNotFoundException", "NoSuchResourceException"})


class NotTold(Exception):
    """A question that was not answered. The message is for operators: it may name accounts and roles, never keys.

    kind: `denied`, these keys may not ask; `unknown`, there is no such thing; `keys`, there are no keys to ask with;
      `unreached`, nobody answered; `failed`, anything else.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class ControlPlane:
    """One service's control plane in one region, asked with one source of keys. `endpoint` None is the region's own."""

    def __init__(
        self, service: str, region: str, keys: Callable[[], Awaitable[Keys]], endpoint: str | None = None
    ) -> None:
        self.service = service
        self._region = region
        self._keys = keys
        self._endpoint = endpoint

    async def ask(self, question: Callable[[Any], _Answer]) -> _Answer:
        """What `question` gets out of a botocore client. Raises NotTold."""
        try:
            keys = await self._keys()
        except CredentialFailure as failure:
            raise NotTold("unreached" if failure.kind == "unavailable" else "keys", failure.message) from failure
        return await in_thread(lambda: self._ask_now(question, keys))

    def _ask_now(self, question: Callable[[Any], _Answer], keys: Keys) -> _Answer:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow to import, see aws.clients

        try:
            with contextlib.closing(make_client(self.service, self._region, keys, self._endpoint)) as client:
                return question(client)
        except ClientError as error:
            answer = error.response.get("Error", {})
            code = str(answer.get("Code", "Unknown"))
            kind = "denied" if code in _DENIED else "unknown" if code in _UNKNOWN else "failed"
            raise NotTold(kind, f"{code}: {answer.get('Message', '')}") from error
        except BotoCoreError as error:
            raise NotTold("unreached", f"{self.service} in {self._region} was not reached: {error}") from error
