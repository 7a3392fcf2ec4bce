"""Reserve, settle and release budgets and rate limits, in integers.

Belongs here: holds, windows and estimates. Durable rows are written through `store`.
"""
