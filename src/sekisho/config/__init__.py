"""Declarative files to raw typed sections and immutable snapshots.

Belongs here: reading, checking, positions and suggestions. Nothing here connects to anything.
"""

from sekisho.config.loader import Examination, default, examine, load

__all__ = ["Examination", "default", "examine", "load"]
