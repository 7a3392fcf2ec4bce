"""What the providers on AWS share: credentials, signatures, regions, and the errors every service has.

It is not a provider itself (it has no `claims`), and the only folder here besides `common` that others may import.
"""
