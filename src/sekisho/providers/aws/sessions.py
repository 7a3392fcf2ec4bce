"""Who calls, in the name and the tags of a role's session, so that CloudTrail and the bill show it.

`aws_session_name` and the values of `aws_session_tags` may hold `{user_id}`, `{team_id}`, `{organization_id}` and
`{key_alias}`. Then each of the callers has a session of its own, and the keys of the last few are kept.

Limits are those of STS's AssumeRole: 2 to 64 characters of a set for the name, at most 50 tags.
Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

import hashlib
import re
import unicodedata
from collections import OrderedDict

from msgspec.structs import replace

from sekisho.core.clock import Clock
from sekisho.core.target import Sender
from sekisho.providers.aws.chain import CredentialSettings
from sekisho.providers.aws.credentials import CredentialSource, source_for

MAX_SESSIONS = 1000
"""How many callers' keys a deployment keeps; those who called longest ago are asked for anew."""

PLACEHOLDERS = Sender.__struct_fields__
"""What may stand in braces."""

MIN_NAME = 2
MAX_NAME = 64
MAX_TAG_VALUE = 256
_NOBODY = Sender()
_UNKNOWN = "unknown"
_FIELD = re.compile(r"\{(\w*)\}")
_NOT_IN_NAME = re.compile(r"[^\w+=,.@-]", re.ASCII)
_TAG_SIGNS = frozenset("_.:/=+-@")


class RoleSessions:
    """The keys for each sender. Without placeholders all have the same."""

    def __init__(self, settings: CredentialSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._sources: OrderedDict[Sender, CredentialSource] = OrderedDict()
        self._shared = None if has_placeholders(settings) else source_for(settings, clock)

    def source(self, sender: Sender | None) -> CredentialSource:
        """The source of the keys for a sender; None for the gateway itself."""
        if self._shared is not None:
            return self._shared
        sender = sender or _NOBODY
        source = self._sources.get(sender)
        if source is None:
            source = self._sources[sender] = source_for(name_sender(self._settings, sender), self._clock)
            if len(self._sources) > MAX_SESSIONS:
                self._sources.popitem(last=False)
        else:
            self._sources.move_to_end(sender)
        return source

    @property
    def renewable(self) -> bool:
        """Whether asking again may give other keys: those of a role always may."""
        return self._shared is None or self._shared.renewable

    def expire(self) -> None:
        """Keys of this role were refused: none but brand-new ones are handed out again."""
        for source in (self._shared,) if self._shared is not None else tuple(self._sources.values()):
            source.expire()


def find_placeholders(text: str) -> list[str]:
    """The names in braces in a text."""
    return _FIELD.findall(text)


def has_placeholders(settings: CredentialSettings) -> bool:
    """Whether the name or a tag of the session depends on the caller."""
    texts = (settings.session_name, *(value for _, value in settings.session_tags))
    return any("{" in text for text in texts)


def name_sender(settings: CredentialSettings, sender: Sender) -> CredentialSettings:
    """The settings with the sender in the place of placeholders. A tag of which a part is unknown is left out."""
    name = _FIELD.sub(lambda field: _write_name(getattr(sender, field[1])), settings.session_name)
    tags = tuple(
        (key, _shorten(_FIELD.sub(lambda field: _write_tag(getattr(sender, field[1])), value), MAX_TAG_VALUE))
        for key, value in settings.session_tags
        if all(getattr(sender, field) for field in find_placeholders(value))
    )
    return replace(settings, session_name=_fit_name(name), session_tags=tags)


def _fit_name(name: str) -> str:
    return _shorten(name, MAX_NAME) if len(name) >= MIN_NAME else f"{name}-{_hash(name)}"


def _write_name(value: str | None) -> str:
    return _mark(_NOT_IN_NAME.sub("-", value), value) if value else _UNKNOWN


def _write_tag(value: str) -> str:
    return _mark("".join(sign if is_tag_sign(sign) else "-" for sign in value), value)


def is_tag_sign(sign: str) -> bool:
    """Whether a character may stand in a session tag: letters, digits and spaces of any script, and a few signs."""
    return sign in _TAG_SIGNS or unicodedata.category(sign)[0] in "LNZ"


def _mark(written: str, value: str) -> str:
    """What was written, with a hash of the value if that is something else: two users must not become one."""
    return written if written == value else f"{written}-{_hash(value)}"


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 9]}-{_hash(text)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
