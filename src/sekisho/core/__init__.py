"""The shared nouns: neutral request and events, usage, money, callers, errors, ids, clock.

Belongs here: types that two or more rooms speak of, without any I/O. Imports nothing from other rooms.
"""
