"""How a target on AWS proves who it is: by signature with keys that are kept fresh, or by a bearer key."""

from collections.abc import Mapping

from sekisho.core.clock import Clock
from sekisho.core.errors import UpstreamError, UpstreamUnavailable
from sekisho.core.target import Sender, SignedRequest
from sekisho.core.wire import WireRequest
from sekisho.providers.aws.chain import CredentialFailure
from sekisho.providers.aws.errors import NativeError
from sekisho.providers.aws.sessions import RoleSessions
from sekisho.providers.aws.signing import Place, Signer
from sekisho.providers.common.failures import misconfigured

_AWAY_SECONDS = 10.0
"""How long a target is left alone when nobody can be asked for its keys."""


class AwsAccess:
    """Authorises requests to one service in one region. `auth` gives keys for a sender, or is a bearer key."""

    def __init__(self, region: str, service: str, auth: RoleSessions | str, clock: Clock) -> None:
        self._signer = Signer(region, service)
        self._auth = auth
        self._clock = clock

    async def authorize(
        self, place: Place, headers: Mapping[str, str], request: WireRequest, sender: Sender | None = None
    ) -> SignedRequest:
        """The request, to be sent with `headers`, and what proves its sender.

        Raises UpstreamError when no credentials can be had.
        """
        if isinstance(self._auth, str):
            return SignedRequest(place.url, {**place.headers, **headers, "authorization": f"Bearer {self._auth}"})
        try:
            keys = await self._auth.source(sender).keys()
        except CredentialFailure as failure:
            raise _credential_error(failure) from failure
        now = self._clock.now()
        return SignedRequest(place.url, self._signer.sign(place, headers, request.body, keys, now, request.digest))

    @property
    def renewable(self) -> bool:
        """Whether asking again may give other credentials."""
        return not isinstance(self._auth, str) and self._auth.renewable

    def note(self, error: NativeError) -> None:
        """Takes note of an error: keys that were refused are fetched anew for the next attempt."""
        if error.credentials_refused and not isinstance(self._auth, str):
            self._auth.expire()


def _credential_error(failure: CredentialFailure) -> UpstreamError:
    """The deployment cannot be called for want of keys; another one may have its own. Why is for the log only."""
    if failure.kind != "unavailable":
        return misconfigured("The credential chain", "CredentialsRefused", failure.message)
    error = UpstreamUnavailable(
        "The keys of the model's deployment cannot be had now.",
        verdict="elsewhere",
        native="CredentialsUnavailable",
        cooldown=_AWAY_SECONDS,
    )
    error.add_note(f"The credential chain says: {failure.message}")
    return error
