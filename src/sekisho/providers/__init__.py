"""One folder per upstream: the dialect it speaks, its address, credentials, quirks, models and prices.

Belongs here: all that is true of one vendor. Folders do not import each other; `assembly` finds them by itself.
"""
