"""Anthropic Messages, from the server's side."""
