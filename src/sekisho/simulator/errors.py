"""Failures in the shape AWS gives them."""

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


class AwsError(Exception):
    """A refusal as AWS words it: the error type (`ThrottlingException`), the HTTP status and the message."""

    def __init__(self, kind: str, message: str, status: int | None = None) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.status = status if status is not None else STATUS_OF.get(kind, 400)


def invalid(message: str) -> AwsError:
    """A ValidationException."""
    return AwsError("ValidationException", message)


def invalid_for_model(message: str) -> AwsError:
    """A ValidationException that the service hands on from the model's own API."""
    return invalid(f"The model returned the following errors: {message}")
