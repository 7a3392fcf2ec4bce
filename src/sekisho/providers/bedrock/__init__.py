"""Amazon Bedrock as an upstream: address, credentials, signature, errors, limits and prices of its models."""

from sekisho.providers.aws.credentials import find_default_credentials
from sekisho.providers.bedrock.address import claims
from sekisho.providers.bedrock.target import detect_simulation, resolve

name = "bedrock"

__all__ = ["claims", "detect_simulation", "find_default_credentials", "name", "resolve"]
