"""Refusals, as the simulated services mean them before an API words them.

The kinds are those of AWS (`ThrottlingException`), because most refusals are Bedrock's. Anthropic's and OpenAI's APIs
have words of their own for them (`wires.messages.errors`, `wires.openai.errors`), and take their own words as they are.
"""

from collections.abc import Mapping
from typing import Any

STATUS_OF = {
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "IncompleteSignatureException": 403,
    "InternalServerException": 500,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "ModelStreamErrorException": 424,
    "ModelTimeoutException": 408,
    "RequestEntityTooLargeException": 413,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 400,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "UnknownOperationException": 404,
    "UnrecognizedClientException": 403,
    "ValidationException": 400,
}
"""HTTP status by error type, as in the service model and the common errors of AWS."""

_MODEL_PREFACE = "The model returned the following errors: "


class Refusal(Exception):
    """Why a call is not answered.

    kind: the error type, one of AWS (`STATUS_OF`) or one of the API that was called. asked_status: the HTTP status when
    it is not the usual one. detail: fields of the API's own error object beside type and message. preface: what Bedrock
    puts before the words of a model's own API. headers: to be sent with it, lower case.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        status: int | None = None,
        *,
        detail: Mapping[str, Any] | None = None,
        preface: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{kind}: {preface}{message}")
        self.kind = kind
        self.words = message
        self.asked_status = status
        self.detail = dict(detail or {})
        self.preface = preface
        self.headers = dict(headers or {})

    @property
    def message(self) -> str:
        """The message as AWS gives it."""
        return self.preface + self.words

    @property
    def status(self) -> int:
        """The HTTP status as AWS gives it."""
        return self.asked_status if self.asked_status is not None else STATUS_OF.get(self.kind, 400)


def invalid(message: str) -> Refusal:
    """A ValidationException."""
    return Refusal("ValidationException", message)


def invalid_for_model(message: str) -> Refusal:
    """A ValidationException that Bedrock hands on from the model's own API."""
    return Refusal("ValidationException", message, preface=_MODEL_PREFACE)
