"""Sekisho: the checkpoint between an organisation's AI coding agents and its models."""

__version__ = "0.1.0"
