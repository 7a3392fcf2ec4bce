"""Writes the compatibility page of the documentation from the expectations of the matrix: `make compatibility`."""

from pathlib import Path

from tests.matrix.clients import CLIENTS
from tests.matrix.expectations import ABSENT, PASSED_ON, find_rule, is_absent
from tests.matrix.features import FEATURES
from tests.matrix.upstreams import UPSTREAMS

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"

_TITLES = {
    "openai_chat": "OpenAI Chat Completions",
    "anthropic_messages": "Anthropic Messages",
    "openai_responses": "OpenAI Responses",
    "bedrock_converse": "Bedrock Converse",
    "bedrock_invoke": "Bedrock InvokeModel",
    "openai_completions": "OpenAI Completions",
}
_PATHS = {
    "openai_chat": "`/v1/chat/completions`",
    "anthropic_messages": "`/v1/messages`",
    "openai_responses": "`/v1/responses`",
    "bedrock_converse": "`/model/{id}/converse`, `…/converse-stream`",
    "bedrock_invoke": "`/model/{id}/invoke`, `…/invoke-with-response-stream`",
    "openai_completions": "`/v1/completions`",
}
_WORKS, _ABSENT = "✓", "–"
_AGENTS = {
    "openai_chat": "Cline, opencode, Kilo, Qwen Code, aider, Continue, OpenAI SDK",
    "anthropic_messages": "Claude Code, Cline, opencode, Kilo, Qwen Code, aider, Continue, Anthropic SDK",
    "openai_responses": "Codex, Cline, opencode, Kilo, Qwen Code, OpenAI SDK",
    "bedrock_converse": "Cline, opencode, Kilo and Continue in Bedrock mode, boto3",
    "bedrock_invoke": "Claude Code in Bedrock mode, AnthropicBedrock, boto3",
    "openai_completions": "Continue's autocomplete, editors' code completion",
}
_INTRODUCTION = """\
# Compatibility

Developers choose the agent, the organisation chooses the models: every API below reaches every upstream below. This
page tells how, and what is refused or needs a word, streamed and not. It is written from the expectations of a test
that runs every API × upstream × feature against the product (`tests/matrix`); `make compatibility` writes it anew.

## Who speaks what

| API | Paths | Agents and SDKs |
|---|---|---|
"""
_ROADS = """
For Claude on Bedrock without a road in its name (`bedrock/us.anthropic.claude-…`), Sekisho passes Converse clients on
to Converse and Anthropic clients on to InvokeModel, and translates all others to Converse.

## Passed on or translated

**Passed on** means that client and upstream speak the same format: the request reaches the upstream byte for byte
except for what the gateway must edit (the model's name, fields that are meant for gateways, what the upstream is known
to refuse), also in fields that Sekisho has never heard of, and so does the answer on its way back. **Translated** means
that it goes through a form that carries text, images, documents, tools, reasoning with signatures, cache marks,
citations and usage.

"""
_LEGEND = """
## What to know

For each API, what works with every upstream, and a table of the rest: ✓ works, with a number: see the note. ✗ is
refused with a status of 4xx and a message that says why. With `drop_params: true`, in a request or in the
configuration, what is refused because the upstream has no such parameter is left out instead, and named in the
`x-sekisho-dropped-params` header of the answer.
"""


def write_page() -> str:
    """The page's text."""
    apis = [f"| {_TITLES[client]} | {_PATHS[client]} | {_AGENTS[client]} |" for client in CLIENTS]
    models = [f"| {upstream.title} | `{upstream.model}` |" for upstream in UPSTREAMS.values()]
    return "\n".join(
        [
            _INTRODUCTION + "\n".join(apis),
            "",
            "| Upstream | As in `litellm_params.model` |",
            "|---|---|",
            *models,
            _ROADS + "\n".join(_write_roads()),
            _LEGEND,
            *(line for client in CLIENTS for line in _write_client(client)),
        ]
    )


def _write_head(first: str, columns: list[str]) -> list[str]:
    return [f"| {first} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]


def _write_roads() -> list[str]:
    rows = [
        " | ".join(
            [f"| {upstream.title}", *("passed on" if name in PASSED_ON[client] else "translated" for client in CLIENTS)]
        )
        + " |"
        for name, upstream in UPSTREAMS.items()
    ]
    return [*_write_head("Upstream", [_TITLES[client] for client in CLIENTS]), *rows]


def _write_client(client: str) -> list[str]:
    """The section of a client's API: what simply works, what it does not have, and a table of the rest with notes."""
    notes: list[str] = []
    plain: list[str] = []
    rows: list[str] = []
    for name, feature in FEATURES.items():
        marks = [_mark(client, upstream, name, notes) for upstream in UPSTREAMS]
        if set(marks) == {_WORKS}:
            plain.append(feature.title[:1].lower() + feature.title[1:])
        elif _ABSENT not in marks:
            rows.append(f"| {feature.title} | {' | '.join(marks)} |")
    lines = [f"### {_TITLES[client]}", "", f"Works with every upstream: {', '.join(plain)}."]
    if absences := [absent.reason for absent in ABSENT if absent.client == client]:
        lines[-1] += " " + " ".join(absences)
    lines += ["", *_write_head("", [upstream.title for upstream in UPSTREAMS.values()]), *rows, ""]
    return [*lines, *(f"{number}. {note}" for number, note in enumerate(notes, 1)), ""]


def _mark(client: str, upstream: str, feature: str, notes: list[str]) -> str:
    if is_absent(client, feature):
        return _ABSENT
    rule = find_rule(client, upstream, feature)
    if rule is None:
        return _WORKS
    if rule.reason not in notes:
        notes.append(rule.reason)
    return f"{'✗' if rule.kind == 'refused' else _WORKS} <sup>{notes.index(rule.reason) + 1}</sup>"


if __name__ == "__main__":
    PAGE.write_text(write_page())
