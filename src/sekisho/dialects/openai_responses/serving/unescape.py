"""Reads the one text of `{"input": "…"}`, which a free-form tool is given, also while the JSON is still coming."""

import re
from typing import Final

import msgspec

_OPENING: Final = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_LONGEST_OPENING: Final = 64
# The text up to its closing quote; then what of it can be decoded although more may come: no escape cut short, and no
# first half of a surrogate pair.
_TEXT: Final = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)
_WHOLE: Final = re.compile(
    r"(?:[^\\]|\\[^u]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\u[dD][89abAB]..\\u[0-9a-fA-F]{4})*", re.DOTALL
)


class FreeFormReader:
    """Gives the text piece by piece, from fragments cut anywhere.

    `text` is what was given so far, `sound` whether it is the text indeed: arguments that do not begin as they should,
    or are no JSON, cannot be read this way.
    """

    def __init__(self) -> None:
        self.text = ""
        self.sound = False
        self._held = ""
        self._closed = False

    def feed(self, fragment: str) -> str:
        """The text that `fragment` completes, maybe none."""
        if self._closed:
            return ""
        self._held += fragment
        if not self.sound and not self._open():
            return ""
        written = _TEXT.match(self._held)
        assert written is not None  # it matches the empty text
        self._closed = written.end() < len(self._held) and self._held[written.end()] == '"'
        whole = _WHOLE.match(written[0])
        assert whole is not None
        self._held = self._held[whole.end() :]
        more = self._decode(whole[0])
        self.text += more
        return more

    def _open(self) -> bool:
        head = _OPENING.match(self._held)
        if head is None:
            self._closed = len(self._held) > _LONGEST_OPENING
            return False
        self._held = self._held[head.end() :]
        self.sound = True
        return True

    def _decode(self, escaped: str) -> str:
        if not escaped:
            return ""
        try:
            return msgspec.json.decode(f'"{escaped}"', type=str)
        except msgspec.DecodeError:
            self.sound, self._closed = False, True
            return ""


def read_free_form(arguments: str) -> str:
    """The text in whole arguments; what came of it when they were cut off; else the arguments as they are."""
    try:
        fields = msgspec.json.decode(arguments)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        reader = FreeFormReader()
        reader.feed(arguments)
        return reader.text if reader.sound else arguments
    value = fields.get("input") if isinstance(fields, dict) else None
    return value if isinstance(value, str) else arguments
