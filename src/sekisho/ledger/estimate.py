"""What a call will use, guessed from what its model used before.

Agents send no `max_tokens` or a huge one; holding the worst case would starve them. So the input is estimated from the
size of the request with a ratio learned per model, and the output from what the model's calls really produce. The
same figures charge a stream whose client left before the upstream told the usage.
"""

from sekisho.core.chat import ChatRequest, ClientCall, Image, ToolResult
from sekisho.core.errors import CallerError
from sekisho.core.usage import Usage

_BYTES_PER_TOKEN = 4.0
_OUTPUT_TOKENS = 256.0
_LEARNING = 0.1
_LEARN_FROM_TOKENS = 256
"""Below it a request is mostly its JSON, and says nothing about a long one."""
_IMAGE_BYTES = 6000
"""What a picture counts for in bytes of text: some 1,500 tokens, whatever its file's size."""


_SMALL_BYTES = 16 * 1024
_MARKS_OF_FILES = (b"base64", b"data:", b'"bytes"')


def weigh_call(call: ClientCall) -> int:
    """The size of a call in bytes of text. Only a body that may hold pictures is read for it."""
    body = call.body
    if len(body) <= _SMALL_BYTES or not any(mark in body for mark in _MARKS_OF_FILES):
        return max(1, len(body))
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


class Estimator:
    """Learns bytes per input token and output tokens per call, by model name."""

    def __init__(self) -> None:
        self._ratio: dict[str, float] = {}
        self._output: dict[str, float] = {}

    def estimate(self, model: str, request_bytes: int, ceiling: int | None) -> Usage:
        """The tokens a request of this size will probably use; `ceiling` is the most it may produce."""
        output = int(self._output.get(model, _OUTPUT_TOKENS)) + 1
        return Usage(input=self.input_tokens(model, request_bytes), output=min(output, ceiling or output))

    def input_tokens(self, model: str, request_bytes: int) -> int:
        """The input tokens of a request of this size, at least 1."""
        return max(1, int(request_bytes / self._ratio.get(model, _BYTES_PER_TOKEN)))

    def output_tokens(self, answer_bytes: int) -> int:
        """The output tokens of a part of an answer, from its UTF-8 bytes.

        What was learned of requests is not used: they are wrapped in JSON, answers are counted without it.
        """
        return int(-(-answer_bytes // _BYTES_PER_TOKEN))

    def learn(self, model: str, request_bytes: int, usage: Usage) -> None:
        """Take the true figures of a finished call into account."""
        if usage.prompt >= _LEARN_FROM_TOKENS and request_bytes > 0:
            ratio = min(max(request_bytes / usage.prompt, 1.0), 8.0)
            known = self._ratio.get(model, ratio)
            self._ratio[model] = known + _LEARNING * (ratio - known)
        known = self._output.get(model, float(usage.output))
        self._output[model] = known + _LEARNING * (usage.output - known)
