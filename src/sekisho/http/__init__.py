"""HTTP itself: a server for clients and a client for upstreams, on asyncio and httptools. It knows nothing of models.

Belongs here: connections, framing, time limits and flow control. See docs/decisions/0002.
"""
