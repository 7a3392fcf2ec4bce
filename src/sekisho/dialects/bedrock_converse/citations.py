"""Citations as Converse tells them: in answers, in streams and in turns that are sent back."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from sekisho.core.chat import Citation
from sekisho.dialects.bedrock_converse.forms import Json

_Place = Annotated[int, Meta(ge=0)]
_MEMBERS = {"char": "documentChar", "page": "documentPage", "block": "documentChunk"}


class _Span(Struct, rename="camel"):
    document_index: _Place | None = None
    start: _Place | None = None
    end: _Place | None = None


class _Page(Struct):
    url: str | None = None


class _Location(Struct, rename="camel"):
    document_char: _Span | None = None
    document_page: _Span | None = None
    document_chunk: _Span | None = None
    web: _Page | None = None


class _Source(Struct):
    text: str | None = None


class WireCitation(Struct, rename="camel"):
    """One citation; a stream tells each in one delta."""

    title: str | None = None
    source: str | None = None
    source_content: list[_Source] | None = None
    location: _Location | None = None


def read_citation(told: WireCitation) -> Citation:
    """A citation in neutral form. One that points into no document counts as one of the web, found at its `source`."""
    text = "".join(piece.text or "" for piece in told.source_content or ()) or None
    location = told.location or _Location()
    spans: tuple[tuple[Literal["char", "page", "block"], _Span | None], ...] = (
        ("char", location.document_char),
        ("page", location.document_page),
        ("block", location.document_chunk),
    )
    for kind, span in spans:
        if span is not None:
            return Citation(
                kind=kind,
                cited_text=text,
                title=told.title,
                document=span.document_index,
                start=span.start,
                end=span.end,
            )
    url = location.web.url if location.web is not None else None
    return Citation(kind="web", cited_text=text, title=told.title, url=url or told.source)


def write_citation(citation: Citation) -> Json:
    """A citation as an answer or a delta holds it; what is not known of it is left out."""
    written: Json = {}
    if citation.title:
        written["title"] = citation.title
    if citation.kind == "web" and citation.url:
        written["source"] = citation.url
    if citation.cited_text:
        written["sourceContent"] = [{"text": citation.cited_text}]
    if location := _write_location(citation):
        written["location"] = location
    return written


def write_cited_text(text: str, citations: Sequence[Citation]) -> Json:
    """A block of text with the citations it rests on."""
    cited = [write_citation(citation) for citation in citations]
    return {"citationsContent": {"content": [{"text": text}], "citations": cited}}


def _write_location(citation: Citation) -> Json:
    if citation.kind == "web":
        return {} if citation.url is None else {"web": {"url": citation.url}}
    span = {"documentIndex": citation.document, "start": citation.start, "end": citation.end}
    return {_MEMBERS[citation.kind]: {name: value for name, value in span.items() if value is not None}}
