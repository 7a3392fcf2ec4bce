"""Whether the candidates for a call can carry it: the size of its prompt, and what its conversation needs."""

from msgspec import Struct

from sekisho.core.chat import ClientCall
from sekisho.core.errors import CallerError
from sekisho.core.target import Target
from sekisho.ledger.estimate import Estimator
from sekisho.policy.routing.fit import Needs, find_obstacle, is_certainly_too_long, read_needs, weigh_files

_LONG_CONTEXT = "context-1m"
"""What Anthropic's `anthropic-beta` for a million tokens begins with; then the model's usual limit does not count."""


class Fitting(Struct):
    """One call's fit. The conversation is read only when something depends on it.

    precheck: whether prompts that are too long are to be found out.
    """

    call: ClientCall
    request_bytes: int
    estimator: Estimator
    precheck: bool
    _read: bool = False
    _needs: Needs | None = None
    _file_bytes: int = 0

    def overflows(self, target: Target) -> bool:
        """Whether the prompt is certainly too long for the model; never where that is not to be checked."""
        most = target.facts.max_input_tokens
        if not self.precheck or most is None or self.request_bytes <= most:  # no token is shorter than a byte
            return False
        if not is_certainly_too_long(self._tokens(target), target.facts):
            return False
        self._read_conversation()
        return is_certainly_too_long(self._tokens(target), target.facts) and not self._wants_long_context()

    def find_obstacle(self, target: Target, meant_for: Target) -> str | None:
        """Why the target would break the conversation, which was meant for another; None when it would not."""
        self._read_conversation()
        return find_obstacle(self._needs, self._tokens(target), target.facts, target.price, meant_for.facts)

    def _tokens(self, target: Target) -> int:
        return self.estimator.input_tokens(target.upstream_model, max(1, self.request_bytes - self._file_bytes))

    def _wants_long_context(self) -> bool:
        return _LONG_CONTEXT in self.call.headers.get("anthropic-beta", "") or _LONG_CONTEXT.encode() in self.call.body

    def _read_conversation(self) -> None:
        if self._read:
            return
        self._read = True
        try:
            chat = self.call.chat
        except CallerError:  # its own format may know more than the neutral form; other formats will not do
            return
        self._needs, self._file_bytes = read_needs(chat), weigh_files(chat)
