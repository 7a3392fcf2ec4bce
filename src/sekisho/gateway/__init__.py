"""Carry one model call through its life, and its bytes back: the data plane, raw ASGI.

Belongs here: the request's life, the HTTP client towards upstreams, the relay. `lifecycle.py` reads top to bottom.
"""
