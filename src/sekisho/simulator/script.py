"""The scripted model: reads a conversation and says, always in the same way, what comes next.

It does what the last user text asks for (`tasks`), one step a turn, with whatever tools the agent has (`tools`). After
the last step, or after a tool that failed, it ends with a summary. Asked for nothing it knows, it answers with a short
text that says SIMULATED and repeats a piece of the prompt.
"""

import base64
import hashlib
import re
from typing import Any

import msgspec
from msgspec import Struct

from sekisho.simulator.accounting import truncate
from sekisho.simulator.prompt import (
    Answer,
    Block,
    Prompt,
    RedactedBlock,
    Source,
    TextBlock,
    ThinkingBlock,
    ToolBlock,
    claude_version,
    seal_thinking,
    sign_thinking,
)
from sekisho.simulator.schema import check_schema, minimal_instance
from sekisho.simulator.tasks import Directive, RunCommand, Step, read_directive, read_steps, strip_added
from sekisho.simulator.tools import choose_finisher, choose_tool, fill_tool, find_folder, is_finisher

_PIECE = 80
# Agents that speak OpenAI's chat have no field for a failed tool: they say it in the text.
_FAILED = re.compile(r'"success":\s*false|^\s*\{"error"')


class _Task(Struct):
    """Where the conversation stands: what was asked, and what came of it so far."""

    asked: str
    directive: Directive | None = None
    steps: list[Step] = []
    turns: int = 0
    finished: bool = False
    results: str | None = None
    failed: bool = False


class _Reply(Struct):
    """What to say in this turn: text, tool calls, or both."""

    text: str | None = None
    calls: list[tuple[str, dict[str, Any]]] = []
    stop: str | None = None


def play(prompt: Prompt) -> Answer:
    """The model's answer, cut where a stop sequence or the token limit says.

    Raises Refusal for a directive or a schema that cannot be read.
    """
    for spec in prompt.specs:
        check_schema(spec["inputSchema"].get("json", {}), f"The tool {spec['name']}")
    if prompt.schema is not None:
        check_schema(prompt.schema, "The answer's format")
    task = _read_task(prompt)
    reply = _decide(prompt, task)
    blocks: list[Block] = _think(prompt, task)
    if reply.text is not None:
        blocks.append(TextBlock(reply.text, _cite(prompt, task.directive)))
    seed = hashlib.sha256(msgspec.json.encode(prompt.messages)).digest()
    calls = reply.calls if prompt.parallel else reply.calls[:1]
    for index, (name, tool_input) in enumerate(calls):
        blocks.append(ToolBlock(_tool_id(prompt, seed, index), name, _write_input(prompt, name, tool_input)))
    answer = Answer(blocks=blocks, stop_reason="tool_use" if calls else "end_turn")
    answer = truncate(_stop(answer, prompt.stop), prompt.max_tokens)
    if reply.stop is not None:
        answer.stop_reason = reply.stop
    if task.directive is not None:
        answer.extra, answer.chop = task.directive.extra, task.directive.chop
    return answer


def _tool_id(prompt: Prompt, seed: bytes, index: int) -> str:
    return prompt.tool_prefix + base64.b32encode(hashlib.sha256(seed + bytes([index % 256])).digest()).decode()[:22]


def _write_input(prompt: Prompt, name: str, tool_input: dict[str, Any]) -> str:
    """The JSON of a tool's input; for a tool that takes free text, that text, which is the field `input`."""
    if name in prompt.free_tools:
        return str(tool_input.get("input", ""))
    return msgspec.json.encode(tool_input).decode()


def _cite(prompt: Prompt, directive: Directive | None) -> tuple[Source, ...]:
    """What the text rests on: the first document of the prompt that may be cited."""
    if directive is None or directive.cite is None:
        return ()
    blocks = (block for message in prompt.messages for block in message["content"])
    documents = [block["document"] for block in blocks if block.get("document")]
    for index, document in enumerate(documents):
        if (document.get("citations") or {}).get("enabled"):
            return (Source(index, document.get("title") or document.get("name") or "", directive.cite),)
    return ()


def _texts(message: dict[str, Any]) -> str:
    return "\n".join(block["text"] for block in message["content"] if isinstance(block.get("text"), str))


def _read_task(prompt: Prompt) -> _Task:
    """Goes back through the running tool loop to the user's words that began it."""
    task = _Task(asked="")
    turns = [message for message in prompt.messages if message["role"] != "system"]
    if not turns:  # OpenAI's models answer to instructions alone
        return task
    _read_results(task, turns[-1])
    for message in reversed(turns):
        uses = [block["toolUse"] for block in message["content"] if block.get("toolUse")]
        if message["role"] == "assistant":
            if not uses and message is not turns[-1]:
                break
            task.turns += bool(uses)
            task.finished = task.finished or any(is_finisher(use["name"]) for use in uses)
            continue
        words = strip_added(_texts(message))
        task.asked = task.asked or words
        task.directive = read_directive(words)
        task.steps = [] if task.directive else read_steps(words)
        if task.directive or task.steps:
            task.asked = words
            break
    return task


