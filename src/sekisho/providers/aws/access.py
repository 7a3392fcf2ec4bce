"""How a target on AWS proves who it is: by signature with keys that are kept fresh, or by a bearer key."""

from collections.abc import Mapping

from sekisho.core.clock import Clock
from sekisho.core.errors import UpstreamError, UpstreamMisconfigured, UpstreamUnavailable
from sekisho.core.target import SignedRequest
from sekisho.providers.aws.chain import CredentialFailure
from sekisho.providers.aws.credentials import CredentialSource
from sekisho.providers.aws.errors import NativeError
from sekisho.providers.aws.signing import Place, Signer
from sekisho.providers.common.failures import MISCONFIGURED_COOLDOWN


class AwsAccess:
    """Authorises requests to one service in one region. `auth` is a source of keys, or a bearer key."""

    def __init__(self, region: str, service: str, auth: CredentialSource | str, clock: Clock) -> None:
        self._signer = Signer(region, service)
        self._auth = auth
        self._clock = clock

    async def authorize(self, place: Place, headers: Mapping[str, str], body: bytes) -> SignedRequest:
        """The request with what proves its sender. Raises UpstreamError when no credentials can be had."""
        if isinstance(self._auth, str):
            return SignedRequest(place.url, {**headers, "host": place.host, "authorization": f"Bearer {self._auth}"})
        try:
            keys = await self._auth.keys()
        except CredentialFailure as failure:
            raise _credential_error(failure) from failure
        return SignedRequest(place.url, self._signer.sign(place, headers, body, keys, self._clock.now()))

    @property
    def renewable(self) -> bool:
        """Whether asking again may give other credentials."""
        return not isinstance(self._auth, str) and self._auth.renewable

    def note(self, error: NativeError) -> None:
        """Takes note of an error: keys that were refused are fetched anew for the next attempt."""
        if error.credentials_refused and not isinstance(self._auth, str):
            self._auth.expire()


def _credential_error(failure: CredentialFailure) -> UpstreamError:
    """The deployment cannot be called for want of keys; another one may have its own."""
    if failure.kind == "unavailable":
        return UpstreamUnavailable(failure.message, verdict="elsewhere", native="CredentialsUnavailable", cooldown=10.0)
    return UpstreamMisconfigured(
        failure.message, verdict="elsewhere", native="CredentialsRefused", cooldown=MISCONFIGURED_COOLDOWN
    )
