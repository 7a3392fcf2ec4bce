"""Citations: what a stretch of text rests on. Characters and blocks count from 0, pages from 1; ends are excluded."""

from typing import Final, Literal

import msgspec
from msgspec import Struct

from sekisho.core.chat import Citation

Kind = Literal["char", "page", "block"]
_KINDS: Final[dict[str, tuple[Kind, str, str]]] = {
    "char_location": ("char", "start_char_index", "end_char_index"),
    "page_location": ("page", "start_page_number", "end_page_number"),
    "content_block_location": ("block", "start_block_index", "end_block_index"),
}
_TYPES: Final = {kind: (word, start, end) for word, (kind, start, end) in _KINDS.items()}


class _Told(Struct):
    type: str
    cited_text: str | None = None
    document_index: int | None = None
    document_title: str | None = None
    title: str | None = None
    url: str | None = None
    source: str | None = None
    start_char_index: int | None = None
    end_char_index: int | None = None
    start_page_number: int | None = None
    end_page_number: int | None = None
    start_block_index: int | None = None
    end_block_index: int | None = None


_decode = msgspec.json.Decoder(_Told).decode


def parse_citation(raw: bytes) -> Citation | None:
    """A citation of an answer. None for kinds not known here. Raises msgspec.ValidationError."""
    return _read(_decode(raw))


def convert_citation(value: object) -> Citation | None:
    """A citation of a turn that came back, from decoded JSON; None for what is not one."""
    try:
        return _read(msgspec.convert(value, _Told))
    except msgspec.ValidationError:
        return None


def _read(told: _Told) -> Citation | None:
    if told.type in ("web_search_result_location", "search_result_location"):
        return Citation(kind="web", cited_text=told.cited_text, title=told.title, url=told.url or told.source)
    if told.type not in _KINDS:
        return None
    kind, start, end = _KINDS[told.type]
    return Citation(
        kind=kind,
        cited_text=told.cited_text,
        title=told.document_title,
        document=told.document_index,
        start=getattr(told, start),
        end=getattr(told, end),
    )


def build_citation(citation: Citation) -> dict[str, object] | None:
    """A citation for an answer; None when it does not tell enough for one."""
    if citation.kind == "web":
        if citation.url is None:
            return None
        # Anthropic's own index of its search result is opaque; another vendor's search has none.
        return {
            "type": "web_search_result_location",
            "cited_text": citation.cited_text or "",
            "url": citation.url,
            "title": citation.title,
            "encrypted_index": "",
        }
    if citation.start is None or citation.end is None:
        return None
    word, start, end = _TYPES[citation.kind]
    return {
        "type": word,
        "cited_text": citation.cited_text or "",
        "document_index": citation.document or 0,
        "document_title": citation.title,
        start: citation.start,
        end: citation.end,
    }