def _read_results(task: _Task, last: dict[str, Any]) -> None:
    results = [block["toolResult"] for block in last["content"] if block.get("toolResult")]
    if not results:
        return
    said = [_texts(result) or str(result["content"]) for result in results]
    task.results = "\n".join(said)
    task.failed = any(result.get("status") == "error" for result in results) or any(map(_FAILED.search, said))


def _decide(prompt: Prompt, task: _Task) -> _Reply:
    may_call = bool(prompt.specs) and prompt.choice != "none"
    reply = _follow(prompt, task) if may_call else _speak(prompt, task)
    if may_call and prompt.choice in ("any", "tool"):
        return _force(prompt, reply)
    return reply


def _force(prompt: Prompt, reply: _Reply) -> _Reply:
    """The reply with a call of the tool that must be called; a forced call comes without text."""
    wanted = prompt.choice_name if prompt.choice == "tool" else None
    if reply.calls and wanted in (None, reply.calls[0][0]):
        return reply
    spec = next(spec for spec in prompt.specs if wanted in (None, spec["name"]))
    return _Reply(calls=[(spec["name"], fill_tool(spec))])


def _follow(prompt: Prompt, task: _Task) -> _Reply:
    """The next step of the task, with tools at hand."""
    if task.directive is not None:
        return _obey(prompt, task, task.directive)
    if not task.steps or task.finished:
        return _speak(prompt, task)
    summary = _summarise(task)
    if not task.failed and task.turns < len(task.steps):
        step = task.steps[task.turns]
        everything = "\n".join([*(block.get("text") or "" for block in prompt.system), *map(_texts, prompt.messages)])
        call = choose_tool(prompt.specs, step, find_folder(everything))
        if call is None:
            return _Reply(f"SIMULATED: none of the {len(prompt.specs)} tools can do this step.")
        return _Reply(_announce(step), [call])
    finisher = choose_finisher(prompt.specs, summary)
    return _Reply(None, [finisher]) if finisher else _Reply(summary)


def _obey(prompt: Prompt, task: _Task, directive: Directive) -> _Reply:
    if task.turns:
        return _speak(prompt, task)
    text = directive.text
    if directive.repeat is not None:
        text = " ".join(f"word{number}" for number in range(1, directive.repeat + 1))
    may_call = bool(prompt.specs) and prompt.choice != "none"
    calls = [(wish.name, wish.input) for wish in directive.tools] if may_call else []
    if text is None and not calls:
        text = _echo(prompt, task)
    return _Reply(text, calls, directive.stop)


def _speak(prompt: Prompt, task: _Task) -> _Reply:
    """An answer without tools."""
    if task.directive is not None and not task.turns:
        return _obey(prompt, task, task.directive)
    return _Reply(_echo(prompt, task))


def _echo(prompt: Prompt, task: _Task) -> str:
    if prompt.schema is not None:
        return msgspec.json.encode(minimal_instance(prompt.schema)).decode()
    if task.results is not None:
        return _summarise(task)
    return f"SIMULATED answer of {prompt.model} to: {' '.join(task.asked.split())[:_PIECE]}"


def _announce(step: Step) -> str:
    return "I will run the command." if isinstance(step, RunCommand) else f"I will write {step.name}."


def _summarise(task: _Task) -> str:
    said = " ".join((task.results or "nothing").split())[:_PIECE]
    if task.failed:
        return f"SIMULATED: a tool failed, so I stop here. It said: {said}"
    return f"SIMULATED: done. The last tool said: {said}"


def _think(prompt: Prompt, task: _Task) -> list[Block]:
    if prompt.thinking.mode == "off":
        return []
    text = (task.directive.thinking if task.directive else None) or f"SIMULATED thinking about: {task.asked[:_PIECE]}"
    text = text if prompt.thinking.shown else ""
    signs = claude_version(prompt.model) is not None
    blocks: list[Block] = [ThinkingBlock(text, sign_thinking(text) if signs else None)]
    if signs and task.directive is not None and task.directive.redacted is not None:
        blocks.append(RedactedBlock(seal_thinking(task.directive.redacted)))
    return blocks


def _stop(answer: Answer, sequences: list[str]) -> Answer:
    """Ends the answer before the first stop sequence in its text."""
    for index, block in enumerate(answer.blocks):
        if not isinstance(block, TextBlock):
            continue
        hits = [(block.text.find(sequence), sequence) for sequence in sequences if sequence in block.text]
        if hits:
            at, sequence = min(hits)
            kept: list[Block] = [*answer.blocks[:index], *([TextBlock(block.text[:at])] if at else [])]
            return Answer(blocks=kept, stop_reason="stop_sequence", stop_sequence=sequence)
    return answer
