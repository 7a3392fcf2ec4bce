"""A day of many agents in front of nine Bedrock quotas, played in seconds: the roads' own code on a virtual clock.

`python -m tests.simulation` (`make routing`) plays every strategy and writes docs/routing.md with its pictures.
"""
