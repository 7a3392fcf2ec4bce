"""What a call will use, guessed from what such calls used before.

Agents send no `max_tokens` or a huge one; holding the worst case would starve them. So the input is estimated from the
size of the request with a ratio learned per model, and the output from what the calls of a key to a model, or of all
keys to it, really produce. The same figures charge a stream whose client left before the upstream told the usage.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable
from math import ceil
from typing import Final, TypeVar

from msgspec import Struct

from sekisho.core.chat import ChatRequest, ClientCall, Image, ToolResult
from sekisho.core.errors import CallerError
from sekisho.core.usage import Usage

_BYTES_PER_TOKEN: Final = 4.0
_MOST_RATIO: Final = 8.0
_OUTPUT_TOKENS: Final = 256.0
_LEARNING: Final = 0.1
_LEARN_FROM_TOKENS: Final = 256
"""Below it a request is mostly its JSON, and says nothing about a long one."""
_REMEMBERED: Final = 20_000
"""Models, and keys with a model, that are remembered; some 4 MB."""
_SAFETY: Final = 1.25
"""By how much the input of a call may exceed what is expected."""
_IMAGE_BYTES: Final = 6000
"""What a picture counts for in bytes of text: some 1,500 tokens, whatever its file's size."""
_TOOLS_BYTES: Final = 1400
"""What a model's service adds to a request that has tools: some 350 tokens at Claude."""
_SMALL_BYTES: Final = 16 * 1024
_MARKS_OF_FILES: Final = (b"base64", b"data:", b'"bytes"')
_SAMPLE: Final = 64
_SAMPLE_EVERY: Final = 8192
_MARK_OF_TOOLS: Final = re.compile(rb'"tool(s|Config)"')

_Name = TypeVar("_Name")


def weigh_call(call: ClientCall) -> int:
    """The size of a call in bytes of text. Only a body that may hold pictures is read for it."""
    body = call.body
    if len(body) <= _SMALL_BYTES:
        weight = len(body) or 1
        if body.find(b'"tool') >= 0 and _MARK_OF_TOOLS.search(body):
            weight += _TOOLS_BYTES
        return weight + _weigh_script(body)
    if not _may_hold_files(body):
        return len(body) + _weigh_script(body)
    try:
        request = call.request
    except CallerError:  # the upstream of this format may know better, and will say so if not
        return len(body)
    return weigh_request(request, len(body)) if isinstance(request, ChatRequest) else len(body)


def weigh_request(chat: ChatRequest, body_bytes: int) -> int:
    """The size of a request in bytes of text: pictures count by what models make of them, not by their base64."""
    nested = (part.parts if isinstance(part, ToolResult) else (part,) for turn in chat.messages for part in turn.parts)
    images = [part for parts in nested for part in parts if isinstance(part, Image)]
    inline = sum(len(image.data or "") for image in images)
    return max(1, body_bytes - inline) + _IMAGE_BYTES * len(images)


def _may_hold_files(body: bytes) -> bool:
    """Whether pictures or files may be in a body. Samples tell: searching all of it costs more than all else here."""
    for at in range(0, len(body), _SAMPLE_EVERY):
        sample = body[at : at + _SAMPLE]
        if b" " not in sample and b'"' not in sample:
            return any(mark in body for mark in _MARKS_OF_FILES)
    return False


def _weigh_script(body: bytes) -> int:
    """What is added for scripts other than Latin, which have more tokens to the byte: a kanji weighs five bytes."""
    return 0 if body.isascii() else len(body) - len(body.decode(errors="ignore"))


class _Habits:
    """Moving averages of calls to a model: bytes per input token, and output tokens; None where none was told yet."""

    __slots__ = ("output", "ratio")

    def __init__(self) -> None:
        self.output: float | None = None
        self.ratio: float | None = None


class Expectation(Struct, frozen=True):
    """The tokens of a call at one model: what it probably has of input, and at most, and probably of output."""

    input: int
    most_input: int
    output: int


class Estimator:
    """Learns bytes per input token by model, and output tokens per call by model and by key and model.

    An `owner` is what tells callers apart (`Caller.owner`).
    """

    def __init__(self) -> None:
        self._models: OrderedDict[str, _Habits] = OrderedDict()
        self._owners: OrderedDict[tuple[str, str], _Habits] = OrderedDict()
        """By owner and model; only the output is learned."""

    def input_tokens(self, model: str, request_bytes: int) -> int:
        """The input tokens that a request of this size probably has, at least 1."""
        return max(1, int(request_bytes / self._ratio(model)))

    def most_input(self, models: Iterable[str], request_bytes: int) -> int:
        """The input tokens that a request of this size has at most at any of the models, as far as can be told."""
        known, least = self._models, _MOST_RATIO
        for model in models:
            habits = known.get(model)
            ratio = _BYTES_PER_TOKEN if habits is None or habits.ratio is None else habits.ratio
            if ratio < least:
                least = ratio
        return ceil(request_bytes / least * _SAFETY)

    def expect(self, owner: str, model: str, request_bytes: int) -> Expectation:
        """All that can be told of a call beforehand: its output as the owner's calls to the model, else everybody's."""
        habits, own = self._models.get(model), self._owners.get((owner, model))
        ratio = _BYTES_PER_TOKEN if habits is None or habits.ratio is None else habits.ratio
        if own is None or not own.output:
            own = habits
        output = _OUTPUT_TOKENS if own is None or own.output is None else own.output
        size = request_bytes / ratio
        return Expectation(int(size) or 1, ceil(size * _SAFETY), int(output) + 1)

    def output_tokens(self, answer_bytes: int) -> int:
        """The output tokens of a part of an answer, from its UTF-8 bytes.

        What was learned of requests is not used: they are wrapped in JSON, answers are counted without it.
        """
        return int(-(-answer_bytes // _BYTES_PER_TOKEN))

    def answer_bytes(self, output_tokens: int) -> int:
        """The bytes of a part of an answer that are estimated as so many output tokens."""
        return int(output_tokens * _BYTES_PER_TOKEN)

    def learn(self, owner: str, model: str, request_bytes: int, usage: Usage) -> None:
        """Take the true figures of a finished call into account."""
        habits, own = _recall(self._models, model), _recall(self._owners, (owner, model))
        if (prompt := usage.prompt) >= _LEARN_FROM_TOKENS and request_bytes > 0:
            ratio, average = min(max(request_bytes / prompt, 1.0), _MOST_RATIO), habits.ratio
            habits.ratio = ratio if average is None else average + _LEARNING * (ratio - average)
        output = usage.output
        for each in (habits, own):
            average = each.output
            each.output = output if average is None else average + _LEARNING * (output - average)

    def _ratio(self, model: str) -> float:
        habits = self._models.get(model)
        return _BYTES_PER_TOKEN if habits is None or habits.ratio is None else habits.ratio


def _recall(known: OrderedDict[_Name, _Habits], name: _Name) -> _Habits:
    """The habits of that name, to learn more. Those of which nothing was learned for the longest time are forgotten."""
    habits = known.get(name)
    if habits is None:
        habits = known[name] = _Habits()
        if len(known) > _REMEMBERED:
            known.popitem(last=False)
    else:
        known.move_to_end(name)
    return habits
