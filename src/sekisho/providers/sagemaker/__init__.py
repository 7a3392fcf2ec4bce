"""Amazon SageMaker endpoints as an upstream: containers that take OpenAI's chat completions."""

from sekisho.providers.sagemaker.target import claims, detect_simulation, resolve

name = "sagemaker"

__all__ = ["claims", "detect_simulation", "name", "resolve"]
