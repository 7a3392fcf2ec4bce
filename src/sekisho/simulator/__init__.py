"""The local Bedrock counterpart: the other side of the wire, for the embedded default and the tests.

Belongs here: all that pretends to be AWS. It shares only the framing of the wire with the product, so that a mistake in
the product's reading of the API is not repeated here.
"""
