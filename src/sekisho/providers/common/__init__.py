"""What providers of more than one vendor share: tables, settings, and OpenAI's and Anthropic's kinds of error.

It is not a provider itself (it has no `claims`).
"""
