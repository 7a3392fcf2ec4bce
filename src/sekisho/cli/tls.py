"""The certificate that the gateway shows its clients."""

import ssl

from msgspec import Struct

from sekisho.core.errors import ConfigError


class Certificate(Struct, frozen=True):
    """PEM files: the chain, the server's own certificate first, and its key; None: it is in the same file."""

    chain: str
    key: str | None = None

    def open(self) -> ssl.SSLContext:
        """What a server needs. Raises ConfigError when the files cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.renew(context)
        return context

    def renew(self, context: ssl.SSLContext) -> None:
        """Read the files anew; connections from now on are shown what is in them. Raises ConfigError."""
        try:
            context.load_cert_chain(self.chain, self.key, _refuse_password)
        except OSError as error:  # an SSLError, too
            files = self.chain if self.key is None else f"{self.chain} and {self.key}"
            raise ConfigError(f"the TLS certificate cannot be used ({files}): {error}") from error


def choose_certificate(chain: str | None, key: str | None) -> Certificate | None:
    """The certificate that options name; None where they name none. Raises ConfigError for a key without one."""
    if chain:
        return Certificate(chain, key or None)
    if key:
        raise ConfigError("--ssl-keyfile needs --ssl-certfile, the certificate that the key is for")
    return None


def _refuse_password() -> str:
    """OpenSSL would ask for it at the terminal."""
    raise ConfigError("the TLS key is protected by a password, which nobody would be there to type; remove it")
