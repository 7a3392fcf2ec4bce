"""Chunks of text that differ from one before in nothing but the text, which are nearly all of a stream's."""

from typing import Final

import msgspec

_encode: Final = msgspec.json.Encoder().encode
_NAME: Final = b'"content":'
_PADDING: Final = b'"obfuscation":"'
_MOST_TRIES: Final = 4


class RepeatedChunk:
    """What a stream's chunks of text have in common, learned from one that was read in full.

    OpenAI's own chunks end with a padding of random length, which is let pass.
    """

    __slots__ = ("_after", "_before", "_padded", "_tries")

    def __init__(self) -> None:
        self._before = b""
        self._after = b""
        self._padded = False
        self._tries = 0

    def learn(self, data: bytes, text: str) -> None:
        """Take a chunk that says just this text as the pattern of those that follow."""
        if self._tries >= _MOST_TRIES:
            return
        self._tries += 1
        before, _, after = data.partition(_NAME + _encode(text))
        if not after or _NAME in before or _NAME in after:
            return  # written with blanks or with other escapes, or it says more than one thing
        self._before, self._after = before + _NAME + b'"', b'"' + after
        head, padding, tail = self._after.partition(_PADDING)
        self._padded = bool(padding) and tail.endswith(b'"}') and _is_plain(tail[:-2])
        if self._padded:
            self._after = head + padding

    def find_text(self, data: bytes) -> str | None:
        """The text of a chunk that differs in nothing else; None for any other, and for texts with escapes."""
        before, after = self._before, self._after
        if not before or not data.startswith(before):
            return None
        if self._padded:
            text, found, padding = data[len(before) :].partition(after)
            if not found or not padding.endswith(b'"}') or not _is_plain(padding[:-2]):
                return None
        elif data.endswith(after):
            text = data[len(before) : -len(after)]
        else:
            return None
        try:
            said = text.decode()
        except UnicodeDecodeError:
            return None
        return said if said.isprintable() and '"' not in said and "\\" not in said else None


def _is_plain(text: bytes) -> bool:
    """Whether this may stand between the quotes of a JSON text as it is."""
    return b'"' not in text and b"\\" not in text and b"\n" not in text
