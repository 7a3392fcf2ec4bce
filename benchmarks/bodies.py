"""Request bodies of a given size: a short chat, and the long conversation of a coding agent.

They are made from a fixed seed, so every run sends the same bytes, except for a number in the last message that the
load generator changes with every request (`SLOT`): no gateway can answer from what it read before.
"""

import random
from collections.abc import Callable

import msgspec

SLOT = "@@@@@@@@"
"""Stands where the number of the request goes; as long as that number."""

_SYSTEM_CHARACTERS = 8_000
_TOOLS = 25
_FILE_LINES = (20, 80)
_NAMES = ("account", "budget", "call", "event", "gateway", "hold", "key", "ledger", "model", "price", "road", "stream")
_WORDS = ("the", "a", "of", "to", "in", "is", "which", "when", "before", "after", "not", "never", "must", "every")

Body = dict[str, object]


def chat_body(size: int) -> Body:
    """The messages of a short chat whose JSON has about `size` bytes, in the shape of OpenAI's chat API."""
    dice = random.Random(1)
    system = {"role": "system", "content": "You are a helpful assistant. " + _prose(dice, 200)}

    def with_question(length: int) -> Body:
        question = f"Question {SLOT}: {_prose(dice, length)}"
        return {"messages": [system, {"role": "user", "content": question}], "max_tokens": 1024}

    return with_question(size - _size(with_question(0)))


def agent_body(size: int) -> Body:
    """A coding agent's request of about `size` bytes: a system prompt, tools, and turns of calls and files read."""
    dice = random.Random(2)
    messages: list[object] = [
        {"role": "system", "content": "You are a coding agent.\n" + _prose(dice, _SYSTEM_CHARACTERS)},
        {"role": "user", "content": "<task>\n" + _prose(dice, 400) + "\n</task>"},
    ]
    body: Body = {"messages": messages, "max_tokens": 8192, "tools": [_tool(dice, number) for number in range(_TOOLS)]}
    total = _size(body)
    while total < size:
        turn = _turn(dice, len(messages))
        messages += turn
        total += _size(turn)
    messages += _turn(dice, len(messages), first_line=f"run {SLOT}\n", lines=1)
    return body


def _turn(dice: random.Random, number: int, first_line: str = "", lines: int = 0) -> list[object]:
    """A tool call of the assistant and its result: a file of some lines."""
    path = f"src/{dice.choice(_NAMES)}/{dice.choice(_NAMES)}.py"
    arguments = msgspec.json.encode({"path": path, "encoding": "utf-8"}).decode()
    call = {"id": f"call_{number:06}", "type": "function", "function": {"name": "tool_0", "arguments": arguments}}
    code = "".join(_code_line(dice) for _ in range(lines or dice.randint(*_FILE_LINES)))
    return [
        {"role": "assistant", "content": _prose(dice, 120), "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": first_line + code},
    ]


def _tool(dice: random.Random, number: int) -> object:
    properties = {
        name: {"type": dice.choice(("string", "integer", "boolean")), "description": _prose(dice, 60)}
        for name in dice.sample(_NAMES, 4)
    }
    schema = {"type": "object", "properties": properties, "required": sorted(properties)[:2]}
    function = {"name": f"tool_{number}", "description": _prose(dice, 300), "parameters": schema}
    return {"type": "function", "function": function}


def _prose(dice: random.Random, characters: int) -> str:
    return _fill(characters, lambda: dice.choice(_WORDS if dice.random() < 0.6 else _NAMES) + " ")


def _code_line(dice: random.Random) -> str:
    """A line as files have them: indented, with quotes that JSON must escape."""
    indent = "    " * dice.randint(0, 3)
    return f'{indent}{dice.choice(_NAMES)} = {dice.choice(_NAMES)}["{dice.choice(_WORDS)}"]  # {_prose(dice, 30)}\n'


def _fill(characters: int, piece: Callable[[], str]) -> str:
    pieces: list[str] = []
    length = 0
    while length < characters:
        pieces.append(piece())
        length += len(pieces[-1])
    return "".join(pieces)[:characters]


def _size(value: object) -> int:
    return len(msgspec.json.encode(value))
