"""What a prompt asks the scripted model to do: plain phrases in English and Japanese, or an exact directive.

Phrases: "Create a file named `hello.txt` with the content `…`", "write `…` to hello.txt", "run the command `…`",
「`hello.txt` というファイルを「…」という内容で作成」, 「`…` を実行」.

Directive, for tests: `[[sim: {…}]]` anywhere in the text, with the fields of `Directive`.
"""

import json
import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from sekisho.simulator.errors import invalid


class ToolWish(Struct, forbid_unknown_fields=True):
    """A tool to call and its input."""

    name: str
    input: dict[str, Any] = {}


class Directive(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to answer. In the turn after the tools the answer is a plain summary.

    text: the text. tools: the tools to call, all in one turn. thinking: the reasoning, if the request lets the model
    think; redacted: reasoning that is hidden, then too. repeat: answer with so many words instead of `text`. stop: the
    stop reason, whatever the answer is. cite: the words that the text cites from a document with citations.
    extra: fields nobody knows, sent at the top of a whole answer or of a stream's first event, in every turn. chop: the
    most bytes that are sent in one piece, so that events and characters arrive in parts, in every turn.
    """

    text: str | None = None
    tools: list[ToolWish] = []
    thinking: str | None = None
    repeat: int | None = None
    stop: str | None = None
    redacted: str | None = None
    cite: str | None = None
    extra: dict[str, Any] = {}
    chop: Annotated[int, Meta(ge=1)] | None = None


class WriteFile(Struct, frozen=True):
    """Create a file. The name may be relative."""

    name: str
    content: str


class RunCommand(Struct, frozen=True):
    """Run a shell command."""

    command: str


Step = WriteFile | RunCommand

_DIRECTIVE = re.compile(r"\[\[sim:\s*(?=\{)")
# What agents add to the user's own words; it may well contain phrases that sound like a task.
_ADDED = re.compile(
    r"<(system-reminder|environment_details|environment_context|user_instructions|file_content)\b[^>]*>(?:(?!<\1\b).)*?</\1>",
    re.S,
)
# Bounded and beginning where a word begins, so that a long text costs no more than its length.
_NAME = (
    r"(?:[`\"'“「](?P<name>[^`\"'“”「」\n]+)[`\"'”」]"
    r"|(?<![a-z0-9_~./-])(?P<bare_name>[a-z0-9_~./-]{0,200}[a-z0-9_]\.[a-z0-9_]{1,20}))"
)
_QUOTED = (
    r"(?:```[\w-]*\n(?P<fence>(?:(?!```)[\s\S])*)```|`(?P<tick>[^`]+)`|\"(?P<double>[^\"]+)\"|“(?P<curly>[^“”]+)”"
    r"|「(?P<corner>[^「」]+)」|'(?P<single>[^']+)')"
)
_UNQUOTED = (
    r"(?P<rest>[^\s`\"'“「][^\n]*?)(?=\.?\s*(?:$|\n)|\.\s|,?\s+(?:and|then)\s+(?:then\s+)?(?:run|execute|finish)\b)"
)
_FILLER = r"(?:\s+(?:exactly|only|just|the|this|following|one|line|contents?|text|words?|string))*"
# Fewer words before a content without quotes, since they may be its own.
_PLAIN_FILLER = r"(?:\s+(?:exactly|only|just|the\s+(?:contents?|text|words?)|contents?|text))*"
_GROUPS = ("fence", "tick", "double", "curly", "corner", "single", "rest")
# Each with a word without which it need not be tried: agents' prompts are long.
_WRITES = [
    (word, re.compile(pattern, re.IGNORECASE))
    for word, pattern in (
        (
            "file",
            rf"\b(?:create|write|make|add|save)\b[^.`\"'\n]{{0,40}}?\bfile\b(?:\s+(?:named|called|at))?\s+{_NAME}"
            rf"[^`\"'“「.\n]{{0,60}}?\b(?:with|containing|(?:that|which)\s+contains|saying)\b"
            rf"(?:{_FILLER}\s*:?\s*{_QUOTED}|{_PLAIN_FILLER}\s*:?\s*{_UNQUOTED})",
        ),
        ("write", rf"\bwrite{_FILLER}\s+{_QUOTED}\s+(?:in)?to(?:\s+(?:a|the|new|file|named|called))*\s+{_NAME}"),
        (
            "ファイル",
            rf"{_NAME}\s*(?:という)?(?:名前の)?ファイルを?[^`「」\n]{{0,20}}{_QUOTED}\s*(?:という|の)?(?:内容|文|と書)",
        ),
    )
]
_RUNS = [
    (word, re.compile(pattern, re.IGNORECASE))
    for word, pattern in (
        ("run", rf"\brun\b(?:\s+(?:the|this|a|shell|following|commands?))*\s*:?\s*{_QUOTED}"),
        ("execute", rf"\bexecute\b(?:\s+(?:the|this|a|shell|following|commands?))*\s*:?\s*{_QUOTED}"),
        ("実行", rf"{_QUOTED}\s*(?:という)?(?:コマンド)?を実行"),
    )
]


def strip_added(text: str) -> str:
    """The user's own words in a user turn."""
    return _ADDED.sub(" ", text).strip()


def read_directive(text: str) -> Directive | None:
    """The directive in a text, if there is one. Raises Refusal when it is malformed."""
    match = _DIRECTIVE.search(text)
    if match is None:
        return None
    try:
        fields, end = json.JSONDecoder().raw_decode(text, match.end())
        if not text[end:].lstrip().startswith("]]"):
            raise ValueError("']]' expected after the JSON object")
        return msgspec.convert(fields, Directive)
    except ValueError as error:  # both decoders' errors are ValueErrors
        raise invalid(f"The [[sim: …]] directive cannot be read: {error}") from None


def read_steps(text: str) -> list[Step]:
    """The steps a text asks for, in its order."""
    lower = text.lower()
    writes = (match for word, pattern in _WRITES if word in lower for match in pattern.finditer(text))
    runs = (match for word, pattern in _RUNS if word in lower for match in pattern.finditer(text))
    found: list[tuple[int, int, Step]] = [
        *((m.start(), m.end(), WriteFile(m["name"] or m["bare_name"], _content(m))) for m in writes),
        *((m.start(), m.end(), RunCommand(_content(m).strip())) for m in runs),
    ]
    steps: list[Step] = []
    reached = 0
    for start, end, step in sorted(found, key=lambda item: item[:2]):
        if start >= reached:
            steps.append(step)
            reached = end
    return steps


def _content(match: re.Match[str]) -> str:
    groups = match.groupdict()
    return next((groups[name] for name in _GROUPS if groups.get(name)), "")
