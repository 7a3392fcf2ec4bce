"""Turns a text to be completed into a question for a chat model.

A chat model answers where a completion model continues, so it is told to give nothing but the text itself. Where the
text has a gap, in the request's `suffix` or by the marks that code models are trained with and editors send whatever
the model, it is told what stands before and after the gap, without the marks, which mean nothing to it.
"""

import re
from typing import Final

from sekisho.core.chat import Message, Text

# StarCoder's marks (also those of Granite and Codestral's older servers), Qwen's and its followers', Code Llama's,
# DeepSeek's, and Mistral's, which tells the suffix first.
_MARKED: Final = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"(?P<lead>.*?)<fim_prefix>(?P<before>.*?)<fim_suffix>(?P<after>.*?)<fim_middle>\s*",
        r"(?P<lead>.*?)<\|fim_prefix\|>(?P<before>.*?)<\|fim_suffix\|>(?P<after>.*?)<\|fim_middle\|>\s*",
        r"(?P<lead>.*?)<PRE> ?(?P<before>.*?) ?<SUF> ?(?P<after>.*?) ?<MID>\s*",
        r"(?P<lead>.*?)<｜fim▁begin｜>(?P<before>.*?)<｜fim▁hole｜>(?P<after>.*?)<｜fim▁end｜>\s*",
        r"(?P<lead>.*?)\[SUFFIX\](?P<after>.*?)\[PREFIX\](?P<before>.*)",
    )
)
_CONTINUE: Final = (
    "You continue texts. The user's message is a text that breaks off; your answer is put directly behind its last "
    "character. Answer with the continuation only: do not repeat the text, do not introduce or explain anything, and "
    "put no quotes or code fences around it. When the text is a question or an instruction, the continuation is what "
    "it asks for."
)
_FILL: Final = (
    "You are the completion engine of a code editor. The user's message has the text before the cursor and the text "
    "after it; your answer is inserted at the cursor as it is. Answer with the missing text only: do not repeat what "
    "stands before or after the cursor, do not explain anything, and put no quotes or code fences around it. Begin "
    "with the very next character, and keep to the indentation, the style and the language of the surrounding text. "
    "Complete the statement or block at the cursor and then stop."
)


def write_conversation(prompt: str, suffix: str | None) -> tuple[list[Text], list[Message]]:
    """The system text and the turns that ask a chat model for what follows `prompt` and comes before `suffix`."""
    gap = _find_gap(prompt) if not suffix else (prompt, suffix)
    if gap is None:
        return [Text(text=_CONTINUE)], [_ask(prompt)]
    before, after = gap
    question = f"<text_before_cursor>\n{before}</text_before_cursor>\n<text_after_cursor>{after}\n</text_after_cursor>"
    return [Text(text=_FILL)], [_ask(question)]


def _ask(text: str) -> Message:
    return Message(role="user", parts=[Text(text=text)])


def _find_gap(prompt: str) -> tuple[str, str] | None:
    """What stands before and after the gap of a prompt in a code model's own marks. Other files may lead it."""
    for pattern in _MARKED:
        if (found := pattern.fullmatch(prompt)) is not None:
            return found["lead"] + found["before"], found["after"]
    return None
