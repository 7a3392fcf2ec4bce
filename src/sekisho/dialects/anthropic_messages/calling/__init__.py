"""Anthropic Messages, from the client's side."""
