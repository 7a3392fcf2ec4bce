"""Numbers of tokens as upstreams tell them."""

from typing import Annotated

from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=10**12)]
"""More than any model counts; it keeps a lying upstream's figures in the range of the ledger's integers."""
