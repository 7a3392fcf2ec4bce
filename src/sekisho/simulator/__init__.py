"""The local counterpart of every upstream: the other side of the wire, for the embedded default and the tests.

Belongs here: all that pretends to be Bedrock, STS, SageMaker, Anthropic or OpenAI. It shares only the framing of the
wire with the product, so that a mistake in the product's reading of an API is not repeated here.
"""
